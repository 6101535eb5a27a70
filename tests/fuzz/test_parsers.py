"""No parser of outside input fails in another way than in its own words; nothing of it grows without a bound.

By default a second or so for each; with ``-m long`` sixty seconds each, led by coverage where atheris is installed
(``make fuzz`` installs it).
"""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import sys
import time
import zipfile
import zlib
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shelf_contracts.errors import FileProblems, MessageProblem
from shelf_contracts.files import LARGEST_FILE_BYTES, MOST_DEPTH, parse_model, read_model
from shelf_contracts.manifest import Manifest
from shelf_contracts.planogram import Planogram
from shelf_contracts.products import ProductFile
from shelf_testing.fuzz_targets import ROOT, TARGETS

LONG_S = 60

plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just("9" * 400)
json_values = st.recursive(
    plain,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@st.composite
def spoilt(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """A sound input with something wrong in it: bytes changed, cut out, doubled, or a value exchanged."""
    seed = draw(st.sampled_from(seeds))
    if seed[:1] == b"{" and draw(st.booleans()):
        try:
            content = json.loads(seed)
        except ValueError:
            content = None
        if isinstance(content, dict) and content:
            return json.dumps(_exchange(draw, content)).encode()
    at = draw(st.integers(0, len(seed)))
    until = draw(st.integers(at, min(len(seed), at + 40)))
    new = draw(
        st.binary(max_size=12) | st.just(seed[at:until] * 2) | st.sampled_from([b"", b"\x00", b"[" * 50, b"1e999"])
    )
    return seed[:at] + new + seed[until:]


def _exchange(draw: st.DrawFn, content: dict[str, object]) -> dict[str, object]:
    key = draw(st.sampled_from(sorted(content)))
    value = content[key]
    if isinstance(value, dict) and value and draw(st.booleans()):
        return {**content, key: _exchange(draw, value)}
    if isinstance(value, list) and value and isinstance(value[0], dict) and value[0] and draw(st.booleans()):
        return {**content, key: [_exchange(draw, value[0]), *value[1:]]}
    return {**content, key: draw(json_values)}


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_breaks_a_parser(name: str) -> None:
    target = TARGETS[name]
    for seed in target.seeds:
        target.run(seed)

    @settings(
        max_examples=40, suppress_health_check=list(HealthCheck), database=None,
    )  # fmt: skip
    @given(st.binary(max_size=300) | spoilt(target.seeds) | spoilt(target.seeds))
    def attack(data: bytes) -> None:
        target.run(data)

    attack()


@pytest.mark.long
@pytest.mark.skipif(find_spec("atheris") is None, reason="needs the extra fuzz (atheris)")
@pytest.mark.parametrize("name", TARGETS)
def test_a_minute_led_by_coverage(name: str) -> None:
    command = [sys.executable, str(ROOT / "scripts" / "fuzz.py"), "--target", name, "--seconds", str(LONG_S)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=LONG_S + 60, check=False)
    assert result.returncode == 0, result.stderr[-3000:]


# -- size and depth ---------------------------------------------------------------------------------------------------


def refused(raw: bytes, name: str = "x.json") -> str:
    with pytest.raises(FileProblems) as caught:
        parse_model(Path(name), raw, Planogram)
    return str(caught.value)


@pytest.mark.parametrize("depth", [MOST_DEPTH + 1, 900, 100_000])
@pytest.mark.parametrize("kind", ["[", '{"a":'])
def test_deep_nesting_is_refused(kind: str, depth: int) -> None:
    from shelf_contracts.envelope import decode_slot_message

    closing = "]" if kind == "[" else "}"
    text = kind * depth + "1" + closing * depth
    assert "x.json" in refused(text.encode())
    with pytest.raises(MessageProblem):
        decode_slot_message("t", text.encode()[: 200 * 1024])
    assert "x.toml" in refused(("a = " + "[" * depth + "]" * depth).encode(), "x.toml")


def test_what_has_no_end_is_read_to_the_limit_only(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(FileProblems, match="bytes"):
        read_model(Path("/dev/zero"), ProductFile)
    assert time.monotonic() - began < 30
    (tmp_path / "large.json").write_bytes(b" " * (LARGEST_FILE_BYTES + 1))
    with pytest.raises(FileProblems, match="at most"):
        read_model(tmp_path / "large.json", ProductFile)


def test_a_planogram_cannot_make_us_compare_for_hours() -> None:
    position = {"productId": "p", "fixtureId": "f", "x": 0, "y": 0, "w": 1, "h": 1, "capacity": 1}
    many = {"positions": [{"id": f"s{number}", **position} for number in range(1001)]}
    assert "at most 1000" in refused(json.dumps(many).encode())


def test_archives_and_compressed_files_are_no_input(tmp_path: Path) -> None:
    """A bomb cannot go off where nothing is unpacked."""
    bomb = b"0" * 20_000_000
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("products.json", bomb)
    for kind, raw in (("zip", archive.getvalue()), ("gz", gzip.compress(bomb)), ("zz", zlib.compress(bomb))):
        for model in (ProductFile, Planogram, Manifest):
            with pytest.raises(FileProblems):
                parse_model(Path(f"x.{kind}"), raw, model)
        path = tmp_path / f"products.{kind}"
        path.write_bytes(raw)
        from shelf_collector.adapters.off_file import layout_of

        with pytest.raises(FileProblems):
            layout_of(path)


def test_a_line_without_an_end_is_refused(tmp_path: Path) -> None:
    from shelf_collector.adapters.off_file import read_off_file

    path = tmp_path / "off.tsv"
    path.write_text("code\tproduct_name\n" + "x\t" * 2_100_000)
    with pytest.raises(FileProblems, match="a line is longer"):
        read_off_file(path, "off-tsv", "nl")


def png(width: int, height: int) -> bytes:
    """A sound PNG of one colour: a few kilobytes, however large."""
    import struct

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer = zlib.compressobj(9)
    row = b"\x00" * (width // 8 + 2)
    data = b"".join(packer.compress(row) for _ in range(min(height, 200))) + packer.flush()
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(60_000, 60_000), (1_000_000, 1_000), (2**31 - 1, 2**31 - 1)])
def test_a_picture_that_would_fill_the_memory_is_not_decoded(tmp_path: Path, size: tuple[int, int]) -> None:
    import tracemalloc

    from shelf_edge.adapters.pictures import read_picture

    path = tmp_path / "bomb.png"
    path.write_bytes(png(min(size[0], 100_000), size[1])[:16] + png(100, 100)[16:] if size[0] > 100_000 else png(*size))
    if size[0] > 100_000:
        raw = bytearray(png(100, 100))
        raw[16:24] = size[0].to_bytes(4, "big") + size[1].to_bytes(4, "big")
        path.write_bytes(bytes(raw))
    tracemalloc.start()
    with pytest.raises(FileProblems, match="million pixels"):
        read_picture(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000_000


def test_a_camera_that_sends_a_bomb_is_a_problem_of_the_camera() -> None:
    from shelf_edge.adapters.camera_mjpeg import MjpegCamera
    from shelf_edge.ports import SourceProblem

    camera = MjpegCamera("http://127.0.0.1:1/")
    bomb = png(60_000, 60_000)
    camera._boundary = b"--x"
    body = b"--x\r\nContent-Length: %d\r\n\r\n" % len(bomb) + bomb
    camera._response = io.BytesIO(body)  # type: ignore[assignment]
    with pytest.raises(SourceProblem, match="60000x60000"):
        camera.read()


@pytest.mark.parametrize("name", ["../secret.onnx", "/etc/passwd", "a/b.onnx", "..", "a\\b", "a\x00b", ""])
def test_a_manifest_names_files_beside_it_only(name: str) -> None:
    content = json.loads((ROOT / "models/shelf_models/shipped/shelf-nano/manifest.json").read_text())
    for change in ({"file": name}, {"golden": {**content["golden"], "picture": name}}):
        with pytest.raises(FileProblems, match="same folder"):
            parse_model(Path("m.json"), json.dumps({**content, **change}).encode(), Manifest)

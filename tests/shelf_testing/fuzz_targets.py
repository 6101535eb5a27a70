"""Every parser of outside input as one function of bytes: it may refuse in its own words, anything else is a bug."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import math
import tempfile
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qsl

from pydantic import BaseModel
from starlette.datastructures import Headers

from shelf_broker.config import BrokerConfig
from shelf_collector.adapters.off_file import layout_of, read_off_file
from shelf_collector.adapters.web.entrance import _own_path
from shelf_collector.adapters.web.gate import _cookie, rules_for
from shelf_collector.audit_cli import since_of
from shelf_collector.config import CollectorConfig
from shelf_collector.core.inbox import claim_of, decode
from shelf_collector.core.logbook import head_of
from shelf_collector.core.product_faults import read_products
from shelf_contracts import topics
from shelf_contracts.azure import AzureFile, from_azure
from shelf_contracts.catalog import CATALOG
from shelf_contracts.errors import FileProblems, MessageProblem, TopicProblem
from shelf_contracts.files import parse_model
from shelf_contracts.gallery import Embedder, Gallery, GalleryEntry, Reference, added, decode_gallery, encode_gallery
from shelf_contracts.manifest import Manifest
from shelf_contracts.planogram import Planogram
from shelf_contracts.products import ProductFile
from shelf_contracts.shipped import demo_shop_folder, model_folder
from shelf_contracts.truth import RecordingNote, read_truth
from shelf_edge.adapters.camera_mjpeg import MjpegCamera
from shelf_edge.adapters.model_folder import _labels_in
from shelf_edge.adapters.pictures import LARGEST_PIXELS, check_header
from shelf_edge.adapters.sources import source_problem
from shelf_edge.config import EdgeConfig
from shelf_edge.core.picture_header import read_header
from shelf_simulator.core.scenario import Scenario

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Target:
    """``run`` takes any bytes and never fails; ``seeds`` are sound inputs to begin from."""

    run: Callable[[bytes], None]
    seeds: list[bytes] = field(default_factory=list)


def _file(name: str, model: type[BaseModel]) -> Callable[[bytes], None]:
    def run(data: bytes) -> None:
        said = ""
        try:
            parse_model(Path(name), data, model)
        except FileProblems as problem:
            said = str(problem)
        assert len(said) < 200_000, "an answer far longer than the question"

    return run


def _products(data: bytes) -> None:
    """What is left of a file with faults can be stored and shown."""
    for product in read_products(data).products:
        product.model_dump_json().encode()


def _truth(data: bytes) -> None:
    """Read from a file, as it is by everybody."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "truth.jsonl"
        file.write_bytes(data)
        with contextlib.suppress(FileProblems):
            read_truth(file)


def _message(data: bytes) -> None:
    """The first line is the topic, the rest the payload."""
    topic, _, payload = data.partition(b"\n")
    claim_of(payload)
    for name in (topic.decode("utf-8", "replace"), *_TOPICS):
        try:
            decode(name, payload, store="demo")
        except MessageProblem:
            continue


def _topic(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    try:
        address = topics.parse(text)
    except TopicProblem:
        return
    assert topics.build(address.row.name, **address.ids) == text, "what is read is what would be written"


def _products_csv(data: bytes) -> None:
    with tempfile.NamedTemporaryFile(suffix=".csv") as file:
        file.write(data)
        file.flush()
        path = Path(file.name)
        try:
            layout = layout_of(path)
            if layout != "smartshelf":
                read_off_file(path, layout, "nl")
        except FileProblems:
            return
        except csv.Error as error:
            raise AssertionError("said in the parser's words, not in ours") from error


def _picture(data: bytes) -> None:
    header = read_header(data)
    try:
        found = check_header(Path("x.jpg"), data)
    except FileProblems:
        return
    assert found == header
    assert 0 < found.width_px * found.height_px <= LARGEST_PIXELS


def _gallery(data: bytes) -> None:
    try:
        found = decode_gallery(data, "x.gallery")
    except FileProblems:
        return
    assert encode_gallery(found) == data, "what is read is what would be written"


class _Response(io.BytesIO):
    """What http.client hands over, without a network."""

    headers = Headers({})


def _camera_stream(data: bytes) -> None:
    camera = MjpegCamera("http://127.0.0.1:1/x")
    camera._response = _Response(data)  # type: ignore[assignment]
    camera._boundary = b"--frame"
    camera._deadline_s = math.inf
    for _ in range(20):
        try:
            camera._next_part()
        except (ConnectionError, ValueError):
            return


def _azure(data: bytes) -> None:
    try:
        found = parse_model(Path("azure.json"), data, AzureFile)
        from_azure(found, store="demo", bay="a01")
    except (FileProblems, ValueError):
        return


def _web(data: bytes) -> None:
    text = data.decode("latin-1")
    path = _own_path(text)
    assert path.startswith("/")
    assert not path.startswith(("//", "/\\"))
    list(rules_for(text))
    _cookie(Headers(raw=[(b"cookie", data)]), "smartshelf_session")
    try:
        parse_qsl(data.decode("utf-8"), keep_blank_values=True, max_num_fields=20, errors="strict")
    except ValueError:
        return


def _words(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    assert all(isinstance(label, str) for label in _labels_in(text))
    source_problem(text)
    for parse in (head_of, lambda one: since_of(one, datetime(2026, 11, 22, tzinfo=UTC))):
        try:
            parse(text)
        except (ValueError, OverflowError):
            continue


def _example(*parts: str) -> bytes:
    return (ROOT.joinpath(*parts)).read_bytes()


def _messages() -> list[bytes]:
    from shelf_contracts import examples

    found = []
    for name, message in vars(examples).items():
        if isinstance(message, BaseModel) and not name.startswith("_"):
            found.append(message.model_dump_json().encode())
    return found


_TOPICS = [row.address.format_map(defaultdict(lambda: "a01", store="demo", kind="pick")) for row in CATALOG]
_EVENT = {
    "specversion": "1.0", "id": "x", "source": "/smartshelf/demo/node/n01", "subject": "shelf/a01/slot/a01",
    "time": "2026-11-22T09:15:02Z", "sequence": "0" * 20, "type": "org.smartshelf.slot.event.v1",
    "data": {"action": "pick", "confidence": 0.5, "started_at": "2026-11-22T09:15:02Z",
             "ended_at": "2026-11-22T09:15:02Z", "captured_at": "2026-11-22T09:15:02Z"},
}  # fmt: skip
_JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00\xff\xc0\x00\x11\x08\x00\x40\x00\x40\x03"
_OFF = b"code\tproduct_name\tbrands\tallergens_tags\n4006381333931\tKoek\tMerk\ten:gluten\n"

_GALLERY = added(
    Gallery(Embedder(name="tiny", version="1", sha256="a" * 64), 2),
    [
        Reference(
            GalleryEntry(gtin="4006381333931", photo_sha256=f"{photo:064x}", enrolment="e1", at=datetime.now(UTC)),
            b"\x00\x3c" * 2,
        )
        for photo in range(2)
    ],
)

_SCENARIOS = ("simulator", "shelf_simulator", "scenarios")

TARGETS: dict[str, Target] = {
    "message": Target(
        _message,
        [
            *(topic.encode() + b"\n" + json.dumps(_EVENT).encode() for topic in _TOPICS),
            *(b"\n" + m for m in _messages()),
        ],
    ),
    "topic": Target(_topic, [topic.encode() for topic in _TOPICS]),
    "planogram": Target(_file("p.json", Planogram), [_example("examples", "bottles", "planogram.json")]),
    "azure-planogram": Target(
        _azure, [b'{"planogram":{"width":1,"height":1,"products":[],"fixtures":[],"positions":[]}}']
    ),
    "edge-config": Target(_file("e.toml", EdgeConfig), [_example("edge", "edge.example.toml")]),
    "collector-config": Target(_file("c.toml", CollectorConfig), [_example("collector", "collector.example.toml")]),
    "broker-config": Target(_file("b.toml", BrokerConfig), [b'kind = "embedded"\nport = 1883\n']),
    "products": Target(_file("p.json", ProductFile), [(demo_shop_folder() / "products.json").read_bytes()[:4000]]),
    "products-despite-faults": Target(_products, [(demo_shop_folder() / "products.json").read_bytes()[:4000]]),
    "products-csv": Target(_products_csv, [_OFF, b"barcode_id,name\n4006381333931,x\n"]),
    "manifest": Target(_file("m.json", Manifest), [(model_folder() / "manifest.json").read_bytes()]),
    "gallery": Target(_gallery, [encode_gallery(_GALLERY)]),
    "picture": Target(
        _picture, [_JPEG, b"\x89PNG\r\n\x1a\n" + b"\x00" * 30, b"RIFF\x00\x00\x00\x00WEBPVP8X" + b"\x00" * 20]
    ),
    "camera-stream": Target(
        _camera_stream, [b"--frame\r\nContent-Length: 3\r\nX-Timestamp: 1.5\r\n\r\nabc\r\n--frame\r\n"]
    ),
    "scenario": Target(
        _file("s.toml", Scenario), [b'packs = "bags"\n[[camera]]\nat_s = 1.0\n', _example(*_SCENARIOS, "rush.toml")]
    ),
    "recording-note": Target(_file("r.json", RecordingNote), [b'{"scenario":"demo","split":"dev","seed":1}']),
    "truth": Target(_truth, [b'{"bay":"a01","slot":"s1","type":"count","t_s":0.0,"count":5}\n{"type":"ev']),
    "web": Target(_web, [b"/staff?lang=nl", b"smartshelf_session=abc; x=y", b"mark=1&name=a"]),
    "words": Target(_words, [b"{0: 'person', 1: 'product'}", b"24h", b"12:" + b"a" * 64, b"rtsp://x/y"]),
}

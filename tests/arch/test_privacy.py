"""Privacy by construction: what the code cannot do, whoever configures it (docs/security.md, Privacy)."""

from __future__ import annotations

import ast
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

from shelf_contracts.catalog import CATALOG

ROOT = Path(__file__).resolve().parents[2]
RUNNING = ("edge", "broker", "collector")
PERSONAL = re.compile(r"(^|_)(person|people|face|track|identit(y|ies)|gender|emotion|reid|embedding)(_|s?$)|^age$")


def modules(*components: str) -> Iterator[tuple[str, ast.Module]]:
    for component in components:
        for path in sorted((ROOT / component).rglob("*.py")):
            yield str(path.relative_to(ROOT)), ast.parse(path.read_text())


def names_in(schema: object) -> Iterator[str]:
    if isinstance(schema, dict):
        properties = schema.get("properties")
        if isinstance(properties, dict):
            yield from properties
        for value in schema.values():
            yield from names_in(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from names_in(value)


OF_PRODUCTS = {"stock-level-event.json", "slot-happening.json", "held-product.json"}
"""Here ``embedding`` is ``seen.embedding``: of the box of a product on the shelf that nobody is before."""


def test_no_message_names_a_person_a_track_or_a_face() -> None:
    for file in (ROOT / "docs" / "schemas").glob("*.json"):
        if file.name == "manifest.json":
            continue  # no message: a file beside a model, which says how it embeds products
        for name in names_in(json.loads(file.read_text())):
            if name == "embedding" and file.name in OF_PRODUCTS:
                continue
            assert not PERSONAL.search(name), f"{file.name}: {name}"


def test_the_pattern_would_find_them() -> None:
    for name in ("person", "person_id", "track_id", "faces", "identity", "people", "person_track", "age"):
        assert PERSONAL.search(name), name
    for name in ("frame_age_ms", "stage", "surface", "trained_on", "quantity", "observed_at"):
        assert not PERSONAL.search(name), name


def test_no_topic_can_carry_a_picture() -> None:
    """A shelf camera's JPEG has 50 KB and more; and every payload is JSON of a model without a field for bytes."""
    for row in CATALOG:
        assert row.largest_bytes <= 32_768, row.name
        for name, field in row.message.model_fields.items():
            assert "bytes" not in str(field.annotation), f"{row.name}.{name}"


def calls(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield node.lineno, ast.unparse(node.func)


MAY_WRITE_PICTURES = {
    "edge/shelf_edge/cli_calibrate.py": "masked, --draw",
    "edge/shelf_edge/adapters/preview.py": "masked, loopback, demo",
    "edge/shelf_edge/counting.py": "masked, --draw",
    "edge/shelf_edge/replay.py": "masked, --draw",
    "edge/shelf_edge/unknown_pictures.py": "masked, opt-in, stays on the node, deleted in time",
}
DRAWS_WORDS = "collector/shelf_collector/adapters/label_picture.py"
"""Electronic labels: the collector has no camera picture that it could draw on one."""
ENCODES_FOR_OTHERS = "edge/shelf_edge/adapters/pictures.py"
"""``small_jpeg``: who calls it counts as one who encodes."""


def test_pictures_are_encoded_only_where_people_are_covered_first() -> None:
    found = {
        path
        for path, tree in modules(*RUNNING)
        for _, call in calls(tree)
        if call.rpartition(".")[2]
        in {"imencode", "imwrite", "VideoWriter", "imencodemulti", "tofile", "savez", "save", "small_jpeg"}
    }
    assert found == {*MAY_WRITE_PICTURES, DRAWS_WORDS, ENCODES_FOR_OTHERS}
    assert not re.search(r"Image\.open|frombuffer|fromarray", (ROOT / DRAWS_WORDS).read_text())
    for path in MAY_WRITE_PICTURES:
        assert "PeopleMask" in (ROOT / path).read_text(), path


KNOW_THE_PICTURES = {
    "edge/shelf_edge/unknown_pictures.py", "edge/shelf_edge/adapters/unknown_store.py",
    "edge/shelf_edge/cli_unknown.py", "edge/shelf_edge/app.py", "edge/shelf_edge/node.py", "edge/shelf_edge/config.py",
}  # fmt: skip


def test_pictures_of_unknown_things_are_out_of_reach_of_the_network() -> None:
    """Who knows where they are says nothing on the network but the composition root, which asks for places only."""
    network = re.compile(r"mqtt|publisher|journal|http|socket|urllib|outbox")
    for file in (file for component in RUNNING for file in (ROOT / component).rglob("*.py")):
        path, text = str(file.relative_to(ROOT)), file.read_text()
        if re.search(r"unknown_store|unknown_pictures import|UnknownStore", text):
            assert path in KNOW_THE_PICTURES, path
    for path in ("unknown_pictures.py", "adapters/unknown_store.py", "cli_unknown.py"):
        tree = ast.parse((ROOT / "edge" / "shelf_edge" / path).read_text())
        whole = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        assert not [name for name in [*whole, *imported(tree)] if network.search(name)], path
    app = (ROOT / "edge" / "shelf_edge" / "app.py").read_text()
    assert set(re.findall(r"\bpictures\.(\w+)", app)) == {"health", "start", "stop"}


def test_nothing_asks_for_sound() -> None:
    for path, tree in modules(*RUNNING):
        assert not set(imported(tree)) & {"pyaudio", "sounddevice", "soundfile", "wave", "alsaaudio", "av", "gi"}, path
        if path.startswith("edge"):
            assert not re.search(r"audio|microphone", ast.unparse(tree), re.IGNORECASE), path


def imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


def test_nothing_recognises_people() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    packages = [
        *settings["dependencies"],
        *(one for extra in settings["optional-dependencies"].values() for one in extra),
    ]
    forbidden = re.compile(r"face|insight|deepface|reid|torchreid|dlib|mediapipe", re.IGNORECASE)
    assert not [package for package in packages if forbidden.search(package)]


def test_every_camera_has_a_purpose_and_the_texts_for_it_exist() -> None:
    from shelf_edge.config import CameraSection

    assert CameraSection.model_fields["purpose"].is_required()
    for language in ("nl", "it", "en"):
        assert (ROOT / "docs" / "privacy" / f"sign.{language}.md").is_file()
        assert (ROOT / "docs" / "privacy" / f"notice.{language}.md").is_file()
    assert (ROOT / "docs" / "privacy" / "dpia.md").is_file()


# -- what no parser may do --------------------------------------------------------------------------------------------

UNSAFE_CALLS = {
    "eval", "exec", "compile", "__import__", "ast.literal_eval", "literal_eval", "pickle.load", "pickle.loads",
    "marshal.load", "marshal.loads", "yaml.load", "yaml.unsafe_load", "joblib.load", "torch.load", "os.system",
    "os.popen",
    "shelve.open", "np.load", "numpy.load", "tarfile.open", "zipfile.ZipFile", "shutil.unpack_archive",
}  # fmt: skip
UNSAFE_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "yaml", "xml", "tarfile", "zipfile"}


def test_no_pickle_no_eval_no_shell_no_archive() -> None:
    for path, tree in modules("edge", "broker", "collector", "simulator"):
        bad = [(line, call) for line, call in calls(tree) if call in UNSAFE_CALLS]
        assert not bad, f"{path}: {bad}"
        assert not set(imported(tree)) & UNSAFE_MODULES, path
        for node in ast.walk(tree):
            if isinstance(node, ast.keyword) and node.arg in {"shell", "allow_pickle"}:
                assert isinstance(node.value, ast.Constant), f"{path}:{node.value.lineno}"
                assert node.value.value is False, f"{path}:{node.value.lineno}"


def test_the_ban_would_be_noticed() -> None:
    tree = ast.parse("import pickle\nfrom yaml import load\neval('1')\npickle.loads(b'')\n")
    assert {call for _, call in calls(tree)} & UNSAFE_CALLS == {"eval", "pickle.loads"}
    assert set(imported(tree)) & UNSAFE_MODULES == {"pickle", "yaml"}

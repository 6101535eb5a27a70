from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from shelf_contracts.errors import FileProblems
from shelf_edge.adapters import model_store
from shelf_edge.adapters.detector_onnx import load_detector
from shelf_edge.adapters.model_store import ModelStore
from shelf_edge.adapters.signatures import Trust, make_keys, read_private_key, sign
from shelf_testing.gradient_model import write_model_folder


def load(path: Path) -> None:
    load_detector(path)


def signed_folder(folder: Path, key: Path, version: str, name: str = "gradient") -> Path:
    write_model_folder(folder, version=version, name=name)
    sign_folder(folder, key)
    return folder


def sign_folder(folder: Path, key: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["signature"] = sign(manifest, read_private_key(key)).model_dump()
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1))


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return make_keys(tmp_path / "keys", "shop")[0]


@pytest.fixture
def trust(key: Path) -> Trust:
    return Trust((key.with_suffix(".pub").read_text().strip(),), require=True)


@pytest.fixture
def store(tmp_path: Path, key: Path, trust: Trust) -> ModelStore:
    return ModelStore(tmp_path / "store", signed_folder(tmp_path / "base", key, "1.0"), trust, load)


def version(store: ModelStore) -> str:
    manifest = store.manifest_of(store.pointer.active)
    assert manifest is not None
    return manifest.version


def test_private_keys_are_for_their_owner_and_never_overwritten(key: Path) -> None:
    assert key.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileProblems, match="must not exist yet"):
        make_keys(key.parent, "shop")


def test_a_better_model_takes_the_free_place_and_the_one_before_stays(
    store: ModelStore, tmp_path: Path, key: Path
) -> None:
    assert version(store) == "1.0"
    for number, place in (("1.1", "a"), ("1.2", "b"), ("1.10", "a")):
        store.promote(signed_folder(tmp_path / number, key, number))
        assert (version(store), store.pointer.active, store.pointer.on_trial) == (number, place, True)
        store.settle()
    assert not store.pointer.on_trial
    store.roll_back("staff saw false alarms")
    assert version(store) == "1.2"
    assert store.history()[-1]["reason"] == "rolled back: staff saw false alarms"
    with pytest.raises(FileProblems, match="rolled back here before"):
        store.promote(tmp_path / "1.10")


def test_no_downgrade_unless_forced_and_that_is_logged(store: ModelStore, tmp_path: Path, key: Path) -> None:
    store.promote(signed_folder(tmp_path / "new", key, "2.0"))
    old = signed_folder(tmp_path / "old", key, "1.9")
    with pytest.raises(FileProblems, match=r"must not be older than the active 2\.0"):
        store.promote(old)
    store.promote(old, force=True)
    assert version(store) == "1.9"
    assert "forced although version = 1.9" in store.history()[-1]["reason"]


@pytest.mark.parametrize("settled", [True, False])
def test_no_downgrade_by_way_of_a_model_of_another_name(
    settled: bool, store: ModelStore, tmp_path: Path, key: Path
) -> None:
    for number, name in (("2026.12.02", "gradient"), ("1.0", "other")):
        store.promote(signed_folder(tmp_path / name, key, number, name))
        if settled:
            store.settle()
    old = signed_folder(tmp_path / "old", key, "2026.01.01")
    with pytest.raises(FileProblems, match=r"older than what already ran here: 2026\.12\.02"):
        store.promote(old)
    store.roll_back("the newest stays the newest")
    with pytest.raises(FileProblems, match=r"older than the active 2026\.12\.02"):
        store.promote(old)
    write_model_folder(tmp_path / "same", version="2026.12.02", labels=["product", "person"])
    sign_folder(tmp_path / "same", key)
    with pytest.raises(FileProblems, match="active with other content"):
        store.promote(tmp_path / "same")


def test_a_version_that_failed_on_trial_does_not_count(store: ModelStore, tmp_path: Path, key: Path) -> None:
    store.promote(signed_folder(tmp_path / "bad", key, "9.0"))
    store.roll_back("it saw nothing")
    store.promote(signed_folder(tmp_path / "good", key, "2.0"))
    assert version(store) == "2.0"


@pytest.mark.parametrize("signer", ["stranger", None])
def test_with_trusted_keys_a_model_of_somebody_else_is_taken_only_with_a_warning(
    signer: str | None, tmp_path: Path, key: Path, trust: Trust, caplog: pytest.LogCaptureFixture
) -> None:
    lenient = ModelStore(
        tmp_path / "store", signed_folder(tmp_path / "base", key, "1.0"), replace(trust, require=False), load
    )
    assert not lenient.promote(signed_folder(tmp_path / "ours", key, "1.1")).warning
    write_model_folder(tmp_path / "foreign", version="2.0")
    if signer:
        sign_folder(tmp_path / "foreign", make_keys(tmp_path / "other", signer)[0])
    switch = lenient.promote(tmp_path / "foreign")
    for told in (switch.warning, caplog.text, lenient.history()[-1]["reason"]):
        assert "none of the trusted_keys" in told


def test_nothing_changes_the_pointer_while_another_change_goes_on(
    store: ModelStore, tmp_path: Path, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_store, "_LOCK_WAIT_S", 0.0)
    store.promote(signed_folder(tmp_path / "new", key, "2.0"))
    before = store.pointer
    for change in (store.settle, store.start, partial(store.roll_back, "why not")):
        with store._locked(), pytest.raises(FileProblems, match="another change is going on"):
            change()
        assert store.pointer == before
    assert not store.settle("0" * 64)
    assert store.pointer == before


@pytest.mark.parametrize(
    ("tamper", "told"),
    [
        (lambda folder: (folder / "model.onnx").write_bytes(b"other"), "sha256"),
        (lambda folder: (folder / "golden.png").write_bytes(b"other"), "golden"),
        (lambda folder: (folder / "golden.png").unlink(), "golden"),
        (lambda folder: _change(folder, "version", "9.0"), "signature"),
        (lambda folder: _change(folder, "score_threshold", 0.9), "signature"),
        (lambda folder: _change(folder, "signature", None), "signature"),
        (lambda folder: _change(folder, "file", "../model.onnx"), "must be the name of a file"),
        (lambda folder: (folder / "manifest.json").write_text("{"), "not JSON"),
    ],
)
def test_tampered_and_unsigned_models_are_refused(
    tamper: object, told: str, store: ModelStore, tmp_path: Path, key: Path
) -> None:
    folder = signed_folder(tmp_path / "new", key, "2.0")
    tamper(folder)  # type: ignore[operator]
    with pytest.raises(FileProblems, match=told):
        store.promote(folder)
    assert version(store) == "1.0"
    assert not list((tmp_path / "store").glob("incoming-*"))


def _change(folder: Path, name: str, value: object) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest[name] = value
    if value is None:
        del manifest[name]
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_a_model_signed_by_a_stranger_is_refused(store: ModelStore, tmp_path: Path) -> None:
    stranger, _ = make_keys(tmp_path / "other", "stranger")
    with pytest.raises(FileProblems, match="trusted keys"):
        store.promote(signed_folder(tmp_path / "new", stranger, "2.0"))


def test_a_golden_picture_that_is_not_found_fails_the_self_test(store: ModelStore, tmp_path: Path, key: Path) -> None:
    folder = tmp_path / "new"
    write_model_folder(folder, version="2.0")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["golden"]["boxes"][0]["box"] = [0.5, 0.5, 0.9, 0.9]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    sign_folder(folder, key)
    with pytest.raises(FileProblems, match="must be found"):
        store.promote(folder)


def test_a_model_damaged_on_the_nodes_disk_is_left_at_the_next_start(
    store: ModelStore, tmp_path: Path, key: Path
) -> None:
    store.promote(signed_folder(tmp_path / "new", key, "2.0"))
    store.settle()
    (store.active / "model.onnx").write_bytes(b"damaged")
    store.start()
    assert version(store) == "1.0"
    assert "self-test at start" in store.history()[-1]["reason"]


def test_a_model_whose_node_dies_on_trial_is_left_at_the_third_start(
    store: ModelStore, tmp_path: Path, key: Path
) -> None:
    store.promote(signed_folder(tmp_path / "new", key, "2.0"))
    started = []
    for _ in range(3):
        store.start()
        started.append(version(store))
    assert started == ["2.0", "2.0", "1.0"]


def test_without_a_model_before_there_is_no_way_back(store: ModelStore) -> None:
    with pytest.raises(FileProblems, match="none before it"):
        store.roll_back("why not")


_PROMOTE_FOR_EVER = """
import sys
from pathlib import Path
from shelf_edge.adapters.model_store import ModelStore
from shelf_edge.adapters.signatures import Trust
store = ModelStore(Path(sys.argv[1]), Path(sys.argv[2]), Trust(), lambda path: None)
print("ready", flush=True)
while True:
    for model in sys.argv[3:]:
        store.promote(Path(model), force=True)
"""


def test_killed_at_any_moment_the_pointer_names_a_whole_model(tmp_path: Path, key: Path) -> None:
    models = [str(signed_folder(tmp_path / number, key, number)) for number in ("1", "2", "3")]
    folder = tmp_path / "store"
    for wait_ms in range(1, 40, 6):
        process = subprocess.Popen(
            [sys.executable, "-c", _PROMOTE_FOR_EVER, str(folder), models[0], *models],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert process.stdout is not None
        process.stdout.readline()
        try:
            process.wait(wait_ms / 1000)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        process.wait(10)
        process.stdout.close()
        store = ModelStore(folder, Path(models[0]), Trust(), load)
        load_detector(store.active)

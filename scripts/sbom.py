"""What a shop runs, as a CycloneDX 1.6 document: python scripts/sbom.py --out dist/smartshelf.cdx.json.

Read from the packages installed beside smartshelf: those that its extras for the shop (edge, broker, collector) reach,
with version, licence and what each needs, and the shipped models with hash and licence. Nothing is fetched. The same
environment gives the same document; SOURCE_DATE_EPOCH sets its time.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import uuid
from datetime import UTC, datetime
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
EXTRAS = ("edge", "broker", "collector")
_NAMESPACE = uuid.UUID("0b0d7c52-5f0c-5f6e-8e51-1d6c8a7b7c11")


def canonical(name: str) -> str:
    """A package's name as PyPI compares it.

    >>> canonical("Argon2_cffi.Bindings")
    'argon2-cffi-bindings'
    """
    return re.sub(r"[-_.]+", "-", name).lower()


def installed(name: str) -> Distribution:
    """The distribution of that name, or the build that scripts/opencv-libraries takes in its place."""
    try:
        return distribution(name)
    except PackageNotFoundError:
        if name != "opencv-python":
            raise
        return distribution("opencv-python-headless")


def needs(found: Distribution, extras: tuple[str, ...]) -> list[tuple[str, tuple[str, ...]]]:
    """What a package needs here, with these extras: names, and extras of those."""
    wanted = []
    for line in found.requires or []:
        requirement = Requirement(line)
        environments: list[dict[str, str]] = [{"extra": extra} for extra in ("", *extras)]
        if requirement.marker is None or any(requirement.marker.evaluate(one) for one in environments):
            wanted.append((canonical(requirement.name), tuple(sorted(requirement.extras))))
    return wanted


def closure() -> dict[str, tuple[Distribution, set[str]]]:
    """Every package that the shop's extras reach, by name, with the names it needs itself.

    Raises: PackageNotFoundError when one of them is not installed.
    """
    found: dict[str, tuple[Distribution, set[str]]] = {}
    waiting: list[tuple[str, tuple[str, ...]]] = [("smartshelf", EXTRAS)]
    seen: set[tuple[str, tuple[str, ...]]] = set()
    while waiting:
        name, extras = waiting.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        one = installed(name)
        below = needs(one, extras)
        known = found.setdefault(name, (one, set()))[1]
        known.update(other for other, _ in below if other != name)
        waiting += below
    return found


def licences(found: Distribution) -> list[dict[str, Any]]:
    """The licence as the package states it: an SPDX expression, else names."""
    expression = found.metadata.get("License-Expression")
    if expression:
        return [{"expression": expression}]
    names = [line.rpartition(" :: ")[2] for line in found.metadata.get_all("Classifier") or [] if "License ::" in line]
    names = [name for name in names if name != "OSI Approved"]
    stated = (found.metadata.get("License") or "").strip().splitlines()
    if not names and stated and len(stated[0]) <= 80:
        names = [stated[0]]
    return [{"license": {"name": name}} for name in names]


def purl(found: Distribution) -> str:
    return f"pkg:pypi/{canonical(found.metadata['Name'])}@{found.version}"


def component(found: Distribution) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "type": "library", "bom-ref": purl(found), "name": found.metadata["Name"], "version": found.version,
        "purl": purl(found),
    }  # fmt: skip
    stated = licences(found)
    if stated:
        entry["licenses"] = stated
    if found.metadata.get("Summary"):
        entry["description"] = found.metadata["Summary"]
    return entry


def models() -> list[dict[str, Any]]:
    """The shipped models."""
    entries = []
    for path in sorted((ROOT / "models" / "shelf_models" / "shipped").glob("*/manifest.json")):
        manifest = json.loads(path.read_text(encoding="utf-8"))
        entries.append(
            {
                "type": "machine-learning-model", "bom-ref": f"model:{manifest['name']}@{manifest['version']}",
                "name": manifest["name"], "version": manifest["version"],
                "hashes": [{"alg": "SHA-256", "content": manifest["sha256"]}],
                "licenses": [{"license": {"name": manifest["licence"]}}],
            }
        )  # fmt: skip
    return entries


def document() -> dict[str, Any]:
    """The whole document."""
    packages = closure()
    own = packages["smartshelf"][0]
    components = [component(found) for name, (found, _) in sorted(packages.items()) if name != "smartshelf"] + models()
    dependencies = [
        {"ref": purl(found), "dependsOn": sorted(purl(packages[other][0]) for other in below)}
        for _, (found, below) in sorted(packages.items())
    ]
    moment = datetime.fromtimestamp(int(os.environ.get("SOURCE_DATE_EPOCH", "0")) or datetime.now(UTC).timestamp(), UTC)
    content = json.dumps([components, dependencies], sort_keys=True)
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(_NAMESPACE, content)}",
        "version": 1,
        "metadata": {
            "timestamp": moment.isoformat(timespec="seconds").replace("+00:00", "Z"),
            "component": {
                "type": "application", "bom-ref": purl(own), "name": "smartshelf", "version": own.version,
                "purl": purl(own), "licenses": [{"license": {"id": "Apache-2.0"}}],
            },
            "properties": [
                {"name": "smartshelf:extras", "value": " ".join(EXTRAS)},
                {"name": "smartshelf:python", "value": ".".join(map(str, sys.version_info[:2]))},
            ],
        },
        "components": components,
        "dependencies": dependencies,
    }  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    try:
        found = document()
    except PackageNotFoundError as error:
        sys.stderr.write(f"{error}: install smartshelf[{','.join(EXTRAS)}] first\n")
        return 2
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    sys.stdout.write(f"{arguments.out}: {len(found['components'])} components\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

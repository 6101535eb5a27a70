"""Rules of the house that no linter knows."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMPONENTS = ("broker", "collector", "edge", "models", "simulator")


def tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [path for line in listed.stdout.splitlines() if (path := ROOT / line).is_file()]


def packages() -> list[Path]:
    return sorted(path.parent for name in COMPONENTS for path in (ROOT / name).glob("shelf_*/__init__.py"))


def test_the_lists_of_packages_in_pyproject_agree() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    names = {package.name for package in packages()}
    paths = {str(package.relative_to(ROOT)) for package in packages()}
    wheel = settings["hatch"]["build"]["targets"]["wheel"]
    assert set(wheel["only-include"]) == paths | {"smartshelf.py"}
    assert set(settings["mypy"]["packages"]) == names
    for folders in (settings["hatch"]["build"]["dev-mode-dirs"], settings["pytest"]["ini_options"]["pythonpath"]):
        assert set(COMPONENTS) <= set(folders)


def test_every_folder_has_a_short_readme_that_names_its_files() -> None:
    for name in COMPONENTS:
        readme = (ROOT / name / "README.md").read_text()
        assert len(readme.splitlines()) <= 60, f"{name}/README.md is longer than 60 lines"
        for heading in ("What it does", "Run it", "What comes in and goes out", "Files", "How to change it"):
            assert f"## {heading}" in readme, f"{name}/README.md lacks the heading {heading!r}"
    for package in packages():
        readme = (package.parent / "README.md").read_text()
        for entry in sorted(package.iterdir()):
            if entry.name.startswith(("_", ".")) or entry.suffix == ".typed":
                continue
            assert entry.stem in readme, f"{package.parent.name}/README.md does not mention {package.name}/{entry.name}"


TOPIC = re.compile(r"""^(?!\s*>>>).*["']smartshelf/v\d""", re.MULTILINE)


def test_topics_are_put_together_in_the_contract_only() -> None:
    for path in tracked("*.py"):
        if "shelf_contracts" in path.parts or "tests" in path.parts or path.name == "cli.py":
            continue
        assert not TOPIC.search(path.read_text()), (
            f"{path.relative_to(ROOT)} spells a topic: use shelf_contracts.topics"
        )


def test_no_queue_grows_for_ever() -> None:
    bare = re.compile(r"\b(?:queue\.)?(?:Simple)?Queue\(\s*\)")
    for path in tracked("*.py"):
        if "tests" not in path.parts:
            assert not bare.search(path.read_text()), f"{path.relative_to(ROOT)}: a queue needs a size"


def test_nothing_names_the_machine_it_was_written_on() -> None:
    around = str(ROOT.parent) + "/"
    for path in tracked():
        if path.suffix in {".py", ".md", ".toml", ".json", ".js", ".html", ".css", ".sh", ""}:
            assert around not in path.read_text(errors="ignore"), f"{path.relative_to(ROOT)} names {around}"


def test_pages_load_nothing_from_elsewhere() -> None:
    outside = re.compile(r"""(?:src|href|url|import|from)\s*[=(]?\s*["'(](?:https?:)?//(?!127\.0\.0\.1|localhost)""")
    for path in tracked("collector/*.html", "collector/*.js", "collector/*.css"):
        assert not outside.search(path.read_text()), f"{path.relative_to(ROOT)} loads from another host"


README_COMMANDS = re.compile(r"^(?:make|smartshelf) .*$", re.MULTILINE)


@pytest.mark.parametrize("target", ["demo", "test", "check", "screenshots"])
def test_the_readme_and_the_makefile_know_the_same_commands(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
    everywhere = (ROOT / "README.md").read_text() + (ROOT / "CONTRIBUTING.md").read_text()
    assert f"make {target}" in everywhere


def test_decisions_are_listed() -> None:
    listed = (ROOT / "docs" / "adr" / "README.md").read_text()
    for path in sorted((ROOT / "docs" / "adr").glob("0*.md")):
        assert path.name in listed
        assert len(path.read_text().splitlines()) <= 30, f"{path.name} is longer than 30 lines"

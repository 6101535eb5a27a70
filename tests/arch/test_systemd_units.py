"""The systemd units give a service little: measured by systemd's own tool, and the page tells what it said."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
UNITS = sorted(ROOT.glob("*/smartshelf-*.service"))
MOST_EXPOSED = 29  # tenths: the tool fails above its threshold, and 3.0 is already too much


def test_every_service_of_a_shop_has_its_unit() -> None:
    assert {unit.stem for unit in UNITS} == {f"smartshelf-{name}" for name in ("edge", "collector", "broker", "pki")}


def test_the_broker_does_not_see_the_authoritys_key() -> None:
    text = (ROOT / "broker" / "smartshelf-broker.service").read_text()
    assert "InaccessiblePaths=-%S/smartshelf-server/pki/authority\n" in text


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_exposes_little(unit: Path) -> None:
    tool = shutil.which("systemd-analyze")
    if tool is None:
        pytest.skip("systemd-analyze is not installed (Debian package systemd)")
    # By its whole path: a bare name is looked up among the installed units.
    result = subprocess.run(
        [tool, "security", "--offline=true", "--no-pager", f"--threshold={MOST_EXPOSED}", str(unit)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    said = (result.stdout + result.stderr).strip()
    assert result.returncode == 0, said[-2000:]
    measured = re.search(r"exposure level for \S+: (\d+\.\d)", said)
    assert measured is not None, said[-500:]
    assert float(measured[1]) < 3.0
    row = re.search(rf"`{unit.relative_to(ROOT)}` (\d+\.\d)", (ROOT / "docs" / "security.md").read_text())
    assert row is not None, f"docs/security.md tells nothing of {unit.name}"
    # Releases of systemd weigh a little differently.
    assert abs(float(row[1]) - float(measured[1])) <= 0.3, f"docs/security.md says {row[1]}, measured {measured[1]}"

"""Known holes in the packages installed here, by pip-audit: python scripts/known_holes.py.

Ends with 1 when there is one. Where the database cannot be reached, or knows none of the packages (a mirror without
it), it says so and ends with 0: a check that needs the internet must not stop one that does not.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass

_DEADLINE_S = 240


@dataclass(frozen=True)
class Verdict:
    """What came of it; ``is_bad`` when a hole is known."""

    text: str
    is_bad: bool = False


def judge(report: str) -> Verdict:
    """What pip-audit's JSON says.

    >>> judge('{"dependencies": [{"name": "a", "skip_reason": "not found"}]}').text
    'skipped: the database knows none of the 1 packages (a mirror without it?)'
    """
    try:
        found = json.loads(report)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return Verdict("skipped: the database of known holes cannot be reached")
    audited = [one for one in found if "version" in one]
    if not audited:
        return Verdict(f"skipped: the database knows none of the {len(found)} packages (a mirror without it?)")
    holes = [
        f"{one['name']} {one['version']}: {hole['id']}, mended in {', '.join(hole['fix_versions']) or 'no version yet'}"
        for one in audited
        for hole in one["vulns"]
    ]
    unknown = len(found) - len(audited)
    text = f"{len(audited)} packages looked up, {unknown} not known to the database, {len(holes)} holes"
    return Verdict("\n".join([text, *holes]), bool(holes))


def main() -> int:
    command = [sys.executable, "-m", "pip_audit", "--skip-editable", "--progress-spinner", "off", "--timeout", "10",
               "--format", "json"]  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_DEADLINE_S, check=False)
    except subprocess.TimeoutExpired:
        verdict = Verdict(f"skipped: no answer within {_DEADLINE_S} s")
    else:
        missing = "No module named" in done.stderr
        verdict = Verdict("skipped: pip-audit is not installed (extra dev)") if missing else judge(done.stdout)
    sys.stdout.write(f"known holes: {verdict.text}\n")
    return 1 if verdict.is_bad else 0


if __name__ == "__main__":
    raise SystemExit(main())

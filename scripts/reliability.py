"""Write docs/reliability.md: run what it reports, keep each run's JSON, and put the figures down as they are.

Usage: python scripts/reliability.py [--parts chaos mosquitto long soak] [--seconds 60] [--long 600] [--minutes 30]
(make reliability). Parts that are not named are taken from the folder's JSON of an earlier run; a part without any is
said to be missing.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import textwrap
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SEEDS = range(1, 11)
PARTS = ("chaos", "mosquitto", "long", "soak")


ABOUT = """
Written by `python scripts/reliability.py` on {date}, Python {python}, {system}. Two cores, shared with other work,
everything at low priority: times are those of a busy machine, and pessimistic. Kills are of processes: the page cache
survives them. Databases are synced at each commit (`synchronous=FULL`), but no power was cut.
"""
PROTOCOL = """
A broker, a collector and three nodes, each on its own cable (a proxy). A node invents 50 events a second and puts them
through the outbox, journal and publisher of a real node; every tenth message is a stock level. Every 2 to 5 s comes the
next fault of a shuffled deck of eight: kill -9 of broker, collector or a node (started again after 0 to 2 s); kill -9
of the broker and its state wiped; the cable of a part cut for 10 s (stalled or refused); an outbox whose file may grow
by twelve pages and no more, with its cable stalled, for 10 s; a part's wall clock set an hour forward or back; a cable
that repeats and reorders deliveries, both ways, for 10 s. Faults overlap. After the last one the nodes fall silent,
and it waits until the outboxes are empty.

Before and after its outbox takes an event a node writes the event's own mark into a ledger. *Published* are the marks
that were taken; *applied* those in the collector's history. Sequence numbers play no part in this. The last stock level
said for each slot must be the one held, or the exit code is 1; so it is when a process does not stop within 10 s of
SIGTERM. While its disk is full a node says nothing new: what is not on disk is not published. *Recovery* runs from the
end of a fault (a kill: from the kill) until an event made later than that was applied from every node; it includes what
other faults do meanwhile.
"""
SOAK = """
One node watches the simulated cameras (people at the shelves all the time), one only speaks: together at least ten
times the messages of an ordinary hour (an interaction every six seconds at each bay, three messages each). The first
third is warm-up; slope by least squares after it. Flat: memory rose by at most 8 MB or 5 %, open files by at most 3,
threads by at most 2.
"""


def paragraphs(text: str) -> list[str]:
    """Each paragraph within 120 columns, with an empty line after it."""
    lines: list[str] = []
    for paragraph in text.strip().split("\n\n"):
        lines += [*textwrap.wrap(" ".join(paragraph.split()), 120, break_on_hyphens=False), ""]
    return lines


def smartshelf(out: Path, *arguments: str) -> None:
    """Run a command whose last line is JSON; its exit code goes into the file with it."""
    command = [sys.executable, str(ROOT / "smartshelf.py"), *arguments, "--json"]
    ended = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    lines = ended.stdout.splitlines()
    content: dict[str, Any] = json.loads(lines[-1]) if lines else {}
    told = "smartshelf " + " ".join(arguments)
    out.write_text(json.dumps({"command": told, "exit_code": ended.returncode, **content}) + "\n")


def run(part: str, results: Path, options: argparse.Namespace) -> None:
    for old in results.glob(f"{part}-*.json"):
        old.unlink()
    if part == "soak":
        smartshelf(results / "soak-1.json", "soak", "--minutes", str(options.minutes))
    elif part == "long":
        smartshelf(results / "long-1.json", "chaos", "--seconds", str(options.long), "--seed", "42")
    else:
        broker = "embedded" if part == "chaos" else "mosquitto"
        for seed in SEEDS:
            smartshelf(
                results / f"{part}-{seed:02}.json", "chaos", "--seconds", str(options.seconds), "--seed", str(seed),
                "--broker", broker,
            )  # fmt: skip


def chaos_table(runs: list[dict[str, Any]]) -> list[str]:
    rows = [
        "| seed | faults | kills | published | applied | lost | applied twice | refused as duplicates | healed gaps | "
        "longest recovery s | drained in s | slowest stop s | exit code |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for one in runs:
        if "published" not in one:
            rows.append(f"| `{one['command']}` | gave no verdict |||||||||||{one['exit_code']} |")
            continue
        cells = [
            one["seed"], sum(one["faults"].values()), one["kills"], one["published"], one["applied"], one["lost"],
            one["duplicates_applied"], one["audit"]["duplicates"], one["audit"]["healed"], one["longest_recovery_s"],
            one["drain_s"], one["slowest_stop_s"], one["exit_code"],
        ]  # fmt: skip
        rows.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    return rows


def soak_table(one: dict[str, Any]) -> list[str]:
    rows = [
        "| process | resident MB | slope MB/h | rise MB | open files | threads | flat |",
        "|---|---|---|---|---|---|---|",
    ]
    for process in one.get("processes", []):
        files, threads = (f"{early} → {late}" for early, late in (process["files"], process["threads"]))
        cells = [
            process["process"], process["rss_mb"], process["rss_slope_mb_h"], process["rss_rise_mb"], files, threads,
            "yes" if process["is_flat"] else "**no**",
        ]  # fmt: skip
        rows.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    return rows


def page(results: Path) -> str:
    found = {part: [json.loads(file.read_text()) for file in sorted(results.glob(f"{part}-*.json"))] for part in PARTS}
    missing = "*Not run yet.*"
    lines = [
        "# Reliability: what was measured",
        "",
        *paragraphs(
            ABOUT.format(
                date=f"{datetime.now(UTC):%Y-%m-%d}",
                python=platform.python_version(),
                system=f"{platform.system()} {platform.machine()}",
            )
        ),
        "## Protocol of `smartshelf chaos`",
        "",
        *paragraphs(PROTOCOL),
    ]
    for part, heading in (
        ("chaos", "Embedded broker (NATS, MQTT 3.1.1)"),
        ("mosquitto", "Mosquitto 2.0 (MQTT 5)"),
        ("long", "One long run"),
    ):
        runs = found[part]
        seeds = f": {len(runs)} runs" if len(runs) > 1 else ""
        lines += ["", f"## {heading}{seeds}", ""]
        lines += [f"`{runs[0]['command']}`" + (" and so on" if len(runs) > 1 else ""), ""] if runs else []
        lines += chaos_table(runs) if runs else [missing]
    lines += ["", "## Soak", ""]
    if found["soak"]:
        one = found["soak"][0]
        lines += [
            *paragraphs(f"`{one['command']}`, {one.get('cameras')} cameras. {SOAK}"),
            *soak_table(one),
            "",
            f"{one.get('messages')} messages, {one.get('messages_per_s')} a second; audit {one.get('audit')}; "
            f"exit code {one['exit_code']}.",
        ]
    else:
        lines += [missing]
    note = results / "notes.md"
    lines += ["", note.read_text().rstrip()] if note.exists() else []
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=list(PARTS))
    parser.add_argument("--results", type=Path, default=ROOT / "build" / "reliability")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "reliability.md")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--long", type=int, default=600)
    parser.add_argument("--minutes", type=float, default=30)
    options = parser.parse_args()
    options.results.mkdir(parents=True, exist_ok=True)
    for part in options.parts:
        run(part, options.results, options)
    options.out.write_text(page(options.results), encoding="utf-8")


if __name__ == "__main__":
    main()

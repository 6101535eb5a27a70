"""Fuzz the parsers of outside input, led by coverage: python scripts/fuzz.py --seconds 60 [--target message].

Needs the extra ``fuzz`` (atheris). Ends with 1 when a parser broke; the input is kept in runs/fuzz/TARGET/.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ["broker", "edge", "collector", "models", "simulator", "tests"]
INSTRUMENTED = ["shelf_contracts", "shelf_edge", "shelf_collector", "tomllib", "json", "csv", "urllib"]
LARGEST_INPUT = 8192


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target")
    parser.add_argument("--seconds", type=int, default=60)
    arguments = parser.parse_args()
    sys.path[:0] = [str(ROOT), *(str(ROOT / package) for package in PACKAGES)]
    if arguments.target:
        return fuzz_one(arguments.target, arguments.seconds)
    from shelf_testing.fuzz_targets import TARGETS

    broken = []
    for name in TARGETS:
        command = [sys.executable, __file__, "--target", name, "--seconds", str(arguments.seconds)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        runs = [line for line in done.stderr.splitlines() if line.startswith(("Done", "stat::number_of"))]
        sys.stdout.write(f"{name}: {'broke' if done.returncode else 'held'} {' '.join(runs)}\n")
        if done.returncode:
            broken.append(name)
            sys.stdout.write(done.stderr[-3000:] + "\n")
    return 1 if broken else 0


def fuzz_one(name: str, seconds: int) -> int:
    import atheris

    with atheris.instrument_imports(include=INSTRUMENTED):
        from shelf_testing.fuzz_targets import TARGETS
    target = TARGETS[name]
    kept = ROOT / "runs" / "fuzz" / name
    corpus = kept / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds):
        (corpus / f"seed-{number}").write_bytes(seed[:LARGEST_INPUT])
    options = [f"-max_total_time={seconds}", f"-max_len={LARGEST_INPUT}", "-timeout=10", "-rss_limit_mb=2048",
               f"-artifact_prefix={kept}/", str(corpus)]  # fmt: skip
    atheris.Setup([sys.argv[0], *options], target.run)
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

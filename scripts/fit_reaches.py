"""Makes the table of ``shelf_edge.core.reaching.ReachWeights`` again: a logistic fit to what hands truly did.

Every hand that the node sees with its fingers in a slot is an example. It reaches when the truth tells of a touch of
that slot at the time; looks just before and after a touch, and those near a change of the count that no event stands
for, are left out. Slow: each recording is rendered and detected unless the cache has it.

    python scripts/fit_reaches.py --take dev:0 --take dev:1 --take varied:0 --check dev:2 --check varied:1
"""

from __future__ import annotations

import argparse
import sys
import threading
from dataclasses import astuple, fields
from pathlib import Path

import numpy as np
import numpy.typing as npt

from shelf_contracts.shipped import model_folder
from shelf_contracts.truth import TruthLog
from shelf_edge.adapters.camera_files import open_recording
from shelf_edge.adapters.detector_onnx import load_detector
from shelf_edge.adapters.model_folder import locate_model
from shelf_edge.adapters.remembered import RememberingDetector, detector_fingerprint
from shelf_edge.adapters.rendered import Take, rendered
from shelf_edge.core.bay import Bay
from shelf_edge.core.reaching import ReachFigures, ReachWeights
from shelf_edge.core.still import StillLooks
from shelf_edge.ports import SourceEnded

SCENARIOS = (
    "bags", "busy", "demo", "grabs", "look-alikes", "occluders", "restocking", "rush", "transparent-bottles",
    "two-hands",
)  # fmt: skip
SECONDS = 45.0
BORDER_S = 0.5
UNTOLD_S = 6.0
"""The truth tells of a touch when it is over: for so long around a change without an event nobody knows."""
SHRINK = 1.0

Table = npt.NDArray[np.float64]


def reaches(log: TruthLog, slot: str, at_s: float, end_s: float) -> bool | None:
    """Whether a hand was in the slot; None where the truth does not say, or it is just coming or leaving."""
    touches = [event for event in log.events if event.slot == slot]
    if any(touch.begin_s <= at_s <= touch.clear_s for touch in touches):
        return True
    untold = [
        change.t_s
        for change in log.counts
        if change.slot == slot and change.t_s > 0
        and not any(touch.begin_s <= change.t_s <= touch.clear_s for touch in touches)
    ]  # fmt: skip
    near_touch = any(touch.begin_s - BORDER_S <= at_s <= touch.clear_s + BORDER_S for touch in touches)
    near_untold = any(abs(at_s - change_s) < UNTOLD_S for change_s in untold)
    return None if near_touch or near_untold or at_s > end_s - 1.5 else False


def examples(take: Take, cache: Path) -> tuple[Table, Table]:
    """Figures (n, 6) of the hands of a recording, and whether they reach (n,), 0 or 1."""
    recording = rendered(take, cache, threading.Event(), lambda frames: None)
    files = locate_model(model_folder())
    detector = RememberingDetector(
        recording.folder / f"detections-{detector_fingerprint(files, None)}.seen",
        lambda: load_detector(model_folder(), threads=1, score_threshold=None, tells_faint=True),
    )
    planogram, log = recording.planogram(), recording.truth()
    bay, still = Bay(planogram, planogram.views[0].camera), StillLooks()
    source = open_recording(recording.pictures, take.fps)
    rows: list[tuple[float, ...]] = []
    labels: list[float] = []
    try:
        while True:
            frame = source.read()
            bay.advance(frame, still.look(detector.detect, frame.image) if bay.wants_look(frame) else None)
            if bay.sight.state != "clear":
                continue
            for hand in bay.hands_in_slots:
                label = reaches(log, hand.slot, frame.captured_s, take.seconds)
                if label is not None:
                    rows.append(astuple(hand.figures))
                    labels.append(float(label))
    except SourceEnded:
        pass
    finally:
        source.close()
        detector.keep()
    return np.array(rows).reshape(-1, len(fields(ReachFigures))), np.array(labels)


def fit(figures: Table, labels: Table) -> Table:
    """Base and weights (1 + k,) of a logistic regression of figures (n, k), shrunk a little, by Newton's steps."""
    mean, spread = figures.mean(axis=0), figures.std(axis=0) + 1e-9
    inputs = np.column_stack([np.ones(len(figures)), (figures - mean) / spread])
    shrink = SHRINK * np.diag([0.0, *np.ones(figures.shape[1])])
    weights = np.zeros(inputs.shape[1])
    for _ in range(50):
        share = 1 / (1 + np.exp(-np.clip(inputs @ weights, -30, 30)))
        slope = inputs.T @ (share - labels) + shrink @ weights
        step = np.linalg.solve((inputs * (share * (1 - share))[:, None]).T @ inputs + shrink, slope)
        weights -= step
        if np.abs(step).max() < 1e-8:
            break
    scaled = weights[1:] / spread
    return np.array([weights[0] - float(mean @ scaled), *scaled])


def right_share(table: Table, figures: Table, labels: Table) -> float:
    """How often a hand that reaches has higher odds than one that does not (the area under the ROC curve)."""
    order = np.argsort(np.argsort(figures @ table[1:], kind="stable"), kind="stable") + 1
    true = labels > 0
    return float((order[true].sum() - true.sum() * (true.sum() + 1) / 2) / max(true.sum() * (~true).sum(), 1))


def takes_of(names: list[str], scenarios: list[str]) -> list[Take]:
    pairs = [name.split(":") for name in names]
    return [Take(scenario, split, int(number), SECONDS) for split, number in pairs for scenario in scenarios]


def main() -> int:
    parser = argparse.ArgumentParser(description="Fit the weights of reaching hands.")
    parser.add_argument("--take", action="append", metavar="SPLIT:NUMBER", help="recordings to fit to")
    parser.add_argument("--check", action="append", metavar="SPLIT:NUMBER", help="recordings to look at only")
    parser.add_argument("--scenario", action="append", help="only these scenarios")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache/smartshelf/score")
    given = parser.parse_args()
    names = {"fit": given.take or ["dev:0", "dev:1", "varied:0"], "check": given.check or []}
    if any(name.startswith("hidden") for group in names.values() for name in group):
        parser.error("the hidden store is measured on, never fitted to")
    found = {}
    for group, takes in names.items():
        seen = []
        for take in takes_of(takes, given.scenario or list(SCENARIOS)):
            seen.append(examples(take, given.cache))
            sys.stderr.write(f"{take.name}: {len(seen[-1][1])} looks at hands in slots\n")
        if seen:
            found[group] = tuple(np.concatenate(part) for part in zip(*seen, strict=True))
    table = fit(*found["fit"])
    for field, weight in zip(fields(ReachWeights), table.tolist(), strict=True):
        sys.stdout.write(f"    {field.name}: float = {weight:.2f}\n")
    for group, (figures, labels) in found.items():
        share = right_share(table, figures, labels)
        sys.stdout.write(f"{group}: {len(labels)} looks, {labels.mean():.3f} of them reach, told apart {share:.3f}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

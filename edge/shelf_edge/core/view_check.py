"""Whether a camera's view of its slots can be: two slots cannot be seen in one place."""

from __future__ import annotations

import numpy as np

from shelf_contracts.errors import Problem, and_more
from shelf_contracts.planogram import View
from shelf_edge.core.geometry import contains, interior_points

MOST_SHARED = 0.6
"""Neighbours may be drawn a little over one another, and one may be seen before another; more is a mistake."""


def view_problems(view: View) -> list[Problem]:
    """Slots of which most lies on others, each once, with those it lies on."""
    fronts = {slot: np.array(seen.front, float) for slot, seen in view.slots.items()}
    points = {slot: interior_points(front) for slot, front in fronts.items()}
    names = list(fronts)
    found = []
    for index, other in enumerate(names):
        on = []
        for one in names[:index]:
            low = np.maximum(fronts[one].min(axis=0), fronts[other].min(axis=0))
            high = np.minimum(fronts[one].max(axis=0), fronts[other].max(axis=0))
            if (low >= high).any():
                continue
            shared = max(
                float(contains(fronts[other], points[one]).mean()), float(contains(fronts[one], points[other]).mean())
            )
            if shared > MOST_SHARED:
                on.append(f"{one!r} ({100 * shared:.0f} %)")
        if on:
            remedy = f"calibrate camera {view.camera} again: smartshelf edge calibrate"
            told = f"lies on {and_more(on)}"
            found.append(
                Problem(
                    f"views.{view.camera}.slots.{other}",
                    told,
                    "must be a place of its own, not on another slot",
                    remedy,
                )
            )
    return found

"""Whether a camera's view of its slots can be: two slots cannot be seen in one place."""

from __future__ import annotations

import numpy as np

from shelf_contracts.errors import Problem
from shelf_contracts.planogram import View
from shelf_edge.core.geometry import contains, interior_points

MOST_SHARED = 0.6
"""Neighbours may be drawn a little over one another, and one may be seen before another; more is a mistake."""


def view_problems(view: View) -> list[Problem]:
    """Slots of which most lies on another one, each pair once."""
    fronts = {slot: np.array(seen.front, float) for slot, seen in view.slots.items()}
    points = {slot: interior_points(front) for slot, front in fronts.items()}
    names = list(fronts)
    found = []
    for index, one in enumerate(names):
        for other in names[index + 1 :]:
            low = np.maximum(fronts[one].min(axis=0), fronts[other].min(axis=0))
            high = np.minimum(fronts[one].max(axis=0), fronts[other].max(axis=0))
            if (low >= high).any():
                continue
            shared = max(
                float(contains(fronts[other], points[one]).mean()), float(contains(fronts[one], points[other]).mean())
            )
            if shared > MOST_SHARED:
                told = f"{100 * shared:.0f} % of it lies on {one!r}"
                remedy = f"calibrate camera {view.camera} again: smartshelf edge calibrate"
                found.append(Problem(f"views.{view.camera}.slots.{other}", told, "must be a place of its own", remedy))
    return found

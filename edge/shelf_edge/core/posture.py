"""Items that do not stand as they should: one that lies, one that was pushed back. Told once, nobody near the slot.

A lying item's box is as wide as the item is high, and much lower. One pushed back by less than half a row is still the
same item: one row further back would mean that the one before it was taken, so that is a taking. Nothing is pushed back
by itself: it is told only of what stood elsewhere before somebody came near. An item a little off its row, in a light
that comes and goes, would else be told again and again. Nor does much fall by itself: that takes long to believe.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from shelf_edge.core.detections import Boxes
from shelf_edge.core.facts import SlotFact
from shelf_edge.core.geometry import Points, base_points, project
from shelf_edge.core.memory import ColumnMemory
from shelf_edge.core.slot_view import ColumnView, SlotGeometry

_LIES_BEFORE_SHARE = 0.3
"""An item lies before a column when its box is before more than this share of its width."""


@dataclass(frozen=True)
class PostureRules:
    """Attributes:
    lasting_s: it must be seen so for this long before it is told, and as long not before it may be told again.
    least_looks: and in so many looks.
    tall: only items so much higher than wide can be told to lie.
    long_shares: a lying item's box is as wide as a standing one's is high, within these factors.
    low_widths: and at most so many widths of a standing one high.
    pushed_rows: from and up to so far behind its place an item was pushed.
    judged_s: for so long after somebody was near the slot something may have been pushed, or fallen.
    unseen_s: what lies must do so for this long where nobody was near.
    usual_share: how much each later look without anybody says of where an item usually is seen to stand, 0 to 1.
    """

    lasting_s: float = 4.0
    least_looks: int = 3
    tall: float = 1.6
    long_shares: tuple[float, float] = (0.72, 1.15)
    low_widths: float = 1.45
    pushed_rows: tuple[float, float] = (0.25, 0.48)
    judged_s: float = 60.0
    unseen_s: float = 600.0
    usual_share: float = 0.1


@dataclass
class _Lasting:
    """Since when something holds, or no longer does."""

    is_told: bool = False
    since_s: float = math.nan
    looks: int = 0

    def follow(self, holds: bool, now_s: float, rules: PostureRules, lasting_s: float | None = None) -> bool:
        """True once, when it has held for long enough; ``lasting_s``: how long that is, by default as the rules say."""
        if holds == self.is_told:
            self.since_s, self.looks = math.nan, 0
            return False
        if math.isnan(self.since_s):
            self.since_s = now_s
        self.looks += 1
        enough_s = rules.lasting_s if lasting_s is None or not holds else lasting_s
        if now_s - self.since_s < enough_s or self.looks < rules.least_looks:
            return False
        self.is_told, self.since_s, self.looks = holds, math.nan, 0
        return holds


class PostureWatch:
    """One slot; ``step`` takes the looks at which nobody is near it, in the order of time."""

    def __init__(self, rules: PostureRules) -> None:
        self._rules = rules
        self._fallen = _Lasting()
        self._pushed = _Lasting()
        self._disturbed_s = -math.inf
        self._settled: tuple[ColumnMemory, ...] = ()
        self._usual: list[float | None] = []

    @property
    def told_fallen(self) -> bool:
        return self._fallen.is_told

    def recall(self, told_fallen: bool) -> None:
        """It was told before a restart."""
        self._fallen.is_told = told_fallen

    def disturb(self, now_s: float) -> None:
        """Somebody is near the slot."""
        self._disturbed_s = now_s

    def step(
        self,
        geometry: SlotGeometry,
        boxes: Boxes,
        views: tuple[ColumnView, ...],
        settled: tuple[ColumnMemory, ...],
        now_s: float,
    ) -> list[SlotFact]:
        """What is to be told.

        Args:
            boxes: (n, 4) of products, in picture pixels.
            views: the slot's columns in this look. settled: as they were counted last; empty before the first count.
        """
        if geometry.to_board is None or not settled:
            return []
        told = []
        count = sum(column.count for column in settled)
        may_be_done = now_s - self._disturbed_s <= self._rules.judged_s
        lasting_s = None if may_be_done else self._rules.unseen_s
        if self._fallen.follow(has_fallen(geometry, boxes, self._rules), now_s, self._rules, lasting_s):
            text = "an item seems to lie on its side"
            told.append(SlotFact("anomaly", geometry.slot, 1, count, count, 0.7, now_s, now_s, "fallen", text))
        self._compare_with(settled)
        if not may_be_done:
            self._learn(views)
            return told
        if self._pushed.follow(self._is_pushed(views), now_s, self._rules):
            text = "an item seems to be pushed back"
            told.append(SlotFact("anomaly", geometry.slot, 1, count, count, 0.6, now_s, now_s, "pushed-back", text))
        return told

    def _compare_with(self, settled: tuple[ColumnMemory, ...]) -> None:
        """What was counted anew stands where it was seen then."""
        if len(settled) != len(self._settled):
            self._usual = [column.depth for column in settled]
        for index, (before, column) in enumerate(zip(self._settled, settled, strict=False)):
            if before != column:
                self._usual[index] = column.depth
        self._settled = settled

    def _learn(self, views: tuple[ColumnView, ...]) -> None:
        """Nobody is near: what is seen is where it stands, and was not pushed."""
        self._pushed = _Lasting()
        for index, view in enumerate(views):
            usual = self._usual[index]
            if usual is not None and _tells_depth(view):
                self._usual[index] = usual + self._rules.usual_share * (view.depth - usual)

    def _is_pushed(self, views: tuple[ColumnView, ...]) -> bool:
        nearest, farthest = self._rules.pushed_rows
        return any(
            usual is not None and _tells_depth(view) and nearest <= view.depth - usual <= farthest
            for view, usual in zip(views, self._usual, strict=True)
        )


def _tells_depth(view: ColumnView) -> bool:
    return view.visible > 0 and view.is_whole and not view.is_behind_lying


def has_fallen(geometry: SlotGeometry, boxes: Boxes, rules: PostureRules) -> bool:
    """Whether one of the boxes (n, 4) is a product of the slot that lies on its board."""
    return len(lying_boxes(geometry, boxes, rules)) > 0


def behind_lying(
    geometry: SlotGeometry, boxes: Boxes | Points, views: tuple[ColumnView, ...], rules: PostureRules
) -> tuple[ColumnView, ...]:
    """The columns of a look, those marked before which an item lies: where it lies is not where their items stand."""
    lying = lying_boxes(geometry, boxes, rules)
    if not len(lying):
        return views
    seen = []
    for view, points in zip(views, geometry.column_samples, strict=True):
        left, right = points[:, 0].min(), points[:, 0].max()
        shared = np.minimum(lying[:, 2], right) - np.maximum(lying[:, 0], left)
        is_behind = bool((shared > _LIES_BEFORE_SHARE * (right - left)).any())
        seen.append(replace(view, is_behind_lying=True) if is_behind else view)
    return tuple(seen)


def lying_boxes(geometry: SlotGeometry, boxes: Boxes | Points, rules: PostureRules) -> Points:
    """Those of the boxes (n, 4) that are a product of the slot that lies on its board."""
    nothing: Points = np.zeros((0, 4))
    to_picture = geometry.to_picture
    if geometry.to_board is None or to_picture is None or not len(boxes) or geometry.item_aspect < rules.tall:
        return nothing
    corners = np.asarray(boxes, float)
    on_board = project(geometry.to_board, base_points(corners))
    is_here = ((on_board > 0) & (on_board < 1)).all(axis=1) & np.isfinite(on_board).all(axis=1)
    if not is_here.any():
        return nothing
    aside = np.array([geometry.item_width / 2, 0.0])
    spans = project(to_picture, on_board[is_here] + aside) - project(to_picture, on_board[is_here] - aside)
    wide = np.hypot(spans[:, 0], spans[:, 1])
    here = corners[is_here]
    sides = here[:, 2:] - here[:, :2]
    least, most = rules.long_shares
    lengths = sides[:, 0] / (geometry.item_aspect * wide)
    is_long = (lengths >= least) & (lengths <= most)
    is_low = sides[:, 1] <= rules.low_widths * wide
    # Of two that stand behind another only the tops are seen, as one wide and low box: what lies must be seen whole.
    is_free = np.array([not _hides(here, row) for row in range(len(here))], bool)
    is_below_ceiling = here[:, 1] > geometry.ceiling_px + 0.45 * wide
    return np.asarray(here[is_long & is_low & is_free & is_below_ceiling], np.float64)


def _hides(boxes: Points, row: int) -> bool:
    """Whether a box of (n, 4) whose base is lower in the picture overlaps that one."""
    x1, y1, x2, y2 = boxes[row]
    across = np.minimum(boxes[:, 2], x2) - np.maximum(boxes[:, 0], x1)
    down = np.minimum(boxes[:, 3], y2) - np.maximum(boxes[:, 1], y1)
    return bool(((boxes[:, 3] > y2 + 1) & (across > 0.1 * (x2 - x1)) & (down > 0)).any())

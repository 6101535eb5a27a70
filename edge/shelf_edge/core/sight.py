"""What a camera's pictures are worth: the lights are off, the picture stands still, the lens is covered, it was moved.

Once a second a small grey picture is compared with a reference of the same view. Both are high-passed and divided by
their local contrast, so that a day's light changes little; people are blanked out. Phase correlation finds a shift, the
enhanced correlation coefficient (Evangelidis and Psarakis 2008, ``cv2.findTransformECC``) the turn that goes with it.
What they do not find again, landmarks may (``core.registration``).
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from shelf_edge.core.detections import Boxes
from shelf_edge.core.frame import Picture
from shelf_edge.core.geometry import Matrix, project
from shelf_edge.core.registration import (
    NOISE_BLUR_PX,
    Features,
    Landmarks,
    RegistrationRules,
    RememberedView,
    features,
    find_again,
    find_by_landmarks,
    laid_back,
    likeness,
    travel,
)

State = Literal["clear", "dark", "frozen", "obstructed", "moved"]

_WIDTH_PX = 320
_LEARN = 0.05
_AS_USUAL = 0.94
_ENOUGH = 0.4
_ENOUGH_AT_FIRST = 0.8
_MOST_FIRST = 30
_GRID = 9


@dataclass(frozen=True)
class SightRules:
    """When to distrust a camera. Times in seconds; lengths as shares of the picture's width.

    Attributes:
        check_every_s: pause between comparisons with the reference.
        check_at_rest_s: the same while no more than ``stirred_share`` of the picture changes.
        check_in_doubt_s: the same while the camera seems to have moved.
        jolt_share: when more than this share of the picture changes between two frames, the camera was knocked or the
            light went: nothing is certain before the next comparison. People change less.
        jolt_pause_s: after such a comparison as much change means nothing for so long.
        dark_level: lights are off when 99 of 100 pixels are darker than this (0 to 255). In the light of dawn, below a
            fifth of a shop's, one slot in five is counted wrong.
        dark_s, obstructed_s: for so long, before it is said; a picture that is dark from the first on is so at once.
        frozen_s: a picture without any change at all for this long stands still; sensors have noise.
        sharp_share: a covered or dirty lens shows less than this share of the contrast that was usual.
        still_share: shifts up to this are noise.
        follow_share: shifts up to this are followed and that is all; larger ones ask for a new calibration too.
        likeness: the least correlation with the reference at which a shift is believed.
        unexplained_share: a camera whose view still looks as before moved only when at most so much of the unlikeness
            is left.
        agreeing: so many comparisons in a row must agree on a shift, to ``agree_share``.
        lost_checks: so many without any likeness mean that the camera looks elsewhere.
        seek_every_s: pause between searches for landmarks while it does.
        recall_s: while the first reference is made nothing is concluded where landmarks are known from before, for so
            long at most.
        registration: when a view that was found again by its landmarks is believed.
    """

    check_every_s: float = 1.0
    check_at_rest_s: float = 20.0
    stirred_share: float = 0.002
    check_in_doubt_s: float = 0.4
    jolt_share: float = 0.45
    jolt_pause_s: float = 10.0
    dark_level: int = 40
    dark_s: float = 2.0
    frozen_s: float = 30.0
    sharp_share: float = 0.4
    obstructed_s: float = 6.0
    still_share: float = 0.003
    agree_share: float = 0.004
    follow_share: float = 0.06
    likeness: float = 0.5
    unexplained_share: float = 0.75
    agreeing: int = 3
    lost_checks: int = 20
    seek_every_s: float = 5.0
    recall_s: float = 15.0
    registration: RegistrationRules = field(default_factory=RegistrationRules)


@dataclass(frozen=True, eq=False)
class Sight:
    """What can be made of the pictures now.

    Attributes:
        text: what is wrong and what to do, or what was done; empty when all is as it was set up.
        warp: (3, 3), where a pixel of the picture at calibration lies now; None when the camera did not move.
        is_far: it moved so far that somebody should see to it, although the slots were moved with it.
    """

    state: State
    text: str = ""
    warp: Matrix | None = None
    is_far: bool = False


class SightWatch:
    """Follows one camera; ``step`` takes every frame in the order of time.

    Args:
        width_px, height_px: of the camera's pictures.
        before: where the landmarks were before the camera was last out of sight; of a picture of this size only.
    """

    def __init__(self, rules: SightRules, width_px: int, height_px: int, before: RememberedView | None = None) -> None:
        self._rules = rules
        self._scale = max(1.0, width_px / _WIDTH_PX)
        self._size = (round(width_px / self._scale), round(height_px / self._scale))
        self._window = cv2.createHanningWindow(self._size, cv2.CV_32F)
        self._sight = self._placed = Sight("clear")
        self._reference: Features | None = None
        self._first: list[Features] = []
        self._usual = 1.0
        self._applied: Matrix = np.eye(3)
        self._origin: Matrix = np.eye(3)
        self._calibrated: Landmarks | None = None
        if before is not None and (before.width_px, before.height_px) == self._size:
            self._calibrated = before.landmarks
        self._begun_s = math.inf
        self._sharp = 0.0
        self._changed_s = -math.inf
        self._lit_s = -math.inf
        self._was_lit = False
        self._seen_s = -math.inf
        self._checked_s = -math.inf
        self._stirred = True
        self._is_suspect = False
        self._is_jolted = False
        self._is_seeking = self._calibrated is not None
        self._jolts_count_from_s = -math.inf
        self._shifts: deque[Matrix] = deque(maxlen=rules.agreeing)
        self._landmarks: Landmarks | None = None
        self._sought_s = -math.inf
        self._unlike = 0

    @property
    def sight(self) -> Sight:
        return self._sight

    @property
    def is_in_doubt(self) -> bool:
        """The camera seems to have moved, but how far is not certain yet: nothing should be concluded now."""
        return bool(self._shifts) or self._unlike > 0 or self._is_jolted or self._is_seeking

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height of the small picture that landmarks are found in."""
        return self._size

    @property
    def landmarks(self) -> Landmarks | None:
        """Where a camera that hangs as it was calibrated sees them; None before there is a reference."""
        if self._reference is None:
            return self._calibrated
        if self._calibrated is not None and self._travel(self._origin) > self._rules.still_share:
            return self._calibrated  # from elsewhere only a part of the calibrated view was seen
        own = self._own_landmarks()
        return Landmarks(project(_inverse(self._origin), own.at_px), own.looks)

    def wants_look(self, now_s: float) -> bool:
        """In doubt, and the next comparison is due: it has to be known where people stand."""
        return self.is_in_doubt and now_s - self._checked_s >= self._rules.check_in_doubt_s

    def step(self, image: Picture, now_s: float, *, is_same: bool, changed: float, people_px: Boxes | None) -> Sight:
        """The camera's sight after one more frame.

        Args:
            is_same: the picture is exactly the one before, to the last pixel.
            changed: share of the picture that changed since the frame before, 0 to 1: while nothing stirs, there is
                nothing to compare.
            people_px: (n, 4) boxes of hands and bodies; None when the detector did not look at this frame.
        """
        if math.isinf(self._lit_s):
            self._lit_s = self._seen_s = self._changed_s = now_s
        if not is_same:
            self._changed_s = now_s
        if now_s - self._changed_s >= self._rules.frozen_s:
            self._sight = Sight("frozen", f"the picture has not changed at all for {self._rules.frozen_s:g} s")
            return self._sight
        if self._sight.state == "frozen":
            self._sight = self._placed
        self._stirred = self._stirred or changed > self._rules.stirred_share
        if changed > self._rules.jolt_share and self._reference is not None and now_s >= self._jolts_count_from_s:
            self._is_jolted = True
        waited_s = now_s - self._checked_s
        every_s = self._rules.check_in_doubt_s if self.is_in_doubt else self._rules.check_every_s
        is_settled = self._reference is not None and self._sight is self._placed and not self._is_suspect
        if waited_s < every_s or (is_settled and not self._stirred and waited_s < self._rules.check_at_rest_s):
            return self._sight
        self._checked_s, self._stirred = now_s, False
        green = np.ascontiguousarray(image[:, :, 1])
        grey = np.asarray(cv2.resize(green, self._size, interpolation=cv2.INTER_AREA), np.uint8)
        trouble = self._dark(grey, now_s) or self._obstructed(grey, now_s)
        self._is_suspect = trouble is not None or self.is_in_doubt
        if trouble is not None:
            self._forget_shifts()
            self._sight = trouble
        elif people_px is not None:
            self._sight = self._compare(grey, people_px, now_s)
            self._is_suspect = self.is_in_doubt
        elif self._sight.state in ("dark", "frozen", "obstructed"):
            self._sight = self._placed
        return self._sight

    # Lights and lens

    def _dark(self, grey: npt.NDArray[np.uint8], now_s: float) -> Sight | None:
        levels = np.bincount(grey.reshape(-1), minlength=256)
        if levels[self._rules.dark_level :].sum() > 0.01 * grey.size:
            self._lit_s, self._was_lit = now_s, True
            return None
        if self._was_lit and now_s - self._lit_s < self._rules.dark_s:
            return self._sight
        return Sight("dark", "too dark to see anything: are the lights off?")

    def _obstructed(self, grey: npt.NDArray[np.uint8], now_s: float) -> Sight | None:
        """Compare the mean step between neighbours with what is usual: a thumb, dirt or fog takes most of it away."""
        smooth = cv2.GaussianBlur(grey.astype(np.float32), (0, 0), NOISE_BLUR_PX)
        sharp = float(np.abs(np.diff(smooth, axis=1)).mean()) / max(float(smooth.mean()), 1.0)
        if sharp >= self._rules.sharp_share * self._sharp:
            self._seen_s = now_s
            self._sharp = sharp if not self._sharp else self._sharp + 0.02 * (sharp - self._sharp)
            return None
        if now_s - self._seen_s < self._rules.obstructed_s:
            return self._sight
        return Sight("obstructed", "the lens seems covered, dirty or out of focus: clean it, and see what is before it")

    # Place

    def _compare(self, grey: npt.NDArray[np.uint8], people_px: Boxes, now_s: float) -> Sight:
        seen = features(grey, people_px / np.float32(self._scale))
        if self._reference is None:
            self._begin(seen, now_s)
            return self._placed
        shift = self._shift_to(seen, now_s)
        if shift is None:
            self._shifts.clear()
            # People are blanked out; only where they leave little to compare does it say nothing.
            self._unlike += float((seen != 0).mean()) >= _ENOUGH
            if self._unlike >= self._rules.lost_checks:
                self._is_jolted = False
                return Sight(
                    "moved", "the camera shows another view than the bay was calibrated for: calibrate it again"
                )
            return self._sight if self._sight.state == "moved" else self._placed
        if self._is_jolted:  # it was the light, or is followed now: a lamp that flickers is no reason for doubt
            self._is_jolted, self._jolts_count_from_s = False, now_s + self._rules.jolt_pause_s
        self._unlike = 0
        if not len(people_px):
            self._learn(seen, shift)
        moved = self._apart(shift, self._applied)
        if moved <= self._rules.still_share and self._sight.state != "moved":
            self._shifts.clear()
            return self._placed
        self._shifts.append(shift)
        if len(self._shifts) < self._rules.agreeing or not self._agree():
            return self._sight if self._sight.state == "moved" else self._placed
        self._shifts.clear()
        self._place(seen, shift)
        return self._placed

    def _begin(self, seen: Features, now_s: float) -> None:
        """The first reference: pictures that are like each other, so that nobody who was overlooked is in them.

        Where people were blanked out in one, others show what stands behind them.
        """
        self._begun_s = min(self._begun_s, now_s)
        if self._is_seeking and now_s - self._begun_s > self._rules.recall_s:
            self._is_seeking = False
        still = np.eye(3)
        alike = [one for one in self._first if likeness(one, seen, still) >= self._rules.likeness]
        self._first = [*alike, seen][-_MOST_FIRST:]
        times = np.sum([one != 0 for one in self._first], axis=0)
        if len(self._first) >= self._rules.agreeing and float((times > 0).mean()) >= _ENOUGH_AT_FIRST:
            summed = np.sum(self._first, axis=0, dtype=np.float32)
            self._reference = (summed / np.maximum(times, 1)).astype(np.float32)
            self._first = []
            self._find_calibrated()

    def _find_calibrated(self) -> None:
        """The first reference was made: has the camera moved since it was last in sight?"""
        self._is_seeking = False
        assert self._reference is not None
        if self._calibrated is not None:
            shift = find_by_landmarks(self._rules.registration, self._calibrated, self._own_landmarks(), *self._size)
            if shift is not None:
                self._origin = shift
                self._place(self._reference, np.eye(3))

    def _place(self, seen: Features, shift: Matrix) -> None:
        """Take it that the reference lies so in the picture now."""
        assert self._reference is not None
        whole = shift @ self._origin
        total = self._travel(whole)
        self._usual = likeness(self._reference, seen, shift)
        if total <= self._rules.still_share:
            self._applied, self._placed = _inverse(self._origin), Sight("clear")
            return
        self._applied = shift
        grow = np.diag([self._scale, self._scale, 1.0])
        is_far = total > self._rules.follow_share
        text = f"the camera moved by {100 * total:.1f} % of its picture's width; the slots were moved with it"
        if is_far:
            text += " as far as it still shows them: turn it back, or calibrate it again"
        self._placed = Sight("clear", text, grow @ whole @ np.linalg.inv(grow), is_far)

    def _agree(self) -> bool:
        return all(self._apart(self._shifts[-1], shift) <= self._rules.agree_share for shift in self._shifts)

    def _forget_shifts(self) -> None:
        self._shifts.clear()
        self._unlike, self._is_jolted = 0, False

    def _travel(self, shift: Matrix) -> float:
        return travel(shift, *self._size)

    def _apart(self, one: Matrix, other: Matrix) -> float:
        """How far two places of the reference are apart where the picture shows it, as a share of its width."""
        width, height = self._size
        x, y = np.meshgrid(np.linspace(0, width, _GRID), np.linspace(0, height, _GRID))
        grid = np.column_stack([x.ravel(), y.ravel()])
        here, there = project(one, grid), project(other, grid)
        in_picture = ((here >= 0) & (here <= self._size)).all(axis=1)
        return float(np.hypot(*(here - there)[in_picture].T).max(initial=0.0)) / width

    def _learn(self, seen: Features, shift: Matrix) -> None:
        """Let the reference follow the light and what is on the shelves, laid back to where it was measured to be."""
        assert self._reference is not None
        back = laid_back(seen, shift)
        known = back != 0
        self._reference[known] += _LEARN * (back[known] - self._reference[known])
        self._landmarks = None

    def _shift_to(self, seen: Features, now_s: float) -> Matrix | None:
        """(3, 3), where a small pixel of the reference lies now; None when the two have too little in common."""
        assert self._reference is not None
        back = laid_back(seen, self._applied)
        # OpenCV lays its window over the arrays it is given when their size needs no padding: give it copies.
        (x, y), _ = cv2.phaseCorrelate(self._reference.copy(), back.copy(), self._window)
        at_applied = likeness(self._reference, seen, self._applied)
        if at_applied >= _AS_USUAL * self._usual and self._travel(_translation(x, y)) <= self._rules.still_share:
            self._usual += _LEARN * (at_applied - self._usual)
            return self._applied
        others: tuple[Matrix, ...] = (
            np.eye(3), _inverse(self._origin), self._applied @ _translation(x, y),
        )  # fmt: skip
        guesses = [(at_applied, self._applied), *((likeness(self._reference, seen, guess), guess) for guess in others)]
        like, best = max(guesses, key=lambda guess: guess[0])
        if like < self._rules.likeness:
            return self._found_again(seen, now_s)
        refined = best @ self._turn(laid_back(seen, best))
        like_refined = likeness(self._reference, seen, refined)
        if like_refined > like:
            like, best = like_refined, refined
        if at_applied >= self._rules.likeness and 1 - like > self._rules.unexplained_share * (1 - at_applied):
            self._usual += _LEARN * (at_applied - self._usual)
            return self._applied  # a few goods that stand a little elsewhere turn what fits best, but hardly better
        return best

    def _turn(self, back: Features) -> Matrix:
        """How the reference lies in what was laid back to about where it is: a small shift and turn."""
        start, until = np.eye(3, dtype=np.float32)[:2], (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 80, 1e-5)
        assert self._reference is not None
        try:
            _, turned = cv2.findTransformECC(
                self._reference, back, start, cv2.MOTION_EUCLIDEAN, until, np.ones(back.shape, np.uint8), 5
            )
        except cv2.error:  # it did not converge: the shift alone is still right
            return np.eye(3)
        return np.vstack([np.asarray(turned, float), [0.0, 0.0, 1.0]])

    def _found_again(self, seen: Features, now_s: float) -> Matrix | None:
        """The same by landmarks, which find a view that went far; now and then only while they don't."""
        assert self._reference is not None
        if self._sight.state == "moved" and now_s - self._sought_s < self._rules.seek_every_s:
            return None
        self._sought_s = now_s
        return find_again(self._rules.registration, self._reference, self._own_landmarks(), seen)

    def _own_landmarks(self) -> Landmarks:
        assert self._reference is not None
        if self._landmarks is None:
            self._landmarks = Landmarks.of(self._reference)
        return self._landmarks


def _inverse(shift: Matrix) -> Matrix:
    return np.asarray(np.linalg.inv(shift), np.float64)


def _translation(x: float, y: float) -> Matrix:
    return np.array([[1.0, 0.0, x], [0.0, 1.0, y], [0.0, 0.0, 1.0]])

"""What is odd about a camera's stream, said in a few words and seldom, and which of its pictures are used all the same.

Oddities: pictures of another size, something that is no picture, a picture unlike those before and after it, a clock
that goes back. One is an accident; several within a minute make the stream unsteady until it was well for a while.
Whatever a camera does, it is said once as it begins, again when something new comes to it, now and then with the
figures while it lasts, and when it is over.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from shelf_edge.core.frame import Picture

_LONGEST_WHY = 48
_STRIDE_PX = 16
_SAME_LEVELS = 10.0
_LIKENESS = 0.5
_MOST_STRANGE = 2


@dataclass(frozen=True)
class StreamRules:
    """Times in seconds.

    Attributes:
        size_holds_s, size_frames: another size is taken when so many frames for so long had no other.
        same_shape: sizes whose ratios of width to height differ by no more than this share show the same.
        back_s: a clock that goes back by less is only imprecise.
        accidents: more oddities than this within ``well_after_s`` make the stream unsteady.
        well_after_s: so long without an oddity, and it is well again.
        first_after_s: what begins is said so late, when it is clearer what it is.
        pause_s: between two things said; ``repeat_s``: while nothing changes but the figures.
    """

    size_holds_s: float = 2.0
    size_frames: int = 3
    same_shape: float = 0.02
    back_s: float = 1.0
    accidents: int = 4
    well_after_s: float = 60.0
    first_after_s: float = 2.0
    pause_s: float = 5.0
    repeat_s: float = 60.0


@dataclass(frozen=True)
class StreamState:
    """What is said of a stream: nothing (``text`` empty) when it is well.

    Attributes:
        is_unsteady: not just an accident.
        since_s: when the first of it was seen, by the clock that ``StreamWatch`` is given.
    """

    is_unsteady: bool = False
    text: str = ""
    since_s: float = 0.0


@dataclass
class _Spell:
    """From the first oddity until the stream was well for a while."""

    since_s: float
    last_s: float
    size_changes: int = 0
    left_out: int = 0
    size_before: tuple[int, int] | None = None
    spoiled: int = 0
    why: str = ""
    strange: int = 0
    steps_back: int = 0
    farthest_back_s: float = 0.0
    is_unsteady: bool = False
    recent_s: deque[float] = field(default_factory=deque)

    @property
    def oddities(self) -> int:
        return self.size_changes + self.spoiled + self.strange + self.steps_back

    @property
    def kinds(self) -> tuple[bool, ...]:
        """What a change of is worth saying soon."""
        taken = self.size_before is not None
        return self.is_unsteady, self.size_changes > 0, taken, self.spoiled > 0, self.strange > 0, self.steps_back > 0


class StreamWatch:
    """Follows one camera's stream. All ``at_s`` are of one clock that never goes back, in seconds."""

    def __init__(self, rules: StreamRules | None = None) -> None:
        self._rules = rules or StreamRules()
        self._shape_px: tuple[int, int] | None = None
        self._size_px: tuple[int, int] | None = None
        self._last_size_px: tuple[int, int] | None = None
        self._size_since_s = 0.0
        self._size_frames = 0
        self._captured_s = -math.inf
        self._spell: _Spell | None = None
        self._state = StreamState()
        self._said_s = -math.inf
        self._said_kinds: tuple[bool, ...] = ()
        self._said_oddities = 0

    @property
    def state(self) -> StreamState:
        """As it was said last."""
        return self._state

    @property
    def is_clock_wild(self) -> bool:
        """The camera's capture times went back more than once: they are worth less than the time of arrival."""
        return self._spell is not None and self._spell.steps_back > 1

    def is_of_use(self, size_px: tuple[int, int], captured_s: float, at_s: float) -> bool:
        """Take note of a picture that came (width, height); False when it must be left out."""
        back_s, self._captured_s = self._captured_s - captured_s, captured_s
        if back_s > self._rules.back_s:
            spell = self._odd(at_s)
            spell.steps_back += 1
            spell.farthest_back_s = max(spell.farthest_back_s, back_s)
        if self._size_px is None:
            self._size_px = self._last_size_px = self._shape_px = size_px
            return True
        if size_px != self._last_size_px:
            self._odd(at_s).size_changes += 1
            self._last_size_px, self._size_since_s, self._size_frames = size_px, at_s, 0
        if size_px == self._size_px:
            return True
        self._size_frames += 1
        has_held_s = at_s - self._size_since_s
        spell = self._spell or self._odd(at_s)
        if has_held_s >= self._rules.size_holds_s and self._size_frames >= self._rules.size_frames:
            spell.size_before, self._size_px = self._size_px, size_px
            return True
        spell.left_out += 1
        return False

    def spoil(self, count: int, why: str, at_s: float) -> None:
        """So much came that is no picture since the last call; ``why`` of the last one."""
        for _ in range(min(count, self._rules.accidents + 1)):
            self._odd(at_s)
        if count and self._spell is not None:
            self._spell.spoiled += count
            self._spell.why = why[:_LONGEST_WHY]

    def count_strange(self, count: int, at_s: float) -> None:
        """So many pictures were left out because they are unlike those before and after them."""
        for _ in range(count):
            self._odd(at_s).strange += 1

    def calibrated(self) -> None:
        """The slots were drawn anew: the shape that pictures have now is the right one."""
        self._shape_px = self._size_px

    def has_news(self, at_s: float) -> bool:
        """True when ``state`` changed just now and is to be said; called often."""
        spell, rules = self._spell, self._rules
        if spell is not None and at_s - spell.last_s >= rules.well_after_s:
            spell = self._spell = None
        if spell is None:
            after = StreamState(False, self._lasting, self._state.since_s)
            if (after.text == self._state.text and not self._state.is_unsteady) or at_s - self._said_s < rules.pause_s:
                return False
        else:
            since_said_s = at_s - self._said_s
            is_new = spell.kinds != self._said_kinds
            if at_s - spell.since_s < rules.first_after_s or since_said_s < (
                rules.pause_s if is_new else rules.repeat_s
            ):
                return False
            if not is_new and spell.oddities == self._said_oddities:
                return False
            after = StreamState(spell.is_unsteady, self._words(spell), spell.since_s)
        self._state, self._said_s = after, at_s
        self._said_kinds = spell.kinds if spell is not None else ()
        self._said_oddities = spell.oddities if spell is not None else 0
        return True

    def _odd(self, at_s: float) -> _Spell:
        if self._spell is None:
            self._spell = _Spell(at_s, at_s)
        spell = self._spell
        spell.last_s = at_s
        spell.recent_s.append(at_s)
        while at_s - spell.recent_s[0] > self._rules.well_after_s or len(spell.recent_s) > self._rules.accidents + 1:
            spell.recent_s.popleft()
        spell.is_unsteady = spell.is_unsteady or len(spell.recent_s) > self._rules.accidents
        return spell

    @property
    def _lasting(self) -> str:
        """Pictures of another shape than at first show something else, or show it bent, however steadily they come."""
        if self._shape_px is None or self._size_px is None or self._shape_px == self._size_px:
            return ""
        (width, height), (was_width, was_height) = self._size_px, self._shape_px
        if abs(width * was_height / (height * was_width) - 1) <= self._rules.same_shape:
            return ""
        return f"its pictures are {width}x{height}, they were {was_width}x{was_height}: see that it shows the bay"

    def _words(self, spell: _Spell) -> str:
        told = []
        if spell.size_changes:
            assert self._size_px is not None
            width, height = self._size_px
            if spell.size_changes == 1 and spell.size_before is not None:
                before = "x".join(map(str, spell.size_before))
                told.append(f"its pictures are {width}x{height} now, they were {before}: see that it shows the bay")
            else:
                told.append(
                    f"the size of its pictures changes ({_times(spell.size_changes)}; {spell.left_out} that are not "
                    f"{width}x{height} were left out)"
                )
        if spell.spoiled:
            told.append(f"{spell.spoiled} of what it sent could not be read ({spell.why})")
        if spell.strange:
            told.append(f"{spell.strange} pictures were unlike those before and after")
        if spell.steps_back == 1:
            told.append(f"its clock went back by {spell.farthest_back_s:.0f} s: durations are counted on")
        elif spell.steps_back:
            back = f"{_times(spell.steps_back)}, by up to {spell.farthest_back_s:.0f} s"
            told.append(f"its clock went back {back}: pictures are timed as they arrive")
        if spell.is_unsteady:
            told.append("see to its cable, power, settings")
        return "; ".join(told)


class PictureWatch:
    """Leaves out single pictures that show something else than those before and after them: garbage that decodes.

    What stays is a change (somebody comes near, the lights go off): it is used from its second picture on.
    """

    def __init__(self) -> None:
        self._used: npt.NDArray[np.float32] | None = None
        self._left_out: npt.NDArray[np.float32] | None = None
        self._in_a_row = 0
        self._strange = 0

    def is_of_use(self, image: Picture) -> bool:
        """Whether the next picture (height, width, 3) may be believed."""
        seen = image[::_STRIDE_PX, ::_STRIDE_PX, 1].astype(np.float32)
        if self._used is None or self._used.shape != seen.shape:
            return self._use(seen)
        if _are_alike(self._used, seen):
            self._strange += self._in_a_row
            return self._use(seen)
        if self._left_out is not None and _are_alike(self._left_out, seen):
            return self._use(seen)
        if self._in_a_row == _MOST_STRANGE:
            return self._use(seen)
        self._left_out = seen
        self._in_a_row += 1
        return False

    def take_strange(self) -> int:
        """How many were left out for good since this was asked last."""
        count, self._strange = self._strange, 0
        return count

    def _use(self, seen: npt.NDArray[np.float32]) -> bool:
        self._used, self._left_out, self._in_a_row = seen, None, 0
        return True


def _are_alike(one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> bool:
    """Nearly the same, or the same in another light."""
    if float(np.abs(one - other).mean()) < _SAME_LEVELS:
        return True
    one, other = one - one.mean(), other - other.mean()
    power = math.sqrt(float((one * one).sum()) * float((other * other).sum()))
    return power > 0 and float((one * other).sum()) / power > _LIKENESS


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"

"""A small picture of what nobody knows, kept on this node where the shop allows it, for people who come to it.

It is taken of a look at which the detector told where people are, with people and hands covered; where they cover too
much there is none. One picture a thing: when it is deleted (too old, at a limit, by hand) no other one is taken until
something else stood there. It is deleted as soon as the thing is known or gone. Nothing here speaks to the network.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from shelf_contracts.messages import UnknownPicturesHealth
from shelf_edge.adapters.pictures import small_jpeg
from shelf_edge.adapters.unknown_store import MOST_PICTURES, KeptPicture, UnknownStore
from shelf_edge.core.bay import Bay
from shelf_edge.core.detections import Detections, Kind
from shelf_edge.core.frame import SMALLEST_SIDE_PX, Frame, Picture
from shelf_edge.core.masking import PeopleMask, cut_out, grown
from shelf_edge.core.reporting import moment
from shelf_edge.ports import Clock
from shelf_edge.recognising import UnknownThing, UnknownThings

log = logging.getLogger(__name__)

MOST_COVERED = 0.1
"""A crop of which people, hands or arms cover more than this share is not kept."""
LARGEST_SIDE_PX = 320
_QUALITY = 85
_MARGIN = 0.05
_MOST_WAITING = 8
_TICK_S = 20.0
_NOTE_EVERY_S = 60.0
_PAUSE_S = 30.0


@dataclass(frozen=True, eq=False)
class _Wish:
    """What is to be written of a place. ``picture``: a new one; None: it was only seen again."""

    kept: KeptPicture
    picture: Picture | None = None


class UnknownPictures:
    """``follow`` is the pipeline's and waits for no disk; a thread writes and deletes.

    Of what waits for the disk the newest of a place counts; pictures beyond eight places are left out (``skipped``)
    and taken at a later look.

    Args:
        people: the kinds under which the detector in use tells people; empty: it knows none, and nothing is kept.
    """

    def __init__(self, store: UnknownStore, people: Callable[[], frozenset[int]], clock: Clock) -> None:
        self.skipped = 0
        self._store = store
        self._people = people
        self._clock = clock
        self._masks: dict[str, PeopleMask] = {}
        self._lock = threading.Condition()
        self._waiting: dict[tuple[str, str], _Wish | None] = {}
        self._is_stopping = False
        self._had: set[tuple[str, str]] = set()
        """Places of whose present thing there is, or was, a picture; the pipeline's own."""
        self._of_before: set[tuple[str, str]] = set()
        """Places with a picture of the last run: perhaps of another thing."""
        self._noted_s: dict[tuple[str, str], float] = {}
        self._places: tuple[str, ...] = ()
        self._thread = threading.Thread(target=self._run, name="unknown", daemon=True)

    def start(self) -> None:
        """Delete what is too old. What is left stays until the thing is seen anew, or is known or gone."""
        try:
            self._tidy()
            self._of_before = {(kept.bay, kept.slot) for kept in self._store.pictures()}
        except OSError as error:
            log.error("pictures of unknown things cannot be read or deleted: %s", error)
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Write what waits."""
        with self._lock:
            self._is_stopping = True
            self._lock.notify_all()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)

    def health(self) -> UnknownPicturesHealth:
        return UnknownPicturesHealth(
            places=list(self._places[-MOST_PICTURES:]), deleted_at_limit=self._store.deleted_at_limit
        )

    def follow(self, name: str, bay: Bay, frame: Frame, detections: Detections | None, things: UnknownThings) -> None:
        """After a frame was looked at: take pictures of unknown things, and forget those that are known or gone."""
        for slot in things.over:
            key = name, slot
            if key in self._had or key in self._of_before:
                self._had.discard(key)
                self._of_before.discard(key)
                self._noted_s.pop(key, None)
                with self._lock:
                    self._waiting[key] = None
                    self._lock.notify_all()
        people = self._people()
        mask = self._masks.setdefault(name, PeopleMask(people))
        mask.detector_knows(people)
        height, width = frame.image.shape[:2]
        covers = mask.covers(width, height, detections, frame.captured_s)
        if covers is None or detections is None or not things.things:
            return
        hands = grown(detections.of(Kind.HAND).boxes_px, width, height) + grown(bay.in_reach.hands_px, width, height)
        for thing in things.things:
            key = name, thing.slot
            if key in self._had:
                self._note(key, thing, frame.captured_s)
            elif thing.box_px is not None and bay.hidden_share(thing.box_px) <= MOST_COVERED:
                cut = cut_out(frame.image, _widened(thing.box_px), [*covers, *hands], MOST_COVERED)
                if cut is not None and min(cut.shape[:2]) >= SMALLEST_SIDE_PX:
                    self._take(key, thing, cut, frame.captured_s)

    def _take(self, key: tuple[str, str], thing: UnknownThing, cut: Picture, now_s: float) -> None:
        with self._lock:
            if key not in self._waiting and len(self._waiting) >= _MOST_WAITING:
                self.skipped += 1
                return
            self._waiting[key] = _Wish(self._kept(key, thing, now_s), cut)
            self._lock.notify_all()
        self._had.add(key)
        self._of_before.discard(key)
        self._noted_s[key] = now_s

    def _note(self, key: tuple[str, str], thing: UnknownThing, now_s: float) -> None:
        """Now and then: it is still there."""
        if abs(now_s - self._noted_s.get(key, float("-inf"))) < _NOTE_EVERY_S:
            return
        self._noted_s[key] = now_s
        with self._lock:
            before = self._waiting.get(key)
            picture = before.picture if before is not None else None
            self._waiting[key] = _Wish(self._kept(key, thing, now_s), picture)
            self._lock.notify_all()

    def _kept(self, key: tuple[str, str], thing: UnknownThing, now_s: float) -> KeptPicture:
        return KeptPicture(
            bay=key[0], slot=key[1], since=thing.since, seen=moment(now_s), looks=thing.looks,
            taken=moment(self._clock.now_s()),
        )  # fmt: skip

    def _run(self) -> None:
        while True:
            with self._lock:
                self._lock.wait_for(lambda: self._waiting or self._is_stopping, _TICK_S)
                wishes, self._waiting = self._waiting, {}
                is_last = self._is_stopping
            try:
                for key, wish in wishes.items():
                    self._fulfil(key, wish)
                self._tidy()
            except OSError as error:
                log.error("pictures of unknown things cannot be written or deleted: %s", error)
                with self._lock:  # what must go is tried again; a picture is taken anew after the next start
                    again = {key: wish for key, wish in wishes.items() if wish is None}
                    self._waiting = {**again, **self._waiting}
                    self._lock.wait_for(lambda: self._is_stopping, _PAUSE_S)
            if is_last:
                return

    def _fulfil(self, key: tuple[str, str], wish: _Wish | None) -> None:
        if wish is None:
            self._store.forget(*key)
            return
        if wish.picture is None:
            before = next((one for one in self._store.pictures() if (one.bay, one.slot) == key), None)
            if before is not None:
                self._store.note(wish.kept.model_copy(update={"taken": before.taken}))
            return
        jpeg = small_jpeg(wish.picture, LARGEST_SIDE_PX, _QUALITY)
        if jpeg:
            self._store.keep(wish.kept, jpeg)

    def _tidy(self) -> None:
        deleted = self._store.expire(moment(self._clock.now_s()))
        if deleted:
            log.info("%d pictures of unknown things were deleted: they were old enough", deleted)
        self._places = tuple(kept.place for kept in self._store.pictures())


def _widened(box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    aside, above = _MARGIN * (box[2] - box[0]), _MARGIN * (box[3] - box[1])
    return box[0] - aside, box[1] - above, box[2] + aside, box[3] + above

"""One bay over time: frames and detections in, facts out. The pure chain that live nodes and replays both run."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from shelf_contracts.messages import Reason
from shelf_contracts.planogram import Planogram
from shelf_edge.core.arms import ArmFinder, ArmRules, Arms
from shelf_edge.core.change import Change, ChangeGate
from shelf_edge.core.detections import Boxes, Detections, Kind
from shelf_edge.core.facts import Fact, Observation, SlotFact, StockFact
from shelf_edge.core.frame import Frame
from shelf_edge.core.geometry import Points, share_covered
from shelf_edge.core.hands import BodyMemory, Hand, HandRules, HandTracker
from shelf_edge.core.memory import LONGEST_S, SlotMemory
from shelf_edge.core.posture import PostureRules, PostureWatch, behind_lying
from shelf_edge.core.reaching import ReachFigures, ReachRules, evidence_of
from shelf_edge.core.registration import RememberedView, view_key
from shelf_edge.core.sight import Sight, SightRules, SightWatch, State
from shelf_edge.core.slot import Slot, SlotLook, SlotRules
from shelf_edge.core.slot_view import (
    ColumnView,
    ShownItem,
    SlotGeometry,
    Standing,
    bay_geometry,
    covered_columns,
    shown_items,
    view_slot,
)
from shelf_edge.core.slot_windows import Shares, SlotWindows, Windows

_SAMPLES_A_SIDE = 12
_UNKNOWN_BECAUSE: dict[State, Reason] = {
    "dark": "dark", "frozen": "stale", "obstructed": "occluded", "moved": "moved-camera",
}  # fmt: skip


@dataclass(frozen=True)
class BayRules:
    """When to look, and how far a body reaches.

    Attributes:
        changed_share: look when more than this share of the picture changed.
        keep_looking_s: go on looking this long after the last change.
        recheck_s: look at least this often.
        body_memory_s: a body that the detector misses is taken to be there for this long.
        handled_share: a hand that hides more than this share of a column may be at it.
        at_hand_share: a column of which a hand hides less was not touched by it.
        arm_share: how far beside a body its arms may hang, as a share of the body's width.
        in_picture_share: a slot of which the picture shows less, since the camera moved, is unknown.
    """

    changed_share: float = 0.0006
    keep_looking_s: float = 1.2
    recheck_s: float = 2.0
    handled_share: float = 0.3
    at_hand_share: float = 0.1
    arm_share: float = 0.3
    body_memory_s: float = 0.5
    in_picture_share: float = 0.8


@dataclass(frozen=True, eq=False)
class PeopleCover:
    """What people hide in one look: under hands, float32 (m, 4), under their arms, and in the boxes of bodies (k, 4)
    what is not as it is without people."""

    hands_px: Boxes
    bodies_px: Boxes
    arms: Arms | None

    @property
    def boxes_px(self) -> Boxes:
        """Hands and bodies, (m + k, 4)."""
        return np.concatenate([self.hands_px, self.bodies_px])

    @staticmethod
    def none() -> PeopleCover:
        nobody = np.zeros((0, 4), np.float32)
        return PeopleCover(nobody, nobody, None)

    def share_of(self, points: Points) -> float:
        """Share of (n, 2) points, in picture pixels, that are hidden; 0 to 1."""
        if self.arms is None:
            return share_covered(points, self.boxes_px)
        return float(self.arms.at(self._hidden, points).mean()) if len(points) else 0.0

    def shares_of(self, windows: Windows) -> Shares:
        """The same of groups of points."""
        if self.arms is None:
            return windows.covered_by(self.boxes_px)
        return windows.covered_in(self._hidden, self.arms.stride)

    @cached_property
    def _hidden(self) -> npt.NDArray[np.bool_]:
        """The arms' small picture: what lies under anybody."""
        assert self.arms is not None
        hidden = self.arms.mask | (self.arms.around & self.arms.within(self.bodies_px))
        return hidden | self.arms.within(self.hands_px)


@dataclass(frozen=True, eq=False)
class InReach:
    """Boxes of products (n, 4) and of hands (m, 4); ``foreground``: (n,) share of each product's box that differs from
    the picture without people, 0 where there is no hand."""

    products_px: Boxes
    foreground: npt.NDArray[np.float64]
    hands_px: Boxes


@dataclass(frozen=True)
class HandInSlot:
    """A hand whose fingers are in a slot in one look; ``evidence``: what it tells of a reach, as log-odds."""

    slot: str
    figures: ReachFigures
    evidence: float
    is_steady: bool


@dataclass(frozen=True, eq=False)
class _Seen:
    """The last look: products, sure and faint, and what hid them; each slot's columns are made when asked for."""

    products: Detections
    faint: Detections
    cover: PeopleCover
    hands_px: Boxes
    windows: SlotWindows
    posture_rules: PostureRules
    _columns: dict[str, tuple[ColumnView, ...]] = field(default_factory=dict)

    @property
    def is_anybody_there(self) -> bool:
        return len(self.cover.boxes_px) > 0

    def judged(self, slot: SlotGeometry) -> tuple[ColumnView, ...]:
        """The columns of a slot that was looked into; empty of one that nothing disturbed."""
        return self._columns.get(slot.slot, ())

    def columns_of(self, slot: SlotGeometry) -> tuple[ColumnView, ...]:
        views = self._columns.get(slot.slot)
        if views is None:
            near = self._standing.near(slot)
            views = view_slot(slot, near, self._covered[self.windows.columns_of(slot)].tolist())
            views = behind_lying(slot, near.boxes[~near.is_faint], views, self.posture_rules)
            self._columns[slot.slot] = views
        return views

    @cached_property
    def _covered(self) -> Shares:
        return self.cover.shares_of(self.windows.columns)

    @cached_property
    def _standing(self) -> Standing:
        return Standing.of(self.products.boxes_px, self.faint.boxes_px)


class Bay:
    """Drive it with ``wants_look`` and then ``advance``, once each per frame, in the order of capture.

    Raises: KeyError when the planogram has no view of the camera.
    """

    def __init__(
        self,
        planogram: Planogram,
        camera: str,
        slot_rules: SlotRules | None = None,
        bay_rules: BayRules | None = None,
        hand_rules: HandRules | None = None,
        arm_rules: ArmRules | None = None,
        sight_rules: SightRules | None = None,
        posture_rules: PostureRules | None = None,
        reach_rules: ReachRules | None = None,
    ) -> None:
        self._view_key = view_key(planogram.view_of(camera))
        self._view: RememberedView | None = None
        self._planogram = planogram
        self._camera = camera
        self._slot_rules = slot_rules or SlotRules()
        self._rules = bay_rules or BayRules()
        self._hand_rules = hand_rules or HandRules()
        self._arm_rules = arm_rules or ArmRules()
        self._sight_rules = sight_rules or SightRules()
        self._posture_rules = posture_rules or PostureRules()
        self._reach_rules = reach_rules or ReachRules()
        self._postures: dict[str, PostureWatch] = {}
        self._watch: SightWatch | None = None
        self._sight = Sight("clear")
        self._size_px = (0, 0)
        self._slots: list[tuple[SlotGeometry, Slot]] = []
        self._windows = SlotWindows([])
        self._beyond: frozenset[str] = frozenset()
        self._gate: ChangeGate | None = None
        self._change: Change | None = None
        self._hands: HandTracker | None = None
        self._arms: ArmFinder | None = None
        self._reached_px = np.zeros((0, 4), np.float32)
        self._hands_in_slots: list[HandInSlot] = []
        self._bodies = BodyMemory(self._rules.body_memory_s)
        self._now_s = float("-inf")
        self._ahead_s = 0.0
        self._changed_s = float("-inf")
        self._looked_s = float("-inf")
        self._checked_s = float("-inf")
        self._seen: _Seen | None = None
        self._memories: dict[str, SlotMemory] = {}

    def memory(self) -> dict[str, SlotMemory]:
        """The books of the slots that were counted, to be recalled after a restart."""
        known = dict(self._memories)
        for geometry, slot in self._slots:
            books = slot.memory(self._planogram.product_of(geometry.slot).id)
            if books is not None:
                known[geometry.slot] = replace(books, told_fallen=self._postures[geometry.slot].told_fallen)
        return known

    def recall(self, memories: dict[str, SlotMemory], now_s: float) -> int:
        """Before the first frame: go on from these books; returns how many slots of the planogram they fit."""
        fit = {}
        for position in self._planogram.positions:
            books = memories.get(position.id)
            columns = position.facings.h
            if (
                books is not None
                and books.product == position.product_id
                and books.rows == position.facings.d
                and len(books.columns) in (1, columns)
                and books.count <= position.facings.items
                and abs(now_s - books.seen_s) <= LONGEST_S  # a clock that was set back makes nothing older
            ):
                fit[position.id] = books
        self._memories = fit
        return len(fit)

    def remembered_view(self) -> RememberedView | None:
        """Where the camera sees its landmarks, to be recalled after a restart; None while nobody knows."""
        if self._watch is None or (landmarks := self._watch.landmarks) is None:
            return self._view
        return RememberedView(self._view_key, *self._watch.size_px, landmarks)

    def recall_view(self, view: RememberedView) -> bool:
        """Before the first frame: tell by them whether the camera moved; False when they are of another calibration."""
        if view.view != self._view_key:
            return False
        self._view = view
        return True

    def say_again(self) -> None:
        """Every slot tells its stock level at the next look, changed or not."""
        for _, slot in self._slots:
            slot.say_again()

    @property
    def geometry(self) -> list[SlotGeometry]:
        """The slots in pixels; empty before the first frame."""
        return [geometry for geometry, _ in self._slots]

    @property
    def sight(self) -> Sight:
        """What can be made of the camera's pictures."""
        return self._sight

    @property
    def is_attentive(self) -> bool:
        """Whether more than the slow re-check is looked at now: something changed lately, a slot waits, or the camera
        seems to have moved."""
        is_fresh = self._now_s - self._changed_s <= self._rules.keep_looking_s
        is_in_doubt = self._watch is not None and self._watch.is_in_doubt
        return is_fresh or is_in_doubt or self._is_waiting

    @property
    def _is_waiting(self) -> bool:
        """Whether a slot that can be counted wants further looks."""
        return any(slot.is_waiting for geometry, slot in self._slots if geometry.slot not in self._beyond)

    def wants_look(self, frame: Frame) -> bool:
        """Measure the change of this frame; True when the detector should look at it."""
        height, width = frame.image.shape[:2]
        if (width, height) != self._size_px:
            self._fit_to(width, height, frame.captured_s)
        assert self._gate is not None
        self._change = self._gate.measure(frame.image)
        now_s = self._now_s = self._steady(frame.captured_s)
        if max(self._change.share, self._change.since_look) > self._rules.changed_share:
            self._changed_s = now_s
        if self._sight.state in ("dark", "frozen"):
            return False
        assert self._watch is not None
        is_due = now_s - self._looked_s >= self._rules.recheck_s or self._watch.wants_look(now_s)
        is_fresh = now_s - self._changed_s <= self._rules.keep_looking_s
        return is_due or is_fresh or self._is_waiting

    def advance(self, frame: Frame, detections: Detections | None) -> list[Fact]:
        """What follows from this frame; ``detections`` is None when the detector did not look."""
        assert self._change is not None, "wants_look comes first"
        now_s = self._now_s
        self._hands_in_slots = []
        products = Detections.none()
        cover, near = PeopleCover.none(), np.zeros((0, 4), np.float32)
        steady = meant = hands_px = near
        if detections is not None:
            assert self._gate is not None
            assert self._hands is not None
            assert self._arms is not None
            self._gate.mark_looked_at()
            self._looked_s = now_s
            products = detections.of(Kind.PRODUCT)
            bodies = self._bodies.follow(detections.of(Kind.PERSON).boxes_px, now_s)
            arms = self._arms.find(frame.image, bodies, now_s, detections.of(Kind.HAND).boxes_px, self._reached_px)
            seen = detections.of(Kind.HAND).boxes_px
            foreground = arms.foreground_of(seen)
            beside, scores = arms.foreground_beside(seen), detections.of(Kind.HAND).scores
            hands = self._hands.follow(seen, now_s, bodies, foreground, beside, scores)
            hands_px = _without_doubles(seen, arms.ends_px)
            hidden_by = seen[foreground >= self._hand_rules.foreground_share]
            self._hands_in_slots = [found for hand in hands if (found := self._in_slot(hand)) is not None]
            steady = seen[[hand.is_steady and hand.is_meant for hand in hands]] if hands else seen
            self._reached_px = steady
            meant = seen[[hand.is_meant for hand in hands]] if hands else seen
            near = _widened(bodies, self._rules.arm_share)
            cover = PeopleCover(_without_doubles(hidden_by, arms.ends_px), bodies, arms)
        facts = self._follow_sight(frame, None if detections is None else cover.boxes_px)
        assert self._watch is not None
        if self._sight.state != "clear" or self._watch.is_in_doubt:
            self._seen = None
            return self._on_the_clock(facts)
        if detections is None:
            for (geometry, slot), moving in zip(self._slots, self._change.slot_shares.tolist(), strict=True):
                if geometry.slot not in self._beyond:
                    facts += slot.rest(now_s, moving)
            return self._on_the_clock(facts)
        faint, windows = detections.of(Kind.FAINT_PRODUCT), self._windows
        self._seen = _Seen(products, faint, cover, hands_px, windows, self._posture_rules)
        is_whole_check = now_s - self._checked_s >= self._rules.recheck_s
        if is_whole_check:
            self._checked_s = now_s
        # Where nothing stirs and nobody is near there is nothing new to see: now and then is enough.
        crowded = windows.slots.covered_by(near) > 0
        is_disturbed = (self._change.slot_shares > 0) | crowded | (windows.slots.covered_by(cover.boxes_px) > 0)
        covered = cover.shares_of(windows.slots).tolist()
        evidence = self._evidence()
        hand_in = {hand.slot for hand in self._hands_in_slots if hand.is_steady and hand.evidence > 0}
        columns_moving = self._change.column_shares.tolist()
        columns_handled = (windows.columns.covered_by(steady) > self._rules.handled_share).tolist()
        columns_at_hand = (windows.columns.covered_by(meant) > self._rules.at_hand_share).tolist()
        for index, (geometry, slot) in enumerate(self._slots):
            moving = float(self._change.slot_shares[index])
            if geometry.slot in self._beyond:
                told = evidence.get(geometry.slot, 0.0)
                facts += slot.step_uncounted(now_s, hand=geometry.slot in hand_in, evidence=told)
                continue
            if not (is_whole_check or is_disturbed[index] or slot.is_waiting or geometry.slot in evidence):
                facts += slot.rest(now_s, moving)
                continue
            views, columns = self._seen.columns_of(geometry), windows.columns_of(geometry)
            look = SlotLook(
                captured_s=now_s,
                columns=views,
                hand=geometry.slot in hand_in,
                evidence=evidence.get(geometry.slot, 0.0),
                covered=covered[index],
                moving=moving,
                crowded=bool(crowded[index]),
                handled=any(columns_handled[columns]),
                columns_moving=tuple(columns_moving[columns]),
                columns_at_hand=tuple(columns_at_hand[columns]),
            )
            facts += slot.step(look)
            if look.crowded or look.covered:
                self._postures[geometry.slot].disturb(now_s)
            if not (look.crowded or look.covered or look.moving or slot.is_waiting):
                posture = self._postures[geometry.slot]
                facts += posture.step(geometry, products.boxes_px, views, slot.settled, now_s)
        return self._on_the_clock(facts)

    def _steady(self, captured_s: float) -> float:
        """The bay's own time: what the camera says, but never back; a clock that is set back goes on from here.

        Else what is remembered would lie in the future, and nothing could be concluded for as long as the step.
        """
        self._ahead_s = max(self._ahead_s, self._now_s - captured_s)
        return captured_s + self._ahead_s

    def _on_the_clock(self, facts: list[Fact]) -> list[Fact]:
        """The facts with the times of the camera's clock as it goes now."""
        if self._ahead_s == 0.0:
            return facts
        told: list[Fact] = []
        for fact in facts:
            captured_s = fact.captured_s - self._ahead_s
            if isinstance(fact, SlotFact):
                told.append(replace(fact, captured_s=captured_s, started_s=fact.started_s - self._ahead_s))
            else:
                told.append(replace(fact, captured_s=captured_s))
        return told

    def _follow_sight(self, frame: Frame, people_px: Boxes | None) -> list[Fact]:
        """Watch the camera: slots move with it, and are unknown while nothing can be seen."""
        assert self._watch is not None
        assert self._change is not None
        before, now_s = self._sight, self._now_s
        after = self._sight = self._watch.step(
            frame.image, now_s, is_same=self._change.is_same, changed=self._change.share, people_px=people_px
        )
        facts: list[Fact] = []
        if after.warp is not before.warp:
            self._see_from(before, after)
            facts = [self._unknown_because(slot, "moved", now_s) for slot in sorted(self._beyond)]
        if after.state == before.state:
            return facts
        if after.state == "clear":
            self.say_again()
            return [self._unknown_because(slot, "moved", now_s) for slot in sorted(self._beyond)]
        return [self._unknown_because(geometry.slot, after.state, now_s) for geometry, _ in self._slots]

    def _unknown_because(self, slot: str, state: State, now_s: float) -> StockFact:
        return StockFact(slot, Observation(None, 0, 0, 0.0, _UNKNOWN_BECAUSE[state]), "unknown", now_s)

    def _see_from(self, before: Sight, sight: Sight) -> None:
        """The slots lie elsewhere in the picture, or beyond its edge."""
        width, height = self._size_px
        geometries = bay_geometry(self._planogram, self._camera, width, height, sight.warp)
        self._slots = [(geometry, slot) for geometry, (_, slot) in zip(geometries, self._slots, strict=True)]
        for geometry, slot in self._slots:
            slot.see_from(geometry)
        self._windows = SlotWindows(geometries)
        assert self._gate is not None
        assert self._arms is not None
        self._gate.follow(geometries)
        nowhere = np.eye(3)
        was, now = (nowhere if one.warp is None else one.warp for one in (before, sight))
        self._arms.follow(now @ np.linalg.inv(was))
        were_beyond, self._beyond = self._beyond, frozenset()
        if sight.warp is not None:
            least = self._rules.in_picture_share
            beyond = (one.slot for one in geometries if _share_within(one.samples, width, height) < least)
            self._beyond = frozenset(beyond)
        for geometry, slot in self._slots:
            if geometry.slot in were_beyond - self._beyond:
                slot.say_again()

    def covered(self, slot: SlotGeometry) -> frozenset[int]:
        """The columns of a slot that somebody covers."""
        return covered_columns(self._seen.columns_of(slot)) if self._seen is not None else frozenset()

    def shown(self, slot: SlotGeometry) -> list[ShownItem]:
        """Items of a slot that can be looked at. A frame the detector did not look at is like the one before.

        Empty when nothing can be said of the camera's pictures, or of that slot in them.
        """
        if self._seen is None or slot.slot in self._beyond:
            return []
        return shown_items(slot, self._seen.products, self._seen.columns_of(slot))

    @property
    def in_reach(self) -> InReach:
        """What may be in hands, and the hands, in the last frame that was looked at."""
        if self._seen is None:
            return InReach(np.zeros((0, 4), np.float32), np.zeros(0), np.zeros((0, 4), np.float32))
        products_px, hands_px, arms = self._seen.products.boxes_px, self._seen.hands_px, self._seen.cover.arms
        if arms is None or not len(hands_px):
            return InReach(products_px, np.zeros(len(products_px)), hands_px)
        return InReach(products_px, arms.foreground_of(products_px), hands_px)

    @property
    def hands_in_slots(self) -> list[HandInSlot]:
        """The hands of this frame whose fingers are in a slot; empty when the detector did not look."""
        return self._hands_in_slots

    def hidden_share(self, box_px: tuple[float, float, float, float]) -> float:
        """Share of a box that hands, their arms and bodies hid in the last look; 1 when there is none."""
        if self._seen is None:
            return 1.0
        across, down = (np.linspace(box_px[at], box_px[at + 2], _SAMPLES_A_SIDE) for at in (0, 1))
        points = np.stack(np.meshgrid(across, down), axis=-1).reshape(-1, 2)
        return self._seen.cover.share_of(points)

    @property
    def looked_s(self) -> float:
        """When the detector looked last, by the bay's own time."""
        return self._looked_s

    @property
    def is_anybody_there(self) -> bool:
        """Whether hands or bodies were in the last frame that was looked at."""
        return self._seen is not None and self._seen.is_anybody_there

    def lose_sight(self, now_s: float) -> list[Fact]:
        """The camera is gone, or never came: every slot is unknown, and is counted anew when pictures come again."""
        self._size_px = (0, 0)
        self._seen = None
        gone = Observation(None, 0, 0, 0.0, "camera-lost")
        seen = self._planogram.view_of(self._camera).slots
        slots = [position.id for position in self._planogram.positions if position.id in seen]
        return [StockFact(slot, gone, "unknown", now_s) for slot in slots]

    def _fit_to(self, width: int, height: int, captured_s: float) -> None:
        """Take the size of the camera's pictures; after a changed size the slots go on from their books."""
        geometry = bay_geometry(self._planogram, self._camera, width, height)
        self._size_px = (width, height)
        self._memories = self.memory()
        self._slots = [(slot, Slot(slot, self._slot_rules)) for slot in geometry]
        self._postures = {one.slot: PostureWatch(self._posture_rules) for one in geometry}
        for one, slot in self._slots:
            books = self._memories.get(one.slot)
            if books is not None and len(books.columns) == (one.columns if one.to_board is not None else 1):
                slot.recall(books, captured_s)
                self._postures[one.slot].recall(books.told_fallen)
        self._windows = SlotWindows(geometry)
        self._gate = ChangeGate(geometry, width)
        self._hands = HandTracker(self._hand_rules, width, height)
        self._arms = ArmFinder(self._arm_rules, width)
        self._view = self.remembered_view()
        self._watch = SightWatch(self._sight_rules, width, height, self._view)
        self._sight, self._beyond = self._watch.sight, frozenset()

    def _in_slot(self, hand: Hand) -> HandInSlot | None:
        index, depth = self._slot_under(hand)
        if index < 0:
            return None
        figures = replace(hand.figures, depth=depth)
        evidence = evidence_of(figures, is_steady=hand.is_steady, rules=self._reach_rules)
        return HandInSlot(self._slots[index][0].slot, figures, evidence, hand.is_steady)

    def _evidence(self) -> dict[str, float]:
        """What each slot's hands tell of a reach into it; of several, what tells most."""
        evidence: dict[str, float] = {}
        for hand in self._hands_in_slots:
            evidence[hand.slot] = max(evidence.get(hand.slot, hand.evidence), hand.evidence)
        return evidence

    def _slot_under(self, hand: Hand) -> tuple[int, float]:
        """Index of the slot the hand is in, or -1, and how deep it is there (1: in the middle, 0: at an edge, below:
        over its board only); of several, the one whose space it is deepest in."""
        best, best_depth = -1, -1.0
        for index, (geometry, _) in enumerate(self._slots):
            if geometry.holds_point(hand.x_px, hand.y_px):
                low, high = geometry.front.min(axis=0), geometry.front.max(axis=0)
                middle = (low + high) / 2
                half = np.maximum((high - low) / 2, 1e-6)
                off = float(np.abs((np.array([hand.x_px, hand.y_px]) - middle) / half).max())
                if 1 - off > best_depth or best < 0:
                    best, best_depth = index, 1 - off
        return best, max(best_depth, -0.5)


def _share_within(points: Points, width_px: int, height_px: int) -> float:
    """Share of (n, 2) points that lie in the picture, 0 to 1."""
    return float(((points >= 0) & (points < (width_px, height_px))).all(axis=1).mean())


def _widened(boxes_px: Boxes, share: float) -> Boxes:
    """Boxes (n, 4) made wider on both sides by a share of their width."""
    aside = share * (boxes_px[:, 2:3] - boxes_px[:, 0:1])
    return np.concatenate(
        [boxes_px[:, 0:1] - aside, boxes_px[:, 1:2], boxes_px[:, 2:3] + aside, boxes_px[:, 3:]], axis=1
    )


def _without_doubles(seen_px: Boxes, inferred_px: Boxes) -> Boxes:
    """Hands that were seen (n, 4), and ends of arms (m, 4) at which none was."""
    if not len(seen_px) or not len(inferred_px):
        return np.concatenate([seen_px, inferred_px])
    middles = (seen_px[:, :2] + seen_px[:, 2:]) / 2
    grown = inferred_px + np.array([-1, -1, 1, 1], np.float32) * (inferred_px[:, 2:3] - inferred_px[:, :1]) / 2
    holds = ((grown[:, None, :2] <= middles) & (middles <= grown[:, None, 2:])).all(axis=2)
    return np.concatenate([seen_px, inferred_px[~np.any(holds, axis=1)]])

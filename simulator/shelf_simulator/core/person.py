"""A person in the world: where they stand, what their hands do, what they hold."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from shelf_simulator.core.design import Pack
from shelf_simulator.core.geometry import FloatArray
from shelf_simulator.core.items import HeldItem, PlacedItem
from shelf_simulator.core.motion import Stroke, Walk
from shelf_simulator.core.people import Appearance, Figure, Reach, Stance, pose_person, trolley_at

LEFT, RIGHT = 0, 1
GRIP_HEIGHT = 0.55
GRIP_GAP_MM = 12.0
_HELD_FROM = 20_000
_TROLLEY_AHEAD_MM = 640.0


@dataclass
class Hand:
    """One hand and the strokes it still has to make.

    Attributes:
        grip_mm: where it is; aim_mm: where the body leans to while it works.
        holding: packs it holds, the one nearest to the palm first; yaw_rad and variant are those of the held items.
    """

    grip_mm: FloatArray
    aim_mm: FloatArray
    effort: float = 0.0
    openness: float = 0.5
    strokes: deque[Stroke] = field(default_factory=deque)
    stroke_begun_s: float = 0.0
    holding: list[Pack] = field(default_factory=list)
    variant: int = 0
    used: bool = False

    @property
    def busy(self) -> bool:
        return bool(self.strokes)

    def begin(self, strokes: list[Stroke], now_s: float, aim_mm: FloatArray) -> None:
        """Start a row of strokes."""
        self.strokes = deque(strokes)
        self.stroke_begun_s = now_s
        self.aim_mm = aim_mm

    def advance(self, now_s: float) -> list[str]:
        """Move to where the hand is at ``now_s``; what happens at the ends of the strokes that are over, in order."""
        happened = []
        while self.strokes:
            stroke = self.strokes[0]
            elapsed = now_s - self.stroke_begun_s
            self.grip_mm, self.effort, self.openness = stroke.at(elapsed)
            if elapsed < stroke.lasts_s:
                break
            if stroke.happens:
                happened.append(stroke.happens)
            self.stroke_begun_s += stroke.lasts_s
            self.strokes.popleft()
        return happened


@dataclass
class Person:
    """A shopper or a member of staff."""

    index: int
    look: Appearance
    place_mm: FloatArray
    floor_y_mm: float
    hands: list[Hand]
    walk: Walk | None = None
    turn_rad: float = 0.0
    has_trolley: bool = False
    heading: float = 1.0

    def belly_mm(self, hand: int) -> FloatArray:
        """Where a hand rests: in front of the body, where the camera does not see it."""
        side = -1.0 if hand == LEFT else 1.0
        x, z = self.place_mm
        return np.array([x + side * 70.0, self.floor_y_mm - 0.60 * self.look.height_mm, z + 190.0])

    def advance(self, now_s: float) -> list[tuple[int, str]]:
        """Walk and move the hands; returns (hand, what happened)."""
        if self.walk is not None:
            self.place_mm = self.walk.at(now_s)
            ahead = self.walk.end - self.walk.start
            self.heading = float(np.sign(ahead[0])) or 1.0
            left = (self.walk.begun_s + self.walk.lasts_s - now_s) / 0.4
            into = (now_s - self.walk.begun_s) / 0.4
            self.turn_rad = float(np.sign(ahead[0])) * 0.9 * min(1.0, max(0.0, left), max(0.0, into))
            if self.walk.over(now_s):
                self.walk = None
                self.turn_rad = 0.0
        happened = []
        for number, hand in enumerate(self.hands):
            if hand.busy:
                happened += [(number, what) for what in hand.advance(now_s)]
            else:
                hand.grip_mm = self.belly_mm(number)
                hand.effort = 0.0
        return happened

    def figure(self) -> Figure:
        """As posed now. A hand that this person never uses hangs."""
        reaches = [self._reach(hand) if hand.used else None for hand in self.hands]
        stance = Stance(float(self.place_mm[0]), float(self.place_mm[1]), self.turn_rad)
        parts = pose_person(self.look, stance, self.floor_y_mm, *reaches)
        held = tuple(HeldItem(n, item) for n, hand in enumerate(self.hands) for item in self._held(n, hand))
        return Figure(parts, held)

    def trolley(self) -> Figure | None:
        """What this person pushes, ahead of them; None when nothing."""
        if not self.has_trolley:
            return None
        x, z = (float(value) for value in self.place_mm)
        return trolley_at(x + self.heading * _TROLLEY_AHEAD_MM, z, self.floor_y_mm, self.look.shirt_other)

    @staticmethod
    def _reach(hand: Hand) -> Reach:
        x, y, z = (float(v) for v in hand.grip_mm)
        ax, ay, az = (float(v) for v in hand.aim_mm)
        return Reach((x, y, z), hand.openness, (ax, ay, az), hand.effort, idle=not hand.busy)

    def _held(self, number: int, hand: Hand) -> list[PlacedItem]:
        items = []
        z = float(hand.grip_mm[2]) + GRIP_GAP_MM
        for place, pack in enumerate(hand.holding):
            base_y = float(hand.grip_mm[1]) + GRIP_HEIGHT * pack.height_mm
            items.append(
                PlacedItem(
                    number=_HELD_FROM + self.index * 20 + number * 10 + place,
                    pack=pack,
                    x_mm=float(hand.grip_mm[0]),
                    y_mm=base_y,
                    z_mm=z + pack.depth_mm / 2,
                    variant=hand.variant,
                )
            )
            z += pack.depth_mm + 6.0
        return items[::-1]

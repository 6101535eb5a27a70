"""Which fault comes when, from a seed. Pure."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

FaultKind = Literal[
    "kill-broker", "wipe-broker", "kill-collector", "kill-node", "cut", "disk-full", "clock-jump", "shuffle"
]
KINDS: tuple[FaultKind, ...] = (
    "kill-broker", "wipe-broker", "kill-collector", "kill-node", "cut", "disk-full", "clock-jump", "shuffle",
)  # fmt: skip
COLLECTOR = "collector"

_GAP_S = (2.0, 5.0)
_DOWN_S = (0.0, 2.0)
_CUT_S = 10.0
_JUMP_S = 3600.0
_FIRST_S = 2.0


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong.

    Attributes:
        at_s: seconds after the start. lasts_s: until it is mended (for kills: until the process is started again).
        whom: a node or the collector; empty for the broker.
        detail: stalled or refused for a cut; the seconds of a clock jump.
    """

    at_s: float
    kind: FaultKind
    whom: str
    lasts_s: float
    detail: str = ""

    @property
    def is_kill(self) -> bool:
        return self.kind in ("kill-broker", "wipe-broker", "kill-collector", "kill-node")


def plan_faults(seconds: float, seed: int, nodes: tuple[str, ...]) -> list[Fault]:
    """Faults in order of time: a shuffled deck of all kinds, again and again, every 2 to 5 s.

    A cut lasts 10 s (a third of the run when it is shorter than 30 s); two faults may overlap.
    """
    chance = random.Random(seed)
    longest_s = min(_CUT_S, seconds / 3)
    faults: list[Fault] = []
    deck: list[FaultKind] = []
    at_s = _FIRST_S
    while at_s < seconds:
        if not deck:
            deck = list(KINDS)
            chance.shuffle(deck)
        kind = deck.pop()
        whom, lasts_s, detail = "", chance.uniform(*_DOWN_S), ""
        if kind == "kill-node":
            whom = chance.choice(nodes)
        elif kind == "kill-collector":
            whom = COLLECTOR
        elif kind == "cut":
            whom, lasts_s, detail = chance.choice((*nodes, COLLECTOR)), longest_s, chance.choice(("stalled", "refused"))
        elif kind == "disk-full":
            whom, lasts_s = chance.choice(nodes), longest_s
        elif kind == "clock-jump":
            whom, lasts_s = chance.choice((*nodes, COLLECTOR)), chance.uniform(5.0, 20.0)
            detail = str(chance.choice((-_JUMP_S, _JUMP_S)))
        elif kind == "shuffle":
            whom, lasts_s = chance.choice((*nodes, COLLECTOR)), longest_s
        faults.append(Fault(round(at_s, 3), kind, whom, round(lasts_s, 3), detail))
        at_s += chance.uniform(*_GAP_S)
    return faults

"""The list of staff: what to do first, what belongs to one round, what waits for what."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from shelf_collector.core.demand import Loss
from shelf_collector.core.plan import StorePlan
from shelf_collector.core.tasks import Surroundings, Task

_AISLE = re.compile(r"^([a-z]+)-?\d")
_FIRST = {"help": 0, "node": 1, "camera": 1, "products": 1}
"""People before shelves; what makes us blind before what we saw."""


@dataclass(frozen=True, slots=True)
class Work:
    """A task as the list shows it: with what is so now, not what was so when it was made."""

    task: Task
    aisle: str
    detail: str
    quantity: int
    count: int | None
    loss: Loss | None
    is_blind: bool
    is_mine: bool
    backroom: str = ""

    @property
    def is_of_round(self) -> bool:
        """Whether it is done in passing along an aisle; people and machines that need somebody do not wait for that."""
        return self.task.kind not in _FIRST

    @property
    def is_out(self) -> bool:
        return self.detail == "stock_out"


@dataclass(frozen=True, slots=True)
class Round:
    """The tasks of one aisle in walking order; ``cents`` is what of their loss is known."""

    aisle: str
    works: tuple[Work, ...]
    cents: int
    currency: str

    @property
    def free(self) -> tuple[Work, ...]:
        """What nobody has yet."""
        return tuple(work for work in self.works if work.task.state == "open")


@dataclass(frozen=True, slots=True)
class WorkList:
    """What one colleague sees.

    Attributes:
        mine: what I have; ``waiting``: what nobody has, the most expensive first; ``others``: what others have.
        checking: somebody said done, the camera has not seen it yet.
        snoozed, failed, blind: put off, nothing in the back, and what nobody can see at present.
        rounds: of ``mine`` and ``waiting`` what is done in passing, by aisle; ``alone``: the rest of these.
    """

    mine: tuple[Work, ...] = ()
    waiting: tuple[Work, ...] = ()
    others: tuple[Work, ...] = ()
    checking: tuple[Work, ...] = ()
    snoozed: tuple[Work, ...] = ()
    failed: tuple[Work, ...] = ()
    blind: tuple[Work, ...] = ()
    rounds: tuple[Round, ...] = ()

    @property
    def alone(self) -> tuple[Work, ...]:
        return tuple(work for work in (*self.mine, *self.waiting) if not work.is_of_round)

    @property
    def is_empty(self) -> bool:
        return not (self.mine or self.waiting or self.others)


def aisle_of(bay: str, aisles: Mapping[str, Iterable[str]]) -> str:
    """The aisle of a bay: as the config says, else the letters its id begins with, else the bay itself.

    >>> aisle_of("a01", {}), aisle_of("chilled-01", {"Dairy": ["chilled-01"]}), aisle_of("freezer", {})
    ('A', 'Dairy', 'freezer')
    """
    for name, bays in aisles.items():
        if bay in bays:
            return name
    found = _AISLE.match(bay)
    return found[1].upper() if found else bay


@dataclass(frozen=True, slots=True)
class ListRules:
    """``aisles``: bays by aisle, as the config says."""

    aisles: Mapping[str, tuple[str, ...]]


def work_list(
    tasks: Iterable[Task], around: Surroundings, losses: Mapping[int, Loss], backrooms: Mapping[str, str],
    plan: StorePlan, rules: ListRules, me: str, now: datetime,
) -> WorkList:  # fmt: skip
    """Arrange the tasks that live.

    Args:
        losses: by task id; without one the loss is beside the point.
        backrooms: by GTIN, where staff find it.
    """
    mine: list[Work] = []
    waiting: list[Work] = []
    others: list[Work] = []
    checking: list[Work] = []
    snoozed: list[Work] = []
    failed: list[Work] = []
    blind: list[Work] = []
    for task in tasks:
        work = _work(task, around, losses, backrooms, rules, me)
        if task.is_over:
            continue
        if task.state == "done":
            checking.append(work)
        elif task.state == "failed":
            failed.append(work)
        elif task.state == "claimed":
            (mine if work.is_mine else others).append(work)
        elif task.is_snoozed(now):
            snoozed.append(work)
        elif not task.is_waiting(now):
            continue
        elif work.is_blind:
            blind.append(work)
        else:
            waiting.append(work)

    def place(work: Work) -> tuple[str, float, float, int]:
        planned = plan.slots.get((work.task.bay, work.task.slot or ""))
        return (work.task.bay, planned.x if planned else 0.0, planned.y if planned else 0.0, work.task.id)

    def urgency(work: Work) -> tuple[object, ...]:
        known = work.loss is not None and work.loss.cents is not None
        cents = work.loss.cents if work.loss is not None and work.loss.cents is not None else 0
        is_late = work.task.escalated_at is not None
        # What is not known is neither nothing nor much: after what surely costs something, the empty slots first.
        worth = -cents if known and cents > 0 else 0
        group = 0 if worth else 1 if not known else 2
        return (_FIRST.get(work.task.kind, 2), not is_late, group, worth, not work.is_out, place(work))

    waiting.sort(key=urgency)
    mine.sort(key=lambda work: (work.aisle, *place(work)))
    for rest in (others, checking, snoozed, failed, blind):
        rest.sort(key=place)
    rounds = _rounds([work for work in (*mine, *waiting) if work.is_of_round], place)
    return WorkList(
        tuple(mine), tuple(waiting), tuple(others), tuple(checking), tuple(snoozed), tuple(failed), tuple(blind), rounds
    )


def _rounds(works: list[Work], place: Callable[[Work], tuple[str, float, float, int]]) -> tuple[Round, ...]:
    """By aisle, each in the order in which one walks along it; the aisle that loses most comes first."""
    aisles: dict[str, list[Work]] = {}
    for work in works:
        aisles.setdefault(work.aisle, []).append(work)
    rounds = []
    for aisle, found in aisles.items():
        losses = [work.loss for work in found if work.loss is not None and work.loss.cents is not None]
        cents = sum(loss.cents or 0 for loss in losses)
        currency = losses[0].currency if losses else "EUR"
        rounds.append(Round(aisle, tuple(sorted(found, key=place)), cents, currency))
    return tuple(sorted(rounds, key=lambda one: (-one.cents, -len(one.works), one.aisle)))


def _work(
    task: Task, around: Surroundings, losses: Mapping[int, Loss], backrooms: Mapping[str, str], rules: ListRules,
    me: str,
) -> Work:  # fmt: skip
    found = around.conditions.get(task.key)
    return Work(
        task=task,
        aisle=aisle_of(task.bay, rules.aisles) if task.bay else "",
        detail=found.detail if found else task.detail,
        quantity=found.quantity if found else task.quantity,
        count=found.count if found else None,
        loss=losses.get(task.id),
        is_blind=bool(found and found.is_blind) or around.is_unseen(task),
        is_mine=task.state == "claimed" and task.claimed_by == me,
        backroom=backrooms.get(task.gtin or "", ""),
    )

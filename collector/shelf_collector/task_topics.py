"""Tasks on the broker: a retained topic each while they live, empty when they are over."""

from __future__ import annotations

from shelf_collector.core.demand import Loss
from shelf_collector.core.tasks import Task
from shelf_collector.ports import Bus
from shelf_collector.taskdesk import TaskDesk
from shelf_contracts import envelope, topics
from shelf_contracts import messages as wire


class TaskTopics:
    """Any thread may call: the bus keeps the newest of each topic until the broker has it."""

    def __init__(self, bus: Bus, store: str) -> None:
        self._bus = bus
        self._store = store

    def hear(self, task: Task, change: str, worth: Loss | None) -> None:
        """A task changed."""
        payload = b"" if task.is_over else envelope.encode(task_message(task, change == "task.quiet", worth))
        self._bus.post(self._topic(task.id), payload)

    def say_all(self, desk: TaskDesk) -> None:
        """At the start: what lives, and what ended while nobody may have told the broker."""
        for task, worth in desk.everything():
            self.hear(task, "", worth)
        for ended in desk.ended_lately():
            self._bus.post(self._topic(ended), b"")

    def _topic(self, task: int) -> str:
        return topics.build("task_state", store=self._store, task=f"t-{task}")


def task_message(task: Task, is_quiet: bool, worth: Loss | None) -> wire.Task:
    """A task as machines hear of it: nobody is named."""
    cents = worth.cents if worth is not None else None
    return wire.Task(
        task=f"t-{task.id}", kind=task.kind, state=task.state, bay=task.bay or None, slot=task.slot,
        facing=task.facing, gtin=task.gtin, detail=task.detail, qty=task.quantity,
        created_at=task.created_at, claimed_at=task.claimed_at,
        done_at=task.done_at, snoozed_until=task.snoozed_until, escalated_at=task.escalated_at, is_quiet=is_quiet,
        expected_loss_cents=cents, expected_loss_h=worth.hours if worth is not None and cents is not None else None,
    )  # fmt: skip

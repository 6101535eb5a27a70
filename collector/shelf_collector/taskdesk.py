"""Where calls for help come in and staff take them; displays and staff pages hear of every step."""

from __future__ import annotations

from shelf_collector.adapters.task_list import TaskList
from shelf_collector.core.access import Principal
from shelf_collector.core.tasks import Task, claim, finish
from shelf_collector.core.views import HelpView, Screen, TaskView
from shelf_collector.ports import Clock, Screens


class TaskDesk:
    """Any thread may call."""

    def __init__(self, tasks: TaskList, screens: Screens, clock: Clock) -> None:
        self._tasks = tasks
        self._screens = screens
        self._clock = clock

    def waiting(self) -> list[Task]:
        """What somebody still waits for, oldest first."""
        now = self._clock.now()
        return [task for task in self._tasks.unfinished() if task.is_waiting(now)]

    def call(self, display: str, bay: str, slot: str | None, gtin: str | None, origin: str) -> Task:
        """Somebody at a display asks for help. Asking twice is asking once."""
        task = Task(0, "help", display, bay, slot, gtin, "open", self._clock.now())
        return self._tell(self._tasks.call(task, origin))

    def claim(self, task: int, who: Principal, origin: str) -> Task:
        """Raises: TaskRefused when somebody else was faster."""
        now = self._clock.now()
        step = self._tasks.step(
            task, "task.claimed", f"person:{who.name}", origin, now, lambda one: claim(one, who.name, now)
        )
        return self._tell(step)

    def finish(self, task: int, who: Principal, origin: str) -> Task:
        """Raises: TaskRefused when somebody else has it."""
        now = self._clock.now()
        step = self._tasks.step(
            task, "task.done", f"person:{who.name}", origin, now, lambda one: finish(one, who.name, now)
        )
        return self._tell(step)

    def screens(self) -> list[Screen]:
        """What a page gets first."""
        return [screen for task in self.waiting() for screen in _screens(task)]

    def _tell(self, task: Task) -> Task:
        for screen in _screens(task):
            self._screens.show(screen)
        return task


def _screens(task: Task) -> list[Screen]:
    help_view = HelpView(display=task.display, state=task.state)
    view = TaskView(
        id=task.id, kind=task.kind, display=task.display, bay=task.bay, slot=task.slot, gtin=task.gtin,
        state=task.state, created_at=task.created_at,
    )  # fmt: skip
    return [Screen(f"help/{task.display}", help_view), Screen(f"task/{task.id}", view)]

"""The shop's packs enrolled by sight, while the rest of the shop is starting."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from shelf_contracts.errors import ContractError
from shelf_contracts.gallery import read_gallery
from shelf_simulator.adapters.pack_pictures import write_reference_pictures
from shelf_simulator.app import demo_packs
from shelf_simulator.demo.children import Child, ChildProblem
from shelf_simulator.demo.shop import Shop

_LONGEST_S = 300.0
_PAUSE_S = 0.3


class PackEnrolment:
    """Draws the packs and enrols them, on a thread and in a process of their own, from ``start`` on.

    Args:
        should_stop: asked between two packs.
    """

    def __init__(self, shop: Shop, should_stop: Callable[[], bool]) -> None:
        self._shop = shop
        self._should_stop = should_stop
        self._drawn = 0
        self._packs = 0
        self._failure: Exception | None = None
        self._is_over = threading.Event()
        self._leave = threading.Event()
        self._thread = threading.Thread(target=self._run, name="packs", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """End it, done or not."""
        self._leave.set()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)

    def finish(self, say: Callable[[str], None]) -> None:
        """Wait until all packs are enrolled, and say how far it is.

        Raises: ChildProblem; KeyboardInterrupt when it should stop.
        """
        deadline_s = time.monotonic() + _LONGEST_S
        while not self._is_over.wait(_PAUSE_S):
            if self._should_stop():
                raise KeyboardInterrupt
            if time.monotonic() > deadline_s:
                raise ChildProblem(f"the packs are not enrolled after {_LONGEST_S:g} s; the logs say more")
            say(f"enrolling the shop's packs by sight: {self._how_far()}")
        if self._failure is not None:
            raise self._failure

    def _how_far(self) -> str:
        if not self._packs or self._drawn < self._packs:
            return f"{self._drawn} of {self._packs or '?'} drawn"
        try:
            known = len(read_gallery(self._shop.gallery).gtins) if self._shop.gallery.is_file() else 0
        except ContractError:
            known = 0
        return f"{known} of {self._packs}"

    def _run(self) -> None:
        try:
            self._enrol()
        except Exception as error:  # noqa: BLE001 - told by who waits for it
            self._failure = error
        finally:
            self._is_over.set()

    def _enrol(self) -> None:
        packs = demo_packs()
        self._packs = len(packs)
        for pack in packs:
            if self._leave.is_set():
                return
            write_reference_pictures(self._shop.packs_folder, [pack])
            self._drawn += 1
        child = Child.start(self._shop.enrol_process(), self._shop.folder / "logs")
        while not child.has_ended and not self._leave.wait(_PAUSE_S):
            pass
        child.ask_to_stop()
        child.wait_or_kill(time.monotonic() + child.spec.stop_s)
        if child.process.returncode and not self._leave.is_set():
            raise ChildProblem(f"enrol ended with code {child.process.returncode}:\n{child.last_lines()}")

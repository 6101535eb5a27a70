"""Waiting until each part of the demo does its work, with a deadline and a look at whether it still lives."""

from __future__ import annotations

import time
from collections.abc import Callable

import httpx

from shelf_simulator.demo.children import Children

_PAUSE_S = 0.15
_REQUEST_S = 2.0


class NotReady(Exception):
    """A part did not become ready in time; the message says which and where its log is."""


def wait_until(
    what: str, is_ready: Callable[[], bool], children: Children, timeout_s: float, should_stop: Callable[[], bool]
) -> None:
    """Poll ``is_ready``. Raises: NotReady after ``timeout_s``; ChildProblem when a process ended; KeyboardInterrupt."""
    deadline_s = time.monotonic() + timeout_s
    while not is_ready():
        if should_stop():
            raise KeyboardInterrupt
        children.check()
        if time.monotonic() > deadline_s:
            raise NotReady(f"{what} is not ready after {timeout_s:g} s; the logs say more")
        time.sleep(_PAUSE_S)


def answers(url: str) -> bool:
    """True when a GET is answered with 200."""
    try:
        return httpx.get(url, timeout=_REQUEST_S).status_code == 200
    except httpx.HTTPError:
        return False


def slots_known(web: str) -> tuple[int, int]:
    """How many slots the collector knows the level of, and how many there are; (0, 0) when it does not answer."""
    try:
        state = httpx.get(f"{web}/api/v1/state", timeout=_REQUEST_S).json()
        return int(state["slots_known"]), int(state["slots_planned"])
    except (httpx.HTTPError, ValueError, KeyError):
        return 0, 0

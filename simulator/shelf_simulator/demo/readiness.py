"""Waiting until each part of the demo does its work, with a deadline and a look at whether it still lives."""

from __future__ import annotations

import os
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
            raise NotReady(f"{what} is not ready after {timeout_s:g} s{_busy()}{_newest_log(children)}")
        time.sleep(_PAUSE_S)


def _busy() -> str:
    """Words about a machine that has more to do than it can."""
    cores = os.cpu_count() or 1
    load = os.getloadavg()[1] if hasattr(os, "getloadavg") else 0.0
    return f"; this machine is busy (load {load:.1f} on {cores} cores): try again later" if load > cores else ""


def _newest_log(children: Children) -> str:
    """The end of the log of the part that was started last, which is the one that is waited for."""
    if not children.all:
        return ""
    child = children.all[-1]
    return f"; the end of {child.log_path}:\n{child.last_lines()}"


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

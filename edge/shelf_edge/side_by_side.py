"""Several recordings at once, and all of them left when one fails."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def side_by_side(
    work: Callable[[int, _Item], _Result], items: Sequence[_Item], workers: int, stop: threading.Event
) -> list[_Result]:
    """The results in the items' order; ``work`` gets each with its place.

    Raises: what ``work`` raises first, after ``stop`` was set and what runs has ended; so does Ctrl-C.
    """
    with ThreadPoolExecutor(max_workers=max(1, workers)) as pool:
        futures: list[Future[_Result]] = [pool.submit(work, place, item) for place, item in enumerate(items)]
        try:
            pending = set(futures)
            while pending:
                done, pending = wait(pending, timeout=0.5, return_when="FIRST_EXCEPTION")
                for future in done:
                    future.result()
        except BaseException:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return [future.result() for future in futures]

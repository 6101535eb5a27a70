"""Training batches, made by a thread a few ahead of the network that learns from them."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

T = TypeVar("T")


def batches_ahead(make: Callable[[], T], count: int, *, most: int, wait_s: float) -> Iterator[T]:
    """``count`` batches in the order in which ``make`` gives them; it is called on another thread.

    Args:
        most: so many wait at once.
    Raises: RuntimeError when ``make`` fails, queue.Empty when a batch takes longer than ``wait_s``.
    """
    ahead: queue.Queue[T | BaseException] = queue.Queue(most)
    stop = threading.Event()

    def put(item: T | BaseException) -> None:
        while not stop.is_set():
            try:
                ahead.put(item, timeout=1.0)
            except queue.Full:
                continue
            return

    def work() -> None:
        try:
            for _ in range(count):
                if stop.is_set():
                    return
                put(make())
        except BaseException as error:  # noqa: BLE001 - handed to the loop, which raises it
            put(error)

    thread = threading.Thread(target=work, name="pictures", daemon=True)
    thread.start()
    try:
        for _ in range(count):
            item = ahead.get(timeout=wait_s)
            if isinstance(item, BaseException):
                raise RuntimeError("a picture source failed") from item
            yield item
    finally:
        stop.set()
        thread.join(timeout=10.0)

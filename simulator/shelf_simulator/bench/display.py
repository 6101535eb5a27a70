"""From a frame's capture to the painted pixel: the demo shop with its displays in a real Chromium."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any

from shelf_simulator.bench.figures import DisplayFigures, Paint, figures
from shelf_simulator.demo.app import open_shop
from shelf_simulator.demo.readiness import NotReady
from shelf_simulator.demo.screenshots import BROWSER_ARGUMENTS, find_browser
from shelf_simulator.demo.shop import Shop

if TYPE_CHECKING:
    from playwright.sync_api import Page

_WIDTH_PX, _HEIGHT_PX = 1280, 720
_LOOK_EVERY_MS = 500
_FITTED_MS = 90_000
"""So long a display may work out the letters of its products, before it is measured as it is all day."""
_LISTEN = """
window.smartshelfPaints = [];
window.smartshelfPixels = [];
new PerformanceObserver((list) => {
  for (const one of list.getEntries()) window.smartshelfPixels.push(performance.timeOrigin + one.renderTime);
}).observe({ type: "element", buffered: true });
"""
# Pages that are not in front must paint as those on a wall do.
_ALL_IN_FRONT = ("--disable-backgrounding-occluded-windows", "--disable-renderer-backgrounding")


def measure_displays(
    shop: Shop, displays: int, seconds: float, stop: threading.Event, say: Callable[[str], None]
) -> DisplayFigures:
    """Open the shop with so many displays, spread over its bays, and time every reach.

    Raises: as ``open_shop``; NotReady when there is no browser; ValueError when nobody reached for anything.
    """
    spread = [shop.bays[number % len(shop.bays)] for number in range(displays)]
    with open_shop(shop, stop, say) as running, browser_pages(shop.web, spread) as pages:
        load_before = os.getloadavg()[0]
        say(f"measuring {displays} displays for {seconds:g} s")
        for page in pages:
            page.evaluate("() => { smartshelfPaints.length = 0; smartshelfPixels.length = 0; }")
        for _ in range(round(seconds * 1000 / _LOOK_EVERY_MS)):
            if stop.is_set():
                raise KeyboardInterrupt
            running.children.check()
            pages[0].wait_for_timeout(_LOOK_EVERY_MS)
        load_after = os.getloadavg()[0]
        found = []
        for number, page in enumerate(pages):
            marks, pixels = page.evaluate("() => [smartshelfPaints, smartshelfPixels]")
            found += paints_of(f"{number}", marks, pixels)
    return figures(found, displays, seconds, (load_before, load_after), os.cpu_count() or 1)


@contextmanager
def browser_pages(web: str, displays: Sequence[str]) -> Iterator[list[Page]]:
    """One Chromium page a display, each connected and noting what it paints; no browser is started for none.

    Raises: NotReady when there is no browser.
    """
    if not displays:
        yield []
        return
    path = find_browser()
    try:
        from playwright.sync_api import TimeoutError as PlaywrightTimeout
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError as error:
        raise NotReady("the package playwright is missing: pip install 'smartshelf[test]'") from error
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*BROWSER_ARGUMENTS, *_ALL_IN_FRONT])
        pages = []
        for display in displays:
            context = browser.new_context(viewport={"width": _WIDTH_PX, "height": _HEIGHT_PX})
            context.add_init_script(_LISTEN)
            page = context.new_page()
            page.goto(f"{web}/display/{display}?lang=en")
            page.wait_for_selector('#display[data-stream="up"]')
            pages.append(page)
        for page in pages:
            with suppress(PlaywrightTimeout):
                page.wait_for_selector("#measure[data-prepared]", state="attached", timeout=_FITTED_MS)
        yield pages
        browser.close()


def paints_of(display: str, marks: list[dict[str, Any]], pixels: list[float]) -> list[Paint]:
    """Join what a page noted (a change, when it came) with what the browser painted.

    Args:
        marks: as display.js notes them: ``captured_at``, ``decided_at`` (ISO), ``received_ms``, ``painted_ms``.
        pixels: when a product's name was first on the screen, ms since the epoch.
    """
    found = []
    for index, mark in enumerate(marks):
        begin = mark["received_ms"]
        end = marks[index + 1]["received_ms"] if index + 1 < len(marks) else float("inf")
        painted = next((pixel for pixel in sorted(pixels) if begin <= pixel < end), mark["painted_ms"])
        captured, decided = (
            datetime.fromisoformat(mark[key]).timestamp() * 1000 for key in ("captured_at", "decided_at")
        )
        found.append(Paint(display, captured, decided, begin, painted))
    return found

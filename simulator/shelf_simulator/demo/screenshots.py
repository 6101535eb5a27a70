"""The README's pictures, made from the running demo in a real browser."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from shelf_simulator.demo.app import RunningShop, open_shop
from shelf_simulator.demo.readiness import NotReady
from shelf_simulator.demo.shop import Shop

if TYPE_CHECKING:
    from playwright.sync_api import Browser

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BROWSER_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_PATIENCE_S = 300.0
_SETTLE_MS = 900
_ANSWER_S = 5.0


@dataclass(frozen=True)
class Picture:
    """One screenshot: a page at a size, taken when something is to be seen on it."""

    name: str
    path: str
    width_px: int
    height_px: int
    scale: float
    is_worth_it: Callable[[str], bool]
    press: tuple[str, ...] = ()
    """What is tapped before, as CSS selectors."""
    is_at_rest: bool = False
    """A display without panels: what is open is closed first, since people in the demo hardly ever pause."""


def find_browser() -> str:
    """The path of Chromium. Raises: NotReady saying what to install."""
    for name in BROWSERS:
        found = shutil.which(name)
        if found:
            return found
    raise NotReady(f"no browser: install one of {', '.join(BROWSERS)} (apt-get install chromium)")


def take_screenshots(shop: Shop, folder: Path, stop: threading.Event, say: Callable[[str], None]) -> list[Path]:
    """Open the shop, wait for moments worth a picture, and write the pictures.

    Raises: as ``open_shop``; NotReady when there is no browser or a moment does not come.
    """
    browser_path = find_browser()
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError as error:
        raise NotReady("the package playwright is missing: pip install 'smartshelf[test]'") from error
    folder.mkdir(parents=True, exist_ok=True)
    bay = shop.bays[0]
    pictures = (
        Picture("display-rest.png", f"/display/{bay}?lang=en", 1920, 1080, 0.5, lambda web: True, is_at_rest=True),
        Picture(
            "display-filter.png",
            f"/display/{bay}?lang=en",
            1920,
            1080,
            0.5,
            lambda web: True,
            (".chip[data-filter=no_nuts]", ".chip[data-filter=low_salt]"),
            is_at_rest=True,
        ),
        Picture("overview.png", "/?lang=en", 1440, 900, 1.0, lambda web: _alerts(web) >= 1),
        Picture("display.png", f"/display/{bay}?lang=en", 1920, 1080, 0.5, lambda web: _panels(web, bay) == 2),
        Picture("display-bar.png", f"/display/{bay}?lang=nl", 1920, 360, 0.5, lambda web: _panels(web, bay) == 1),
        Picture(
            "phone-filter.png", f"/my/{bay}?lang=it", 390, 844, 1.0, lambda web: True, (".chip[data-filter=vegan]",)
        ),
        Picture(
            "staff.png",
            "/staff?lang=en",
            390,
            844,
            1.0,
            lambda web: _asked_for_help(web, bay) and _known_losses(web) >= 1,
        ),
        Picture("staff-rounds.png", "/staff?lang=en&view=rounds", 390, 844, 1.0, lambda web: _known_losses(web) >= 1),
    )
    written = []
    with open_shop(shop, stop, say) as running, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=list(BROWSER_ARGUMENTS))
        for picture in pictures:
            say(f"waiting for a moment worth {picture.name}")
            written.append(_take(picture, folder, browser, running, stop))
        browser.close()
    return written


def _take(picture: Picture, folder: Path, browser: Browser, running: RunningShop, stop: threading.Event) -> Path:
    page = browser.new_page(
        viewport={"width": picture.width_px, "height": picture.height_px}, device_scale_factor=picture.scale
    )
    page.goto(running.shop.web + picture.path)
    page.wait_for_timeout(_SETTLE_MS)
    for selector in picture.press:
        page.click(selector)
    deadline_s = time.monotonic() + _PATIENCE_S
    while True:
        if stop.is_set():
            raise KeyboardInterrupt
        running.children.check()
        if time.monotonic() > deadline_s:
            raise NotReady(f"nothing worth {picture.name} happened within {_PATIENCE_S:g} s; try another --seed")
        if _is_worth_it(picture, running.shop.web):
            page.wait_for_timeout(_SETTLE_MS)
            if _is_worth_it(picture, running.shop.web):  # people go on while the page settles
                break
        page.wait_for_timeout(100)
    while picture.is_at_rest and page.get_attribute("#display", "data-panels") != "0":
        if time.monotonic() > deadline_s:
            raise NotReady(f"no moment of rest for {picture.name} within {_PATIENCE_S:g} s; try another --seed")
        page.keyboard.press("Escape")
        page.wait_for_timeout(400)
    target = folder / picture.name
    page.screenshot(path=str(target))
    page.close()
    return target


def _is_worth_it(picture: Picture, web: str) -> bool:
    """False also when a busy collector does not answer at once: the picture is waited for."""
    try:
        return picture.is_worth_it(web)
    except httpx.HTTPError:
        return False


def _panels(web: str, display: str) -> int:
    return len(httpx.get(f"{web}/api/v1/displays/{display}", timeout=_ANSWER_S).json()["panels"])


def _alerts(web: str) -> int:
    return len(httpx.get(f"{web}/api/v1/alerts", timeout=_ANSWER_S).json())


def _asked_for_help(web: str, display: str) -> bool:
    """Somebody at a display asks for a colleague; asking again is asking once."""
    return httpx.post(f"{web}/display/{display}/ask", json={}, timeout=_ANSWER_S).is_success


def _known_losses(web: str) -> int:
    """How many tasks there are of which one knows what they cost."""
    found = httpx.get(f"{web}/api/v1/tasks", timeout=_ANSWER_S).json()
    return sum(bool(one["expected_loss_cents"]) and one["state"] == "open" for one in found)

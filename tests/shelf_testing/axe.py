"""axe-core on an open page: what somebody with a screen reader, a keyboard or weak eyes would stumble over."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from axe_playwright_python.sync_playwright import Axe
    from playwright.sync_api import Page

_SERIOUS = ("serious", "critical")
_ALL = ("minor", "moderate", *_SERIOUS)
_IS_STILL = "() => document.getAnimations().every((one) => one.playState !== 'running')"


@cache
def _axe() -> Axe:
    from axe_playwright_python.sync_playwright import Axe

    return Axe()


def serious_findings(page: Page) -> list[str]:
    """Every serious or critical finding on the page as it stands, one line an element; a good page gives none.

    Waits until nothing moves: in the middle of a fade no text has contrast.
    """
    return _findings(page, _SERIOUS)


def findings(page: Page) -> list[str]:
    """As ``serious_findings``, of every weight: landmarks that are alike, headings out of order."""
    return _findings(page, _ALL)


def _findings(page: Page, impacts: tuple[str, ...]) -> list[str]:
    page.wait_for_function(_IS_STILL)
    violations = _axe().run(page).response["violations"]
    return [
        f"{one['id']} ({one['impact']}): {' '.join(map(str, node['target']))}: {node['html'][:120]}"
        for one in violations
        if one["impact"] in impacts
        for node in one["nodes"]
    ]

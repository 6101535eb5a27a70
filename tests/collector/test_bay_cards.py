"""Displays of one bay share what is said of its products, for seconds; nothing of another bay or language."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from markupsafe import Markup

from shelf_collector.adapters.web import kiosk
from shelf_collector.adapters.web.bay_cards import KEPT_S, BayCards, Cards
from tests.collector.conftest import Shop
from tests.collector.visitors import Visitor


def test_two_hundred_that_ask_at_once_wait_for_one() -> None:
    made, begun, shared = [], threading.Event(), BayCards()

    def make() -> Cards:
        made.append(time.monotonic())
        assert begun.wait(10)
        return Cards({}, Markup("cards"))

    with ThreadPoolExecutor(20) as pool:
        asked = [pool.submit(shared.of, "a01", "nl", 100.0, make) for _ in range(200)]
        begun.set()
        assert len({id(one.result(10)) for one in asked}) == 1
    assert len(made) == 1


def test_what_is_kept_grows_old_and_a_clock_that_went_back_makes_it_anew() -> None:
    shared, made = BayCards(), list[str]()

    def ask(bay: str, language: str, now_s: float) -> str:
        def make() -> Cards:
            made.append(f"{bay} {language} {now_s:g}")
            return Cards({}, Markup(made[-1]))

        return str(shared.of(bay, language, now_s, make).html)

    assert ask("a01", "nl", 100) == ask("a01", "nl", 100 + KEPT_S - 0.1) == "a01 nl 100"
    assert ask("a01", "it", 101) == "a01 it 101"
    assert ask("b01", "nl", 101) == "b01 nl 101"
    assert ask("a01", "nl", 100 + KEPT_S) == "a01 nl 105"
    assert ask("a01", "nl", 7) == "a01 nl 7"
    assert len(made) == 5


def test_a_failure_is_not_kept() -> None:
    shared = BayCards()

    def fail() -> Cards:
        raise OSError

    for _ in range(2):
        with pytest.raises(OSError):
            shared.of("a01", "nl", 1, fail)
    assert shared.of("a01", "nl", 1, lambda: Cards({}, Markup("well"))).html == "well"


@pytest.fixture
def three_displays(shop_folder: Path) -> None:
    config = shop_folder / "collector.toml"
    text = "".join(f'[[displays]]\nid = "d{number}"\nbay = "a01"\n' for number in (1, 2, 3))
    config.write_text(config.read_text() + text)


def test_displays_of_a_bay_are_one_rendering(
    three_displays: None, open_shop: Callable[[], Shop], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop, made = open_shop(), list[str]()
    make = kiosk._made_cards
    monkeypatch.setattr(
        kiosk, "_made_cards", lambda site, bay, lang: made.append(f"{bay} {lang}") or make(site, bay, lang)
    )
    visitor = Visitor(shop, base="http://127.0.0.1:8080")
    fragments = {visitor.get(f"/display/d{number}/cards?lang=nl").text for number in (1, 2, 3)}
    pages = [visitor.get(f"/display/d{number}?lang=nl").text for number in (1, 2, 3)]
    assert made == ["a01 nl"]
    assert len(fragments) == 1
    assert all(fragments.copy().pop() in page for page in pages)
    assert 'data-display="d1"' in pages[0]
    assert 'data-display="d2"' in pages[1], "each page is its own display's"
    assert "Wholegrain" in visitor.get("/display/d1/cards?lang=en").text
    shop.clock.advance(KEPT_S)
    visitor.get("/display/d1/cards?lang=nl")
    assert made == ["a01 nl", "a01 en", "a01 nl"]

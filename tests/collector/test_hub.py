"""The event stream: resumes where it was cut, keeps only the newest of a state, drops who does not read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable

from shelf_collector.adapters import hub as module
from shelf_collector.adapters.hub import Hub
from shelf_collector.core.views import BayView, Screen


def screen(topic: str, fill: float, *, is_state: bool = True) -> Screen:
    return Screen(topic, BayView(bay="a01", name="", osa=None, fill=fill, coverage=1), is_state)


SNAPSHOT = [screen("bay/a01", 0.5)]


def run(story: Callable[[Hub], Coroutine[None, None, None]]) -> None:
    async def play() -> None:
        hub = Hub("boot")
        hub.attach(asyncio.get_running_loop())
        await asyncio.wait_for(story(hub), 10)

    asyncio.run(play())


def listen(hub: Hub, last: str = "", topics: Iterable[str] = ("bay", "event")):  # type: ignore[no-untyped-def]
    return hub.stream(topics, last, lambda: SNAPSHOT)


async def settle() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


def test_a_new_page_gets_the_snapshot_then_what_is_shown() -> None:
    async def story(hub: Hub) -> None:
        stream = listen(hub)
        assert "retry" in await anext(stream)
        assert '"fill":0.5' in await anext(stream)
        hub.show(screen("bay/a01", 0.6))
        hub.show(screen("node/n01", 0.7))
        text = await anext(stream)
        assert "id: boot-1\nevent: bay\n" in text
        assert "0.7" not in text, "nobody asked for nodes"
        await stream.aclose()
        assert hub.listeners == 0

    run(story)


def test_a_page_that_comes_back_gets_what_it_missed_and_no_more() -> None:
    async def story(hub: Hub) -> None:
        for fill in (0.1, 0.2, 0.3):
            hub.show(screen("bay/a01", fill))
        hub.show(screen("event/a01", 0.4, is_state=False))
        hub.show(screen("event/a01", 0.5, is_state=False))
        stream = listen(hub, "boot-1")
        await anext(stream)
        texts = [await anext(stream) for _ in range(3)]
        assert ["0.3" in texts[0], "0.4" in texts[1], "0.5" in texts[2]] == [True, True, True]
        await stream.aclose()

    run(story)


def test_an_id_of_another_run_or_from_too_long_ago_gets_the_snapshot() -> None:
    async def story(hub: Hub) -> None:
        for number in range(module.RING_SIZE + 10):
            hub.show(screen("event/a01", number, is_state=False))
        for last in ("other-5", "boot-1", "boot-999999", "boot-x", "nonsense"):
            stream = listen(hub, last)
            await anext(stream)
            assert '"fill":0.5' in await anext(stream), last
            await stream.aclose()

    run(story)


def test_of_a_state_only_the_newest_waits_and_happenings_all_do() -> None:
    async def story(hub: Hub) -> None:
        stream = listen(hub)
        await anext(stream)
        await anext(stream)
        for fill in (0.1, 0.2, 0.3):
            hub.show(screen("bay/a01", fill))
            hub.show(screen("event/a01", fill, is_state=False))
        await settle()
        text = await anext(stream)
        assert text.count("event: bay") == 1
        assert text.count("event: event") == 3
        await stream.aclose()

    run(story)


def test_a_page_that_does_not_read_is_dropped() -> None:
    async def story(hub: Hub) -> None:
        stream = listen(hub)
        await anext(stream)
        await anext(stream)
        for number in range(module.MOST_WAITING + 1):
            hub.show(screen("event/a01", number, is_state=False))
        await settle()
        assert [text async for text in stream] == []
        assert (hub.dropped, hub.listeners) == (1, 0)

    run(story)


def test_silence_is_filled_and_closing_ends_every_stream(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(module, "PING_S", 0.01)

    async def story(hub: Hub) -> None:
        stream = listen(hub)
        await anext(stream)
        await anext(stream)
        assert (await anext(stream)).startswith(": ping\n")
        hub.close()
        assert [text async for text in stream] == []
        assert hub.dropped == 0

    run(story)


def test_showing_before_and_after_the_loop_does_no_harm() -> None:
    hub = Hub("boot")
    hub.show(screen("bay/a01", 0.1))

    async def attach() -> None:
        hub.attach(asyncio.get_running_loop())

    asyncio.run(attach())
    hub.show(screen("bay/a01", 0.2))

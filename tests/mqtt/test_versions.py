"""Which version is tried next, as a table of what brokers did."""

from __future__ import annotations

import pytest

from shelf_mqtt.versions import V5, V311, VersionChoice


@pytest.mark.parametrize(
    ("story", "expected"),
    [
        ("", V5),
        ("u", V311),  # a broker without MQTT 5
        ("uw", V311),  # ... and it stays so
        ("uwu", V311),  # one closed door of a broker that restarts changes nothing
        ("uwuu", V311),
        ("uwuuu", V5),  # but it may have been replaced
        ("w", V5),
        ("wuu", V5),
        ("wuwuwu", V5),  # a good answer forgives
        ("wuuu", V311),
        ("uu", V5),  # neither worked: start over
    ],
)
def test_the_next_version(story: str, expected: object) -> None:
    choice = VersionChoice()
    for what in story:
        if what == "w":
            choice.worked()
        else:
            choice.unsupported()
    assert choice.version == expected


def test_only_the_step_down_is_taken_at_once() -> None:
    choice = VersionChoice()
    assert choice.unsupported() is True
    assert choice.unsupported() is False

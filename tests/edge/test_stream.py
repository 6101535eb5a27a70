"""What is said of a stream that misbehaves: how it is put, how seldom, and when it is over."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelf_edge.core.stream import PictureWatch, StreamRules, StreamWatch

LARGE, SMALL, FLAT = (640, 360), (320, 180), (640, 180)


@dataclass
class Watched:
    """A watch with a clock; ``said`` holds when something was said, whether it was unsteady, and the words."""

    watch: StreamWatch = field(default_factory=StreamWatch)
    at_s: float = 100.0
    said: list[tuple[float, bool, str]] = field(default_factory=list)
    used: int = 0

    def show(self, seconds: float, *sizes: tuple[int, int], clock_s: tuple[float, ...] = (0.0,)) -> None:
        """Ten pictures a second, of these sizes and with these capture times ahead of the clock, in turn."""
        for number in range(round(seconds * 10)):
            self.at_s += 0.1
            captured_s = self.at_s + clock_s[number % len(clock_s)]
            self.used += self.watch.is_of_use(sizes[number % len(sizes)], captured_s, self.at_s)
            self.look()

    def spoil(self, count: int) -> None:
        self.watch.spoil(count, "sent 9 bytes that are no picture", self.at_s)
        self.look()

    def look(self) -> None:
        if self.watch.has_news(self.at_s):
            state = self.watch.state
            self.said.append((self.at_s, state.is_unsteady, state.text))

    @property
    def words(self) -> list[str]:
        return [text for _, _, text in self.said]


def test_a_stream_that_is_well_says_nothing() -> None:
    watched = Watched()
    watched.show(30, LARGE)
    assert (watched.said, watched.used) == ([], 300)


def test_pictures_of_another_size_are_taken_when_they_hold_and_said_once() -> None:
    watched = Watched()
    watched.show(5, LARGE)
    watched.show(100, SMALL)
    assert watched.words == ["its pictures are 320x180 now, they were 640x360: see that it shows the bay", ""]
    assert 50 + 1000 - 25 <= watched.used <= 50 + 1000 - 20, "left out until it was certain"


def test_another_shape_is_said_for_as_long_as_it_lasts_or_until_it_is_calibrated() -> None:
    watched = Watched()
    watched.show(5, LARGE)
    watched.show(100, FLAT)
    assert watched.words[-1] == "its pictures are 640x180, they were 640x360: see that it shows the bay"
    assert not watched.said[-1][1]
    watched.watch.calibrated()
    watched.show(5, FLAT)
    assert watched.words[-1] == ""


def test_a_size_that_changes_all_the_time_is_unsteady_and_the_first_size_is_used() -> None:
    watched = Watched()
    watched.show(5, LARGE)
    watched.show(60, SMALL, LARGE, FLAT)
    assert watched.used == 50 + 200
    assert [unsteady for _, unsteady, _ in watched.said] == [True]
    assert watched.words[0].startswith("the size of its pictures changes (")
    assert "that are not 640x360 were left out); see to its cable, power, settings" in watched.words[0]
    watched.show(55, LARGE)
    assert [unsteady for _, unsteady, _ in watched.said] == [True, True], "the figures once more: it lasted a minute"
    watched.show(10, LARGE)
    assert watched.said[-1][1:] == (False, "")


def test_what_is_no_picture_is_counted() -> None:
    watched = Watched()
    watched.show(1, LARGE)
    watched.spoil(1)
    watched.show(10, LARGE)
    assert watched.words == ["1 of what it sent could not be read (sent 9 bytes that are no picture)"]
    assert not watched.said[0][1], "an accident"
    for _ in range(9):
        watched.spoil(3)
        watched.show(1, LARGE)
    assert watched.said[-1][1]
    watched.show(70, LARGE)
    assert watched.words[-1] == ""


def test_a_clock_that_goes_back_once_is_said_and_believed_again() -> None:
    watched = Watched()
    watched.show(2, LARGE)
    watched.show(3, LARGE, clock_s=(-3600.0,))
    assert watched.words == ["its clock went back by 3600 s: durations are counted on"]
    assert not watched.watch.is_clock_wild


def test_a_clock_that_goes_to_and_fro_is_not_believed_until_it_is_well() -> None:
    watched = Watched()
    watched.show(2, LARGE)
    watched.show(30, LARGE, clock_s=(4.0, -4.0))
    assert watched.watch.is_clock_wild
    assert "by up to 8 s: pictures are timed as they arrive" in watched.words[0]
    assert len(watched.said) == 1
    watched.show(70, LARGE)
    assert not watched.watch.is_clock_wild
    assert watched.words[-1] == ""


def test_an_imprecise_clock_is_none() -> None:
    watched = Watched()
    watched.show(20, LARGE, clock_s=(0.3, -0.3))
    assert watched.said == []


_DEEDS = st.sampled_from(["large", "small", "flat", "spoiled", "back", "pause"])


@given(st.lists(st.tuples(_DEEDS, st.integers(1, 12)), max_size=20))
def test_whatever_a_camera_does_little_is_said_and_it_ends(deeds: list[tuple[str, int]]) -> None:
    watched, rules = Watched(), StreamRules()
    for deed, times in deeds:
        for _ in range(times):
            match deed:
                case "spoiled":
                    watched.spoil(2)
                    watched.at_s += 0.05
                case "back":
                    watched.show(0.2, LARGE, clock_s=(3.0, -3.0))
                case "pause":
                    watched.at_s += 1.0
                    watched.look()
                case _:
                    watched.show(0.1, {"large": LARGE, "small": SMALL, "flat": FLAT}[deed])
    watched.show(rules.well_after_s + 2 * rules.pause_s, LARGE)
    times_s = [at_s for at_s, _, _ in watched.said]
    assert all(later - one >= rules.pause_s - 1e-6 for one, later in itertools.pairwise(times_s)), (
        "never two within some seconds"
    )
    assert all(len(text) <= 290 for text in watched.words)
    assert not watched.watch.state.is_unsteady
    assert watched.used >= 600, "the end of it is used"


@pytest.mark.parametrize("long", ["x" * 500])
def test_a_long_reason_is_cut(long: str) -> None:
    watched = Watched()
    watched.watch.spoil(9, long, watched.at_s)
    watched.at_s += 5
    watched.look()
    assert len(watched.words[0]) < 200


SHELF = np.random.default_rng(3).integers(60, 200, (18, 32, 3), np.uint8).repeat(20, 0).repeat(20, 1)
ELSEWHERE = np.random.default_rng(4).integers(60, 200, (18, 32, 3), np.uint8).repeat(20, 0).repeat(20, 1)
NOISE = np.random.default_rng(5).integers(0, 255, SHELF.shape, np.uint8)
GREY, DARK, DIM = np.full_like(SHELF, 128), np.zeros_like(SHELF), SHELF // 2


def used(*pictures: np.ndarray) -> tuple[list[bool], int]:
    watch = PictureWatch()
    return [watch.is_of_use(picture) for picture in pictures], watch.take_strange()


@pytest.mark.parametrize(
    "odd", [NOISE, GREY, ELSEWHERE, np.roll(SHELF, 200, 1)], ids=["noise", "grey", "other", "slid"]
)
def test_a_picture_unlike_those_before_and_after_is_left_out(odd: np.ndarray) -> None:
    assert used(SHELF, SHELF, odd, SHELF, odd, SHELF[::-1], SHELF) == ([True, True, False, True, False, False, True], 3)


@pytest.mark.parametrize("after", [ELSEWHERE, DARK, GREY], ids=["another view", "lights off", "covered"])
def test_what_stays_is_a_change_and_used_from_its_second_picture_on(after: np.ndarray) -> None:
    assert used(SHELF, after, after, after) == ([True, False, True, True], 0)


def test_lights_that_flicker_are_nothing_strange() -> None:
    assert used(SHELF, DIM, SHELF, DIM, SHELF) == ([True] * 5, 0)


def test_where_no_two_pictures_are_alike_every_third_is_used() -> None:
    pictures = np.random.default_rng(6).integers(0, 255, (9, *SHELF.shape), np.uint8)
    assert used(*pictures)[0] == [True, False, False] * 3


def test_strange_pictures_are_said() -> None:
    watched = Watched()
    watched.show(1, LARGE)
    for _ in range(6):
        watched.watch.count_strange(1, watched.at_s)
        watched.show(1, LARGE)
    watched.show(6, LARGE)
    assert "pictures were unlike those before and after" in watched.words[-1]
    assert watched.said[-1][1]

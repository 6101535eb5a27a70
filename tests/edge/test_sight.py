"""What a camera's pictures are worth, on a drawn scene of packs on boards: light, lens, place."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import cv2
import numpy as np
import pytest

from shelf_edge.core.frame import Picture
from shelf_edge.core.geometry import project
from shelf_edge.core.sight import Sight, SightRules, SightWatch

WIDTH, HEIGHT, FPS = 640, 360, 4
NOBODY = np.zeros((0, 4), np.float32)
Change = Callable[[Picture], Picture]


def scene(seed: int = 1) -> Picture:
    """Boards with rows of packs, some of them striped, on a wall of even light."""
    rng = np.random.default_rng(seed)
    picture = np.full((HEIGHT, WIDTH, 3), 150, np.uint8)
    for board in range(4):
        base = 85 + 85 * board
        cv2.rectangle(picture, (20, base), (WIDTH - 20, base + 8), (210, 220, 225), -1)
        x = 30
        while x < WIDTH - 60:
            wide, high = int(rng.integers(18, 44)), int(rng.integers(30, 66))
            colour = tuple(int(value) for value in rng.integers(20, 230, 3))
            cv2.rectangle(picture, (x, base - high), (x + wide, base), colour, -1)
            for stripe in range(int(rng.integers(0, 4))):
                y = base - high + 6 + 9 * stripe
                cv2.line(picture, (x + 3, y), (x + wide - 3, y), tuple(255 - value for value in colour), 3)
            x += wide + int(rng.integers(2, 16))
    return picture


NOISE = np.random.default_rng(7).normal(0, 3, (HEIGHT, WIDTH, 3)).astype(np.int16)


def noisy(picture: Picture, number: int) -> Picture:
    noise = np.roll(NOISE, (37 * number, 91 * number), axis=(0, 1))
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def moved(x: float, y: float, turn_deg: float = 0.0) -> tuple[Change, np.ndarray]:
    """The camera shifted and turned about the middle, and where its pixels go."""
    matrix = cv2.getRotationMatrix2D((WIDTH / 2, HEIGHT / 2), turn_deg, 1.0)
    matrix[:, 2] += (x, y)
    return (
        lambda picture: cv2.warpAffine(picture, matrix, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REPLICATE),
        np.vstack([matrix, [0, 0, 1]]),
    )


class Camera:
    """Feeds a watch at four frames a second."""

    def __init__(self, rules: SightRules | None = None) -> None:
        self.watch = SightWatch(rules or SightRules(), WIDTH, HEIGHT)
        self.number = 0

    def show(self, seconds: float, picture: Picture, people: np.ndarray = NOBODY) -> Iterator[Sight]:
        for _ in range(round(seconds * FPS)):
            self.number += 1
            frame = noisy(picture, self.number)
            yield self.watch.step(frame, self.number / FPS, is_same=False, changed=0.1, people_px=people)

    def see(self, seconds: float, picture: Picture, people: np.ndarray = NOBODY) -> Sight:
        return list(self.show(seconds, picture, people))[-1]


def corner_error_px(found: np.ndarray, true: np.ndarray) -> float:
    corners = np.array([[0, 0], [WIDTH, 0], [0, HEIGHT], [WIDTH, HEIGHT]], float)
    return float(np.abs(project(found, corners) - project(true, corners)).max())


def test_a_shelf_in_changing_light_is_clear_and_stays_where_it_is() -> None:
    camera, shelf = Camera(), scene()
    for gain in np.linspace(1.0, 0.35, 60):
        sights = list(camera.show(1, (shelf * gain).astype(np.uint8)))
        assert {(sight.state, sight.text) for sight in sights} == {("clear", "")}
        assert not camera.watch.is_in_doubt


@pytest.mark.parametrize(
    ("x", "y", "turn_deg"), [(6, 0, 0), (-20, 9, 0), (0, 0, 1.0), (12, -8, -0.6), (0, -3, 0), (30, 10, 0.5)]
)
def test_slots_follow_a_camera_that_was_knocked(x: float, y: float, turn_deg: float) -> None:
    camera, shelf = Camera(), scene()
    camera.see(5, shelf)
    knock, true = moved(x, y, turn_deg)
    sight = camera.see(6, knock(shelf))
    assert sight.state == "clear"
    assert "% of its picture's width" in sight.text
    assert sight.warp is not None
    assert corner_error_px(sight.warp, true) < 1.5
    sight = camera.see(30, knock(shelf))
    assert corner_error_px(sight.warp, true) < 1.5, "it does not wander while nothing moves"
    back = camera.see(6, shelf)
    assert (back.state, back.text, back.warp) == ("clear", "", None)


def test_while_it_is_not_certain_how_far_it_moved_nothing_is_concluded() -> None:
    camera, shelf = Camera(), scene()
    camera.see(5, shelf)
    knock, _ = moved(15, 0)
    doubts = []
    for sight in camera.show(6, knock(shelf)):
        doubts.append(camera.watch.is_in_doubt)
        if sight.warp is not None:
            break
    assert any(doubts)
    assert not camera.watch.is_in_doubt


def test_slots_follow_a_camera_that_moved_far_and_somebody_is_asked() -> None:
    camera, shelf = Camera(), scene()
    camera.see(5, shelf)
    far, true = moved(90, 25, 2.0)
    sight = camera.see(6, far(shelf))
    assert (sight.state, sight.is_far) == ("clear", True)
    assert "calibrate it again" in sight.text
    assert sight.warp is not None
    assert corner_error_px(sight.warp, true) < 4
    back = camera.see(6, shelf)
    assert (back.state, back.text, back.warp, back.is_far) == ("clear", "", None, False)


@pytest.mark.parametrize("people", [NOBODY, np.array([[0, 0, 200, HEIGHT]], np.float32)])
def test_a_camera_turned_to_something_else_also_while_somebody_stands_there(people: np.ndarray) -> None:
    camera = Camera()
    camera.see(5, scene(1))
    elsewhere = scene(2)[:, ::-1].copy()
    camera.see(2, elsewhere, people)
    assert camera.watch.is_in_doubt, "nothing is concluded from the other view"
    assert camera.see(13, elsewhere, people).state == "moved"


def test_goods_that_are_sold_and_filled_up_are_no_moved_camera() -> None:
    """A third of the packs goes, one after the other; later other packs come."""
    camera, shelf = Camera(), scene()
    camera.see(5, shelf)
    rng = np.random.default_rng(5)
    for _ in range(40):
        x, y = int(rng.integers(20, WIDTH - 60)), int(rng.integers(20, HEIGHT - 60))
        cv2.rectangle(shelf, (x, y), (x + 40, y + 40), tuple(int(v) for v in rng.integers(20, 230, 3)), -1)
        sights = list(camera.show(2, shelf))
        assert {(sight.state, sight.text) for sight in sights} == {("clear", "")}


def test_a_bottle_put_back_a_little_aside_is_no_moved_camera() -> None:
    """Three things on a plain wall: one that comes back 6 px aside turns what fits best by a little."""
    wall = np.full((HEIGHT, WIDTH, 3), 150, np.uint8)

    def bottles(*lefts: int) -> Picture:
        picture = wall.copy()
        for number, left in enumerate(lefts):
            cv2.rectangle(picture, (left, 90), (left + 60, 300), (40 + 60 * number, 120, 60), -1)
            cv2.rectangle(picture, (left + 8, 160), (left + 52, 230), (230, 230, 220), -1)
            cv2.putText(picture, "AQUA", (left + 8, 200), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (60, 20, 120), 2)
        return picture

    camera = Camera()
    camera.see(8, bottles(120, 290, 460))
    for lefts in ((290, 460), (126, 290, 460), (126, 460), (126, 284, 460)):
        sights = list(camera.show(8, bottles(*lefts)))
        assert {(sight.state, sight.text) for sight in sights} == {("clear", "")}


def test_people_before_the_shelf_are_no_moved_camera() -> None:
    """Somebody in a striped shirt fills a third of the picture and walks along; the detector sees them."""
    camera, shelf = Camera(), scene()
    camera.see(5, shelf)
    for x in range(0, 400, 40):
        picture = shelf.copy()
        picture[:, x : x + 220] = 90
        picture[::8, x : x + 220] = 200
        person = np.array([[x, 0, x + 220, HEIGHT]], np.float32)
        for sight in camera.show(2, picture, person):
            assert (sight.state, sight.text) == ("clear", "")


def test_lights_off_and_on() -> None:
    camera, shelf = Camera(), scene()
    camera.see(5, shelf)
    assert camera.see(1, shelf // 20).state == "clear", "not at once: an exposure adapts"
    off = camera.see(4, shelf // 20)
    assert (off.state, off.text) == ("dark", "too dark to see anything: are the lights off?")
    assert camera.see(2, shelf).text == ""


@pytest.mark.parametrize(("share", "state"), [(0.12, "dark"), (0.3, "clear"), (0.5, "clear")])
def test_in_a_light_in_which_much_is_overlooked_it_is_dark(share: float, state: str) -> None:
    """Brightest pixels of 212, as in a lit shop: of what stands there, too little is found below a fifth of that."""
    camera, shelf = Camera(), np.minimum(scene(), 212)
    assert camera.see(4, (shelf * share).astype(np.uint8)).state == state


def test_a_node_that_starts_at_night_says_so_at_once() -> None:
    camera, shelf = Camera(), scene()
    assert next(camera.show(1, shelf // 20)).state == "dark"
    assert camera.see(2, shelf).state == "clear"


@pytest.mark.parametrize("blur_px", [20.0, 40.0])
def test_a_covered_lens(blur_px: float) -> None:
    camera, shelf = Camera(), scene()
    camera.see(10, shelf)
    fogged = cv2.GaussianBlur(shelf, (0, 0), blur_px)
    assert camera.see(4, fogged).state == "clear", "somebody may stand right before it for a moment"
    assert camera.see(8, fogged).state == "obstructed"
    assert camera.see(3, shelf).text == ""


def test_a_picture_that_stands_still() -> None:
    watch, frame = SightWatch(SightRules(), WIDTH, HEIGHT), noisy(scene(), 1)
    sights = [watch.step(frame, second, is_same=second > 0, changed=0.0, people_px=NOBODY) for second in range(40)]
    assert [sight.state for sight in sights] == ["clear"] * 30 + ["frozen"] * 10
    assert watch.step(noisy(scene(), 2), 41, is_same=False, changed=1.0, people_px=None).state == "clear"


def test_a_shop_that_is_never_empty_has_a_reference_all_the_same() -> None:
    camera, shelf = Camera(), scene()
    for x in (0, 150, 300, 420) * 2:
        people = np.array([[x, 0, x + 200, HEIGHT]], np.float32)
        covered = shelf.copy()
        covered[:, x : x + 200] = 90
        camera.see(1, covered, people)
    knock, true = moved(14, -6)
    for x in (0, 150, 300, 420) * 2:
        people = np.array([[x, 0, x + 200, HEIGHT]], np.float32)
        covered = knock(shelf)
        covered[:, x : x + 200] = 90
        sight = camera.see(1, covered, people)
    assert sight.warp is not None
    assert corner_error_px(sight.warp, true) < 2.5


def test_somebody_who_is_overlooked_at_the_start_does_not_become_the_reference() -> None:
    camera, shelf = Camera(), scene()
    for x in (0, 60, 120, 180, 240, 300, 360, 420):
        picture = shelf.copy()
        picture[:, x : x + 300] = noisy(np.full((HEIGHT, WIDTH, 3), 90, np.uint8), x)[:, x : x + 300]
        picture[::6, x : x + 300] = 220
        camera.see(1, picture)
    sights = list(camera.show(30, shelf))
    assert {sight.state for sight in sights[20:]} == {"clear"}

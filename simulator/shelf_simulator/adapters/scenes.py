"""Invented scenes for training pictures: other shelves, packs, cameras, light and people in every one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from shelf_simulator.adapters.fixture_art import Look
from shelf_simulator.adapters.optics import Optics
from shelf_simulator.adapters.pictures import Colour, from_hsv
from shelf_simulator.core.design import BayDesign, Pack, Shelf, SlotDesign, design_bay, slots_of_shelf
from shelf_simulator.core.geometry import Camera, camera_over
from shelf_simulator.core.items import HeldItem, PlacedItem, placed
from shelf_simulator.core.packs import invent_pack
from shelf_simulator.core.people import Figure, Reach, Stance, invent_appearance, pose_person

_HELD_FROM = 20_000


@dataclass(frozen=True, eq=False)
class Scene:
    """Everything that one picture shows."""

    design: BayDesign
    camera: Camera
    look: Look
    items: list[PlacedItem]
    figures: list[Figure]
    optics: Optics


CLOSE_SHARE = 0.14
"""Share of scenes that show a few packs large, when nothing else is asked for."""


def invent_scene(
    rng: np.random.Generator, shop: Sequence[Pack], others: Sequence[Pack], close_share: float = CLOSE_SHARE
) -> Scene:
    """A scene by chance: a demo bay, a strange bay, or a close look at a few packs on a plain shelf.

    Args:
        shop: the demo shop's packs; others: packs that no shop sells.
        close_share: 0 to 1, how often it is a close look; of the other scenes half are demo bays.
    """
    kind = rng.random()
    close = kind >= 1 - close_share
    if kind < 0.52 * (1 - close_share):
        design = design_bay(f"a{int(rng.integers(1, 60)):02d}", shop, int(rng.integers(1 << 30)))
        camera = _jittered(design.camera, rng, 0.6)
    elif not close:
        design = _strange_bay(rng, shop, others)
        camera = _jittered(design.camera, rng, 1.3)
    else:
        design, camera = _close_shelf(rng, shop, others)
    if rng.random() < 0.4:
        camera = camera.resized(1024, 576)
    look = _look(rng, len(design.shelves), plain=not close and kind < 0.15)
    items = stock(rng, design, close=close)
    figures = _people(rng, design, camera, items, close=close)
    return Scene(design, camera, look, items, figures, invent_optics(rng, plain=not close and kind < 0.12))


def _some_packs(
    rng: np.random.Generator, shop: Sequence[Pack], others: Sequence[Pack], highest_mm: float
) -> list[Pack]:
    share = float(rng.choice([0.0, 0.3, 1.0]))
    pool = [p for p in shop if p.height_mm <= highest_mm and rng.random() < max(share, 0.1)]
    pool += [p for p in others if p.height_mm <= highest_mm and rng.random() >= share * 0.8]
    return [pool[i] for i in rng.permutation(len(pool))]


def _strange_bay(rng: np.random.Generator, shop: Sequence[Pack], others: Sequence[Pack]) -> BayDesign:
    count = int(rng.choice([3, 4, 4, 5]))
    depth = float(rng.uniform(300, 480))
    spaces = rng.uniform(220, 400, count)
    width = float(spaces.sum() * rng.uniform(0.95, 1.8))
    shelves, slots = [], []
    y = 0.0
    for index, space in enumerate(spaces):
        y += float(space)
        shelf = Shelf(f"s{index + 1}", y, float(space) - 32)
        shelves.append(shelf)
        packs = _some_packs(rng, shop, others, shelf.space_mm - 18) or list(shop[:6])
        slots += slots_of_shelf(index, shelf, packs[: max(2, int(width / rng.uniform(230, 420)))], width, depth, rng)
    height = y + float(rng.uniform(120, 400))
    place = (
        width / 2 + float(rng.normal(0, 160)),
        height - float(rng.uniform(1500, 2450)) - max(0.0, y - 1300) * 0.4,
        -float(rng.uniform(1350, 2800)),
    )
    seen_from, seen_to = (0.0, 1.0) if rng.random() < 0.6 else sorted(rng.uniform(-0.05, 1.05, 2))
    if seen_to - seen_from < 0.5:
        seen_from, seen_to = 0.0, 1.0
    left, right = seen_from * width, seen_to * width
    low = shelves[-1].board_y_mm + 40 if rng.random() < 0.7 else shelves[max(1, count - 2)].board_y_mm + 60
    camera = camera_over(
        [(x, top, z) for x in (left, right) for top, z in ((10.0, 0.0), (low, 0.0))],
        place_mm=place,
        margin=float(rng.uniform(-0.02, 0.06)),
    )
    return BayDesign("x01", width, height, depth, tuple(shelves), tuple(slots), camera, int(rng.integers(1 << 30)))


def _close_shelf(rng: np.random.Generator, shop: Sequence[Pack], others: Sequence[Pack]) -> tuple[BayDesign, Camera]:
    """One or two shelves with 3 to 12 big packs."""
    width = float(rng.uniform(380, 950))
    depth = float(rng.uniform(150, 320))
    count = int(rng.choice([1, 1, 2]))
    shelves, slots = [], []
    y = 0.0
    for index in range(count):
        space = float(rng.uniform(240, 400))
        y += space
        shelf = Shelf(f"s{index + 1}", y, space - 32)
        shelves.append(shelf)
        packs = _some_packs(rng, shop, others, shelf.space_mm - 12)[: int(rng.integers(2, 7))] or list(shop[:3])
        while sum(pack.width_mm + 20 for pack in packs) > width and len(packs) > 1:
            packs.pop()
        slots += slots_of_shelf(index, shelf, packs, width, depth, rng, gap_mm=float(rng.uniform(4, 60)))
    height = y + float(rng.uniform(200, 900))
    high = float(rng.uniform(-250, 550))
    place = (width / 2 + float(rng.normal(0, 130)), y - 120 - high, -float(rng.uniform(600, 1300)))
    camera = camera_over(
        [(x, top, 0.0) for x in (0.0, width) for top in (20.0, y + 40)],
        place_mm=place,
        margin=float(rng.uniform(-0.08, 0.04)),
    )
    design = BayDesign("x02", width, height, depth, tuple(shelves), tuple(slots), camera, int(rng.integers(1 << 30)))
    return design, _jittered(camera, rng, 1.5)


def _jittered(camera: Camera, rng: np.random.Generator, amount: float) -> Camera:
    return replace(
        camera,
        x_mm=camera.x_mm + float(rng.normal(0, 70 * amount)),
        y_mm=camera.y_mm + float(rng.normal(0, 50 * amount)),
        z_mm=camera.z_mm + float(rng.normal(0, 60 * amount)),
        pitch_rad=camera.pitch_rad + float(rng.normal(0, 0.012 * amount)),
        yaw_rad=camera.yaw_rad + float(rng.normal(0, 0.02 * amount)),
        roll_rad=camera.roll_rad + float(rng.normal(0, 0.016 * amount)),
        view_angle_rad=camera.view_angle_rad * float(np.clip(rng.normal(1.0, 0.05 * amount), 0.85, 1.2)),
    )


def _look(rng: np.random.Generator, tiers: int, *, plain: bool) -> Look:
    light = tuple(float(v) for v in np.clip(rng.normal(0.95, 0.08, tiers), 0.65, 1.1))
    if plain:
        return Look(tier_light=light)
    wooden = rng.random() < 0.25

    def tint(low: float, high: float, colourful: float = 0.12) -> Colour:
        return from_hsv(float(rng.uniform(0, 360)), float(rng.uniform(0, colourful)), float(rng.uniform(low, high)))

    wood = from_hsv(float(rng.uniform(18, 36)), float(rng.uniform(0.3, 0.65)), float(rng.uniform(0.3, 0.85)))
    wild = rng.random() < 0.25
    return Look(
        board=wood if wooden else tint(0.25, 0.95),
        back=wood if wooden and rng.random() < 0.6 else tint(0.15, 0.95, 0.9 if wild else 0.15),
        lip=wood if wooden and rng.random() < 0.5 else tint(0.15, 0.98, 0.9 if wild else 0.2),
        side=wood if wooden else tint(0.2, 0.9),
        wall=tint(0.1, 0.95, 0.8 if wild else 0.2),
        ground=tint(0.15, 0.8, 0.3),
        wooden=wooden,
        back_style=int(rng.integers(4)),
        label_style=int(rng.integers(4)),
        rear_light=float(rng.uniform(0.35, 0.85)),
        tier_light=light,
    )


def invent_optics(rng: np.random.Generator, *, plain: bool = False) -> Optics:
    if plain:
        return Optics(gain=float(rng.uniform(0.9, 1.1)), noise=float(rng.uniform(1, 4)))
    shaken = rng.random() < 0.12
    return Optics(
        gain=float(np.clip(rng.normal(1.1, 0.22), 0.55, 1.6)),
        warmth=float(np.clip(rng.normal(0, 0.7), -1.8, 1.8)),
        gamma=float(np.clip(rng.normal(1.0, 0.18), 0.6, 1.6)),
        gradient=float(rng.uniform(0, 0.35)),
        gradient_angle_rad=float(rng.uniform(0, 2 * math.pi)),
        vignette=float(rng.uniform(0, 0.3)),
        blur_px=float(rng.choice([0.0, 0.6, 0.6, 0.9, 1.3, 2.0])),
        noise=float(rng.choice([0.5, 1.5, 2.5, 4.0, 7.0, 11.0])),
        motion_px=int(rng.integers(3, 8)) if shaken else 0,
        motion_angle_rad=float(rng.uniform(0, math.pi)),
        jpeg_quality=int(rng.integers(55, 96)),
    )


def stock(rng: np.random.Generator, design: BayDesign, *, close: bool = False) -> list[PlacedItem]:
    """Items by chance: full, half, holes, only the rear, nothing at all."""
    mood = rng.random()
    items: list[PlacedItem] = []
    tidy = float(rng.uniform(0.2, 2.2))
    for slot in design.slots:
        mode = 0 if mood < 0.03 else int(rng.choice([0, 1, 2, 3, 4, 4], p=[0.05, 0.13, 0.32, 0.3, 0.1, 0.1]))
        if close and mood > 0.02:
            mode = int(rng.choice([1, 2, 3, 3]))
        for column in range(slot.columns):
            rows = (0, 1, slot.rows, int(rng.integers(0, slot.rows + 1)), int(rng.integers(0, 2)) * slot.rows)[mode]
            for row in range(rows):
                items.append(
                    placed(
                        slot, design, column, row, len(items) + 1, rng, tidy=tidy if not (mode == 1 and close) else 1.0
                    )
                )
    return items


def _people(
    rng: np.random.Generator, design: BayDesign, camera: Camera, items: Sequence[PlacedItem], *, close: bool
) -> list[Figure]:
    # Hands are small and rare beside the products: a detector learns them only from many people with both arms out.
    crowd = [0.18, 0.42, 0.27, 0.13] if close else [0.06, 0.26, 0.40, 0.28]
    count = int(rng.choice([0, 1, 2, 3], p=crowd))
    figures = []
    for person in range(count):
        look = invent_appearance(rng, staff=rng.random() < 0.2)
        if close:
            look = replace(look, height_mm=look.height_mm)
        slot = design.slots[int(rng.integers(len(design.slots)))]
        reaching = rng.random() < 0.93
        both = reaching and rng.random() < 0.7
        hands: list[Reach | None] = [None, None]
        held: list[HeldItem] = []
        right = rng.random() < 0.5
        aim_x = slot.x_mm + float(rng.uniform(0, 1)) * slot.width_mm
        if reaching:
            aside = float(rng.uniform(260, 660)) * (-1 if right else 1)
            stance_x = aim_x + aside
        else:
            stance_x = float(rng.uniform(-450, design.width_mm + 450))
        stance_z = -float(rng.uniform(340, 620))
        if close:
            stance_x = aim_x + float(rng.uniform(450, 900)) * (-1 if right else 1)
            stance_z = max(-float(rng.uniform(300, 480)), camera.z_mm + 420)
        for owner in (0, 1):
            if reaching and (both or owner == int(right)):
                goal = slot if owner == int(right) else design.slots[int(rng.integers(len(design.slots)))]
                if owner != int(right) and abs(goal.x_mm + goal.width_mm / 2 - stance_x) > 520:
                    goal = slot
                reach, item = _grip(rng, design, goal, items, _HELD_FROM + 2 * person + owner)
                hands[owner] = reach
                if item is not None:
                    held.append(HeldItem(owner, item))
        floor_y = design.height_mm
        if close:  # the plain shelf may hang at any height: stand so that the arm is level with it
            floor_y = slot.shelf.board_y_mm + float(rng.uniform(900, 1350))
        stance = Stance(stance_x, stance_z, float(rng.normal(0, 0.3)))
        figures.append(Figure(pose_person(look, stance, floor_y, *hands), tuple(held)))
    return figures


def _grip(
    rng: np.random.Generator, design: BayDesign, slot: SlotDesign, items: Sequence[PlacedItem], number: int
) -> tuple[Reach, PlacedItem | None]:
    """A hand at a slot, or on its way to it, never inside what stands there; perhaps holding a pack."""
    column = int(rng.integers(slot.columns))
    x = slot.column_x_mm(column)
    standing = [
        item.z_mm - item.pack.depth_mm / 2
        for item in items
        if abs(item.column_x_mm - x) < 1 and item.y_mm == slot.shelf.board_y_mm
    ]
    front = min(standing, default=design.depth_mm * 0.9) - 12
    z = min(front, float(rng.uniform(-160, 260)))
    if rng.random() < 0.25:
        z = -float(rng.uniform(60, 260))
    y = slot.shelf.board_y_mm - slot.pack.height_mm * float(rng.uniform(0.35, 0.8))
    if rng.random() < 0.5:
        return Reach((x, y, z), float(rng.uniform(0.1, 1.0))), None
    pack = slot.pack
    z = min(z, front - pack.depth_mm - 10)
    base = y + pack.height_mm * float(rng.uniform(0.3, 0.6))
    base = min(base, slot.shelf.board_y_mm - 5) if z > -pack.depth_mm else base
    item = PlacedItem(
        number,
        pack,
        x,
        base,
        z + pack.depth_mm * 0.5 + 6,
        yaw_rad=float(rng.normal(0, 0.25)),
        variant=int(rng.integers(3)),
    )
    return Reach((x, min(y, base - 20), z), float(rng.uniform(0.25, 0.7))), item


def invent_packs(count: int, seed: int) -> list[Pack]:
    """Packs of nobody, the same for the same seed."""
    rng = np.random.default_rng([seed, 77])
    return [invent_pack(rng, highest_mm=float(rng.uniform(120, 320))) for _ in range(count)]

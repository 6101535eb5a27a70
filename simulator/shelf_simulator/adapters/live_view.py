"""The bay's camera: turns the world of this moment into a picture, painting again only what has changed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from shelf_simulator.adapters.fixture_art import Look
from shelf_simulator.adapters.optics import Optics, lit, noisy
from shelf_simulator.adapters.people_painter import paint_people
from shelf_simulator.adapters.pictures import Picture
from shelf_simulator.adapters.shelf_painter import Canvas, ShelfPainter
from shelf_simulator.core.design import BayDesign, SlotDesign
from shelf_simulator.core.geometry import Camera
from shelf_simulator.core.splits import Light
from shelf_simulator.core.world import World

_LOOKS = (
    Look(tier_light=(1.02, 0.97, 0.94, 0.9)),
    Look(tier_light=(1.0, 0.96, 0.95, 0.92), back_style=1, label_style=1, lip=(70, 74, 80), board=(206, 210, 212)),
    Look(
        tier_light=(1.0, 0.95, 0.93, 0.9),
        back=(150, 176, 200),
        wooden=True,
        board=(128, 168, 205),
        side=(110, 150, 190),
    ),
    Look(tier_light=(1.03, 0.97, 0.94, 0.9), back_style=2, label_style=2, back=(206, 202, 196), wall=(186, 178, 168)),
    # of the hidden store
    Look(
        tier_light=(1.0, 0.94, 0.9, 0.86), back=(96, 92, 90), board=(120, 118, 116), lip=(48, 46, 60),
        side=(88, 86, 84), wall=(140, 150, 160), label_style=1,
    ),
    Look(tier_light=(0.98, 0.96, 0.95, 0.95), back=(196, 214, 200), back_style=1, lip=(96, 140, 60), label_style=2),
    Look(
        tier_light=(1.02, 0.95, 0.9, 0.85), back=(120, 152, 186), wooden=True, board=(96, 130, 168),
        lip=(80, 112, 150),
    ),
)  # fmt: skip
_DEMO_LOOKS = 4


class LiveView:
    """One camera on one world. Equal worlds seen equally often give equal pictures."""

    def __init__(self, world: World, seed: int, *, look: int | None = None, light: Light | None = None) -> None:
        """``look`` is the number of a look of fixtures, by default the bay's own."""
        light = light or Light()
        number = world.design.look_seed % _DEMO_LOOKS if look is None else look
        self._world = world
        self._camera = world.camera
        self._rng = np.random.default_rng([seed, 4242])
        self._look = _LOOKS[number]
        self._painter = ShelfPainter(world.design, self._look, self._camera)
        self._shelf: Canvas = self._painter.paint(world.items)
        self._versions = {slot: stock.version for slot, stock in world.stocks.items()}
        self._optics = Optics(
            gain=light.gain,
            warmth=light.warmth,
            gradient=light.gradient,
            gradient_angle_rad=light.gradient_angle_rad,
            noise=light.noise,
            blur_px=light.blur_px,
            vignette=0.12,
        )

    def capture(self) -> Picture:
        """The picture now, uint8 (540, 960, 3)."""
        if self._world.camera != self._camera:  # somebody knocked it
            self._camera = self._world.camera
            self._painter = ShelfPainter(self._world.design, self._look, self._camera)
            self._shelf = self._painter.paint(self._world.items)
        self._repaint_changed_slots()
        canvas = self._shelf
        if self._world.figures:
            canvas = Canvas(canvas.picture.copy(), canvas.ids, canvas.depths)
            paint_people(canvas, self._world.figures, self._camera, with_ids=False)
        optics = replace(
            self._optics,
            gain=round(self._world.light * self._optics.gain * 50) / 50,
            warmth=round((self._world.warmth + self._optics.warmth) * 20) / 20,
        )
        return noisy(lit(canvas.picture, optics), optics, self._rng)

    def _repaint_changed_slots(self) -> None:
        for slot_id, stock in self._world.stocks.items():
            if stock.version != self._versions[slot_id]:
                self._versions[slot_id] = stock.version
                box = _space_of(self._world.design, stock.slot, self._camera)
                self._painter.repaint(self._shelf, self._world.items, box)


def _space_of(design: BayDesign, slot: SlotDesign, camera: Camera) -> tuple[int, int, int, int]:
    """The window of the picture (left, top, right, bottom) in which anything that stands in a slot is seen."""
    ceiling = slot.shelf.board_y_mm - max(slot.shelf.space_mm, slot.pack.height_mm + 10)
    corners = [
        (x, y, z)
        for x in (slot.x_mm - 25, slot.x_mm + slot.width_mm + 25)
        for y in (ceiling, slot.shelf.board_y_mm + 12)
        for z in (-25.0, design.depth_mm)
    ]
    pixels = camera.project(corners)
    (x0, y0), (x1, y1) = pixels.min(axis=0), pixels.max(axis=0)
    return (
        max(0, int(x0)),
        max(0, int(y0)),
        min(camera.width_px, int(x1) + 2),
        min(camera.height_px, int(y1) + 2),
    )

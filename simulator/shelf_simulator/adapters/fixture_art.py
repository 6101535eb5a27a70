"""What a fixture is made of: boards, backs, price strips, walls; and how it is lit."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from shelf_simulator.adapters.pictures import Colour, Picture, mixed, write_fitting
from shelf_simulator.core.design import BOARD_THICKNESS_MM, BayDesign, SlotDesign
from shelf_simulator.core.geometry import Camera

LIP_MM = BOARD_THICKNESS_MM + 12


@dataclass(frozen=True)
class Look:
    """How a fixture is finished and lit."""

    board: Colour = (214, 216, 218)
    back: Colour = (196, 200, 204)
    lip: Colour = (232, 234, 236)
    side: Colour = (178, 182, 188)
    wall: Colour = (168, 172, 178)
    ground: Colour = (122, 128, 134)
    wooden: bool = False
    back_style: int = 0
    label_style: int = 0
    rear_light: float = 0.62
    tier_light: tuple[float, ...] = ()


def background(look: Look, camera: Camera, design: BayDesign) -> Picture:
    h, w = camera.height_px, camera.width_px
    picture = np.empty((h, w, 3), np.uint8)
    ramp = np.linspace(1.05, 0.8, h)[:, None, None]
    picture[:] = np.clip(np.array(look.wall) * ramp, 0, 255).astype(np.uint8)
    foot = camera.project([(-3000.0, design.height_mm, 0.0), (design.width_mm + 3000.0, design.height_mm, 0.0)])
    polygon = np.array([foot[0], foot[1], (w + 4000, h + 4000), (-4000, h + 4000)])
    if float(camera.depth_mm([(0.0, design.height_mm, 0.0)])[0]) > 100:
        cv2.fillConvexPoly(picture, polygon.clip(-9000, 9000).round().astype(np.int32), look.ground)
    return picture


def plain_surface(colour: Colour, w: int, h: int) -> Picture:
    return np.full((h, w, 3), colour, np.uint8)


def ramp_surface(colour: Colour, w: int, h: int, first: float, last: float, *, across: bool) -> Picture:
    ramp = np.linspace(first, last, w if across else h)
    field = ramp[None, :, None] if across else ramp[:, None, None]
    return np.clip(np.broadcast_to(np.array(colour) * field, (h, w, 3)), 0, 255).astype(np.uint8)


def _grain(texture: Picture, rng: np.random.Generator) -> Picture:
    """Wood: fine lines along x."""
    h, w = texture.shape[:2]
    lines = rng.normal(0, 1, (h, max(2, w // 60))).astype(np.float32)
    field = cv2.resize(cv2.GaussianBlur(lines, (1, 3), 0), (w, h), interpolation=cv2.INTER_CUBIC)
    return np.clip(texture * (1 + 0.09 * field[..., None]), 0, 255).astype(np.uint8)


def board_surface(look: Look, width_mm: float, depth_mm: float, light: float, rng: np.random.Generator) -> Picture:
    w, h = round(width_mm * 0.5), round(depth_mm * 0.5)
    ramp = np.linspace(look.rear_light * 0.8, 1.0, h)[:, None, None] * light
    texture = np.clip(np.broadcast_to(np.array(look.board) * ramp, (h, w, 3)), 0, 255).astype(np.uint8)
    if look.wooden:
        return _grain(texture, rng)
    texture = np.clip(texture + rng.normal(0, 1.5, (h, w, 1)), 0, 255).astype(np.uint8)
    for _ in range(int(rng.integers(0, 5))):
        start, end = rng.uniform(0, [w, h], (2, 2))
        cv2.line(
            texture,
            tuple(start.astype(int)),
            tuple(end.astype(int)),
            mixed(look.board, (60, 60, 60), 0.2),
            1,
            cv2.LINE_AA,
        )
    return texture


def back_surface(look: Look, width_mm: float, height_mm: float, light: float, rng: np.random.Generator) -> Picture:
    w, h = round(width_mm * 0.5), max(8, round(height_mm * 0.5))
    texture = ramp_surface(look.back, w, h, light * 0.62, light, across=False)
    style = look.back_style % 4
    if look.wooden:
        texture = _grain(texture, rng)
    elif style == 1:
        dark = mixed(look.back, (20, 20, 20), 0.55)
        for y in range(6, h, 13):
            for x in range(6, w, 13):
                cv2.circle(texture, (x, y), 2, dark, -1)
    elif style == 2:
        for y in range(0, h, 26):
            cv2.line(texture, (0, y), (w, y), mixed(look.back, (30, 30, 30), 0.4), 2)
    elif style == 3:
        for x in range(0, w, w // 4):
            cv2.line(texture, (x, 0), (x, h), mixed(look.back, (20, 20, 20), 0.4), 2)
    return texture


def price_label_mm(slot: SlotDesign, look: Look) -> tuple[int, int]:
    """Left edge and width of a slot's price label; it is as high as the price strip less 5 mm at both edges."""
    width = 62 if look.label_style % 2 == 0 else 74
    middle = slot.x_mm + (slot.width_mm / 2 if look.label_style < 2 else width)
    return round(middle - width / 2), width


def lip_surface(design: BayDesign, look: Look, index: int, light: float, rng: np.random.Generator) -> Picture:
    per_mm = 1.0
    w, h = round(design.width_mm * per_mm), round(LIP_MM * per_mm)
    texture = ramp_surface(look.lip, w, h, light * 1.04, light * 0.88, across=False)
    cv2.line(texture, (0, 2), (w, 2), mixed(look.lip, (255, 255, 255), 0.5), 2)
    cv2.line(texture, (0, h - 2), (w, h - 2), mixed(look.lip, (30, 30, 30), 0.4), 2)
    paper = ((245, 248, 250), (120, 235, 250), (240, 240, 240), (200, 225, 240))[look.label_style % 4]
    shelf_slots = [slot for slot in design.slots if slot.shelf == design.shelves[index]]
    for slot in shelf_slots:
        left, label_w = price_label_mm(slot, look)
        label_h = h - 10
        cv2.rectangle(texture, (left, 5), (left + label_w, 5 + label_h), paper, -1)
        price = f"{slot.price_cents / 100:.2f}"
        write_fitting(
            texture, price, (left + label_w * 0.38, 6, label_w * 0.6, label_h * 0.8), (20, 20, 24), weight=800
        )
        name = slot.pack.name.split()[0]
        write_fitting(texture, name, (left + 3, 7, label_w * 0.36, label_h * 0.35), (60, 60, 60), weight=400)
        for x in range(left + 4, left + round(label_w * 0.36), 3):
            cv2.line(texture, (x, h // 2 + 4), (x, h - 8), (30, 30, 30), 1 + (x * 7) % 2)
    return texture

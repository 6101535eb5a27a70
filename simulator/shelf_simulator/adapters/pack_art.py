"""What is printed on packs: every picture follows from the GTIN and the names, so a pack looks the same everywhere."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from shelf_simulator.adapters.pictures import (
    Colour,
    Picture,
    brightness,
    from_hsv,
    mixed,
    write_fitting,
)
from shelf_simulator.core.design import Pack

ART_PX_PER_MM = 2.0

_HUES = (
    # words of a product's name, and the hue (degrees) that shops expect with them
    (("tomato", "ketchup", "passata", "paprika", "kidney", "jam"), 4),
    (("orange", "apricot", "curry", "peach"), 24),
    (("honey", "butter", "biscuit", "rusk", "waffle", "cracker"), 36),
    (("corn", "mustard", "spaghetti", "fusilli", "tagliatelle", "penne", "sunflower", "nacho"), 48),
    (("olive", "basil", "tea", "apple", "pea", "lentil", "pickle"), 100),
    (("water", "tuna", "salt", "mackerel", "rice", "sardine"), 208),
    (("chocolate", "coffee", "cocoa", "espresso", "muesli", "oat", "peanut", "cashew", "almond"), 26),
    (("fruit", "beans", "raisin", "grape"), 318),
    (("coconut", "soy", "milk"), 185),
)
_DARK = ("dark", "zero", "balsamic", "coffee", "espresso", "cola")


@dataclass(frozen=True)
class Palette:
    """The few colours of one pack."""

    base: Colour
    second: Colour
    accent: Colour
    ink: Colour
    paper: Colour


@dataclass(frozen=True, eq=False)
class BoxArt:
    """Printed faces of a box at 2 px per mm."""

    front: Picture
    side: Picture
    top: Picture


def seed_of(pack: Pack) -> int:
    """A number that is fixed for a pack in every process; packs of one family share it."""
    return zlib.crc32((pack.print_of or f"{pack.gtin}|{pack.name}|{pack.brand}").encode())


def palette_of(pack: Pack) -> Palette:
    rng = np.random.default_rng(seed_of(pack))
    words = pack.name.lower()
    hue = next((h for names, h in _HUES if any(word in words for word in names)), None)
    base_hue = float(rng.uniform(0, 360)) if hue is None or rng.random() < 0.2 else hue + float(rng.normal(0, 9))
    dark = any(word in words for word in _DARK) or rng.random() < 0.15
    pale = not dark and rng.random() < 0.25
    if dark:
        base = from_hsv(base_hue, float(rng.uniform(0.5, 0.9)), float(rng.uniform(0.14, 0.38)))
    elif pale:
        base = from_hsv(base_hue, float(rng.uniform(0.03, 0.2)), float(rng.uniform(0.86, 0.98)))
    else:
        base = from_hsv(base_hue, float(rng.uniform(0.6, 0.95)), float(rng.uniform(0.55, 0.95)))
    turn = float(rng.choice([25, -30, 150, 180, 210]))
    second = from_hsv(base_hue + turn, float(rng.uniform(0.45, 0.9)), float(rng.uniform(0.5, 0.95)))
    accent = from_hsv(base_hue + float(rng.choice([60, 180, -60])), 0.85, float(rng.uniform(0.7, 1.0)))
    paper = from_hsv(float(rng.uniform(30, 60)), float(rng.uniform(0.0, 0.15)), float(rng.uniform(0.92, 1.0)))
    ink = from_hsv(base_hue, 0.6, 0.18)
    return Palette(base, second, accent, ink, paper)


def _readable_on(ground: Colour, palette: Palette) -> Colour:
    return palette.ink if brightness(ground) > 0.52 else palette.paper


@lru_cache(maxsize=512)
def front_art(pack: Pack, width_mm: float, height_mm: float) -> Picture:
    """The printed front of ``width_mm`` x ``height_mm``, uint8 (2*height, 2*width, 3)."""
    rng = np.random.default_rng([seed_of(pack), 1])
    palette = palette_of(pack)
    w, h = max(8, round(width_mm * ART_PX_PER_MM)), max(8, round(height_mm * ART_PX_PER_MM))
    art = _ground(palette, w, h, rng)
    wide = w > 1.15 * h
    layout = int(rng.integers(6))
    if wide:
        _wide_front(art, pack, palette, layout, rng)
    else:
        _tall_front(art, pack, palette, layout, rng)
    return art


def _ground(palette: Palette, w: int, h: int, rng: np.random.Generator) -> Picture:
    kind = int(rng.integers(4))
    if kind == 0:
        other = mixed(palette.base, palette.second, 0.55)
        ramp = np.linspace(0, 1, h)[:, None, None]
        column = np.array(palette.base) * (1 - ramp) + np.array(other) * ramp
        return np.ascontiguousarray(np.broadcast_to(column, (h, w, 3))).astype(np.uint8)
    art = np.full((h, w, 3), palette.base, np.uint8)
    if kind == 1:
        stripe = mixed(palette.base, palette.paper, 0.22)
        step = max(8, w // int(rng.integers(5, 11)))
        for x in range(0, w, 2 * step):
            cv2.rectangle(art, (x, 0), (x + step - 1, h), stripe, -1)
    elif kind == 2:
        cut = int(h * rng.uniform(0.45, 0.7))
        slope = int(h * rng.uniform(-0.15, 0.15))
        cv2.fillPoly(art, [np.array([(0, cut), (w, cut + slope), (w, h), (0, h)])], palette.second, cv2.LINE_AA)
    return art


def _tall_front(art: Picture, pack: Pack, palette: Palette, layout: int, rng: np.random.Generator) -> None:
    h, w = art.shape[:2]
    margin = w * 0.07
    brand_top = h * (0.06 if layout != 3 else 0.42)
    brand_height = h * 0.15
    picture_centre = (w * 0.5, h * (0.68 if layout != 3 else 0.24))
    name_top = h * (0.24 if layout != 3 else 0.6)
    if layout == 4:
        name_top, picture_centre = h * 0.74, (w * 0.5, h * 0.48)
    plate = palette.second if layout in {0, 4} else palette.paper if layout in {1, 3} else None
    if plate is not None:
        top_left = (0 if layout in {0, 3} else round(margin), round(brand_top))
        bottom_right = (w if layout in {0, 3} else round(w - margin), round(brand_top + brand_height))
        cv2.rectangle(art, top_left, bottom_right, plate, -1)
    _write_brand(
        art, pack, (margin * 1.4, brand_top, w - 2.8 * margin, brand_height), plate or palette.base, palette, rng
    )
    radius = min(w * 0.36, h * 0.2)
    window = rng.random()
    if window < 0.45:
        cv2.circle(art, _at(picture_centre), round(radius * 1.18), palette.paper, -1, cv2.LINE_AA)
    elif window < 0.7:
        top, bottom = round(picture_centre[1] - radius), round(picture_centre[1] + radius)
        cv2.rectangle(art, (0, top), (w, bottom), mixed(palette.paper, palette.second, 0.15), -1)
    _motif(art, picture_centre, radius, palette, rng)
    ground = tuple(int(v) for v in art[min(h - 1, round(name_top + h * 0.06)), w // 2])
    colour = _readable_on((ground[0], ground[1], ground[2]), palette)
    _write_name(art, pack.name, (margin, name_top, w - 2 * margin, h * 0.2), colour)
    write_fitting(art, pack.net_content, (margin, h * 0.93, w - 2 * margin, h * 0.05), colour, weight=500, align=1.0)
    if layout == 5:
        cv2.rectangle(art, (2, 2), (w - 3, h - 3), palette.accent, max(2, w // 30))
    if rng.random() < 0.35:
        _badge(art, (w * 0.8, h * float(rng.uniform(0.5, 0.6))), w * 0.14, palette, rng)


def _wide_front(art: Picture, pack: Pack, palette: Palette, layout: int, rng: np.random.Generator) -> None:
    h, w = art.shape[:2]
    left_picture = layout % 2 == 0
    centre = (w * (0.24 if left_picture else 0.76), h * 0.55)
    radius = min(w * 0.19, h * 0.4)
    if rng.random() < 0.5:
        cv2.circle(art, _at(centre), round(radius * 1.15), palette.paper, -1, cv2.LINE_AA)
    _motif(art, centre, radius, palette, rng)
    text_left = w * (0.47 if left_picture else 0.04)
    if layout >= 3:
        cv2.rectangle(art, (0, round(h * 0.06)), (w, round(h * 0.4)), palette.paper, -1)
    ground = palette.paper if layout >= 3 else palette.base
    _write_brand(art, pack, (text_left, h * 0.08, w * 0.49, h * 0.3), ground, palette, rng)
    colour = _readable_on(palette.base, palette)
    _write_name(art, pack.name, (text_left, h * 0.45, w * 0.49, h * 0.36), colour)
    write_fitting(art, pack.net_content, (text_left, h * 0.84, w * 0.49, h * 0.12), colour, weight=500, align=1.0)


def _write_brand(
    art: Picture, pack: Pack, box: tuple[float, float, float, float], ground: Colour, palette: Palette,
    rng: np.random.Generator,
) -> None:  # fmt: skip
    font = ("sans", "serif", "italic")[int(rng.integers(3))]
    write_fitting(art, pack.brand, box, _readable_on(ground, palette), font=font, weight=800)


def _write_name(art: Picture, name: str, box: tuple[float, float, float, float], colour: Colour) -> None:
    left, top, width, height = box
    words = name.split()
    if len(words) == 1 or width > 4.5 * height:
        write_fitting(art, name, box, colour, weight=600)
        return
    half = (len(words) + 1) // 2
    write_fitting(art, " ".join(words[:half]), (left, top, width, height / 2), colour, weight=600)
    write_fitting(art, " ".join(words[half:]), (left, top + height / 2, width, height / 2), colour, weight=600)


def _at(point: tuple[float, float]) -> tuple[int, int]:
    return (round(point[0]), round(point[1]))


def _motif(
    art: Picture, centre: tuple[float, float], radius: float, palette: Palette, rng: np.random.Generator
) -> None:
    """Something that looks like the picture of a product: fruit, leaves, a bowl, grains, drops, a fish, a sun."""
    cx, cy = centre
    kind = int(rng.integers(7))
    colours = (palette.second, palette.accent, mixed(palette.second, palette.ink, 0.35))
    if kind == 0:
        for _ in range(int(rng.integers(3, 8))):
            at = (cx + float(rng.normal(0, 0.38)) * radius, cy + float(rng.normal(0, 0.3)) * radius)
            size = radius * float(rng.uniform(0.25, 0.42))
            colour = colours[int(rng.integers(3))]
            cv2.circle(art, _at(at), round(size), colour, -1, cv2.LINE_AA)
            shine = (at[0] - size * 0.3, at[1] - size * 0.35)
            cv2.circle(art, _at(shine), round(size * 0.25), mixed(colour, (255, 255, 255), 0.6), -1, cv2.LINE_AA)
    elif kind == 1:
        for turn in np.linspace(0, 360, int(rng.integers(4, 9)), endpoint=False):
            angle = float(np.deg2rad(turn))
            at = (cx + np.cos(angle) * radius * 0.45, cy + np.sin(angle) * radius * 0.45)
            axes = (round(radius * 0.45), round(radius * 0.17))
            cv2.ellipse(art, _at(at), axes, float(turn), 0, 360, colours[int(rng.integers(2))], -1, cv2.LINE_AA)
        cv2.circle(art, _at(centre), round(radius * 0.2), palette.ink, -1, cv2.LINE_AA)
    elif kind == 2:
        axes = (round(radius * 0.95), round(radius * 0.6))
        for _ in range(14):
            at = (cx + float(rng.uniform(-0.7, 0.7)) * radius, cy + float(rng.uniform(-0.35, 0.05)) * radius)
            cv2.circle(art, _at(at), round(radius * 0.16), colours[int(rng.integers(3))], -1, cv2.LINE_AA)
        cv2.ellipse(art, _at(centre), axes, 0, 0, 180, mixed(palette.ink, palette.second, 0.4), -1, cv2.LINE_AA)
    elif kind == 3:
        for x in np.linspace(-0.7, 0.7, 5):
            stem = (cx + float(x) * radius, cy + radius * 0.8)
            tip = (cx + float(x) * radius * 1.2, cy - radius * 0.7)
            cv2.line(art, _at(stem), _at(tip), palette.ink, max(1, round(radius * 0.05)), cv2.LINE_AA)
            for along in np.linspace(0.4, 1.0, 4):
                at = (stem[0] + (tip[0] - stem[0]) * along, stem[1] + (tip[1] - stem[1]) * along)
                axes = (round(radius * 0.14), round(radius * 0.07))
                cv2.ellipse(art, _at(at), axes, 60.0, 0, 360, palette.accent, -1, cv2.LINE_AA)
    elif kind == 4:
        cv2.circle(art, _at((cx, cy + radius * 0.2)), round(radius * 0.6), colours[0], -1, cv2.LINE_AA)
        drop = [(cx - radius * 0.56, cy), (cx + radius * 0.56, cy), (cx, cy - radius)]
        cv2.fillPoly(art, [np.array(drop).round().astype(np.int32)], colours[0], cv2.LINE_AA)
        shine = (cx - radius * 0.2, cy + radius * 0.2)
        cv2.ellipse(
            art, _at(shine), (round(radius * 0.1), round(radius * 0.3)), 20, 0, 360, palette.paper, -1, cv2.LINE_AA
        )
    elif kind == 5:
        cv2.ellipse(
            art, _at(centre), (round(radius * 0.8), round(radius * 0.4)), -8, 0, 360, colours[0], -1, cv2.LINE_AA
        )
        tail = [(cx + radius * 0.6, cy), (cx + radius, cy - radius * 0.4), (cx + radius, cy + radius * 0.4)]
        cv2.fillPoly(art, [np.array(tail).round().astype(np.int32)], colours[0], cv2.LINE_AA)
        cv2.circle(art, _at((cx - radius * 0.5, cy)), max(1, round(radius * 0.08)), palette.paper, -1, cv2.LINE_AA)
    else:
        for turn in range(0, 360, 30):
            angle = np.deg2rad(turn)
            tip = (cx + np.cos(angle) * radius, cy + np.sin(angle) * radius)
            cv2.line(art, _at(centre), _at(tip), palette.accent, max(1, round(radius * 0.1)), cv2.LINE_AA)
        cv2.circle(art, _at(centre), round(radius * 0.6), colours[0], -1, cv2.LINE_AA)


def _badge(
    art: Picture, centre: tuple[float, float], radius: float, palette: Palette, rng: np.random.Generator
) -> None:
    cv2.circle(art, _at(centre), round(radius), palette.accent, -1, cv2.LINE_AA)
    text = ("BIO", "NEW", "-25%", "XL", "100%")[int(rng.integers(5))]
    box = (centre[0] - radius * 0.8, centre[1] - radius * 0.5, radius * 1.6, radius)
    write_fitting(art, text, box, _readable_on(palette.accent, palette), weight=800)


def back_art(palette: Palette, w: int, h: int) -> Picture:
    """A back or a side: small print and a bar code."""
    art = np.full((h, w, 3), mixed(palette.base, palette.ink, 0.08), np.uint8)
    colour = _readable_on(palette.base, palette)
    step = max(5, h // 28)
    for index, y in enumerate(range(h // 8, round(h * 0.62), step)):
        length = 0.8 - 0.25 * ((index * 7) % 5) / 5
        thickness = max(1, step // 4)
        cv2.line(art, (round(w * 0.1), y), (round(w * (0.1 + length)), y), mixed(colour, palette.base, 0.4), thickness)
    left, right, top, bottom = round(w * 0.25), round(w * 0.75), round(h * 0.72), round(h * 0.9)
    cv2.rectangle(art, (left - 2, top - 2), (right + 2, bottom + 2), (250, 250, 250), -1)
    for index, x in enumerate(range(left, right, 3)):
        if (index * 37) % 5 < 3:
            cv2.line(art, (x, top), (x, bottom), (20, 20, 20), 1)
    return art


@lru_cache(maxsize=256)
def box_art(pack: Pack) -> BoxArt:
    """The faces of a box."""
    palette = palette_of(pack)
    w, h, d = (max(8, round(mm * ART_PX_PER_MM)) for mm in (pack.width_mm, pack.height_mm, pack.depth_mm))
    side = back_art(palette, d, h)
    write_fitting(side, pack.brand, (d * 0.06, h * 0.02, d * 0.88, h * 0.08), _readable_on(palette.base, palette))
    top = np.full((d, w, 3), mixed(palette.base, palette.paper, 0.1), np.uint8)
    cv2.line(top, (0, d // 2), (w, d // 2), mixed(palette.base, palette.ink, 0.3), 2)
    text_box = (w * 0.1, d * 0.55, w * 0.8, d * 0.36)
    write_fitting(top, f"{pack.brand} {pack.name}", text_box, _readable_on(palette.base, palette), weight=600)
    return BoxArt(front_art(pack, pack.width_mm, pack.height_mm), side, top)

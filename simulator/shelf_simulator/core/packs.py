"""The packs of the demo shop as its file holds them, and invented ones for training pictures."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from shelf_contracts.ids import Gtin, gtin_check_digit
from shelf_simulator.core.design import Pack, PackShape

_Millimetres = Annotated[float, Field(gt=0, le=1000)]


class PackEntry(BaseModel):
    """One pack of ``packs.json``; sizes in mm."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    gtin: Gtin
    name: str
    brand: str
    shape: PackShape
    w: _Millimetres
    h: _Millimetres
    d: _Millimetres
    net_content: str = ""


class PackFile(BaseModel):
    """``shop/packs.json``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_name: Annotated[Literal["smartshelf.packs.v1"], Field(alias="schema")]
    packs: list[PackEntry]

    def as_packs(self) -> list[Pack]:
        return [Pack(p.gtin, p.name, p.brand, p.shape, p.w, p.h, p.d, p.net_content) for p in self.packs]


_SYLLABLES = (
    "mo", "la", "ver", "di", "ka", "ro", "sun", "bel", "ta", "ni", "fru", "zo", "len", "mar", "vi", "do", "qua", "pi",
    "sel", "or", "ju", "bra", "ne", "cas", "to", "lu", "fi", "gra", "hem", "ost", "wij", "kel", "sa", "po", "ri", "ba",
)  # fmt: skip
_GOODS = (
    "Crackers", "Penne", "Tomato Soup", "Lentils", "Green Peas", "Oat Drink", "Iced Tea", "Lemonade", "Pesto",
    "Couscous", "Rice", "Flour", "Sugar", "Cookies", "Waffles", "Granola", "Espresso", "Olives", "Pickles", "Mayo",
    "Soy Sauce", "Curry Paste", "Tortillas", "Nachos", "Cashews", "Raisins", "Popcorn", "Energy Drink", "Orange Juice",
    "Peach Slices", "Pineapple", "Sardines", "Cocoa", "Jam", "Syrup", "Shampoo", "Dish Soap", "Candles", "Cat Food",
)  # fmt: skip
_SIZES: dict[PackShape, tuple[tuple[float, float], tuple[float, float], tuple[float, float]]] = {
    # width, height and depth from..to, mm
    "box": ((55, 190), (60, 280), (25, 120)),
    "can": ((52, 100), (50, 170), (1, 1)),
    "bottle": ((55, 100), (110, 300), (1, 1)),
    "bag": ((85, 210), (120, 270), (35, 80)),
}


def invent_pack(rng: np.random.Generator, *, highest_mm: float = 300.0, shape: PackShape | None = None) -> Pack:
    """A pack that no shop sells, at most ``highest_mm`` high; its GTIN is in the range for use inside one shop."""
    shapes: tuple[PackShape, ...] = ("box", "box", "can", "bottle", "bag")
    shape = shape or shapes[int(rng.integers(5))]
    (w0, w1), (h0, h1), (d0, d1) = _SIZES[shape]
    height = float(rng.uniform(min(h0, highest_mm * 0.5), min(h1, highest_mm)))
    width = float(rng.uniform(w0, w1))
    depth = float(rng.uniform(d0, d1)) if shape in {"box", "bag"} else width
    brand = "".join(_SYLLABLES[i] for i in rng.integers(len(_SYLLABLES), size=int(rng.integers(2, 4)))).capitalize()
    name = _GOODS[int(rng.integers(len(_GOODS)))]
    body = "2" + "".join(str(int(digit)) for digit in rng.integers(10, size=11))
    gtin = f"{body}{gtin_check_digit(body)}".zfill(14)
    net = f"{int(rng.integers(1, 20)) * 50} {'ml' if shape == 'bottle' else 'g'}"
    return Pack(gtin, name, brand, shape, round(width), round(height), round(depth), net)


_VARIETIES = ("Classic", "Light", "Bio", "Mild", "Extra", "Family", "Original", "Plus")


def invent_family(rng: np.random.Generator, *, highest_mm: float, members: int) -> list[Pack]:
    """Packs of one size and print that differ in a word and in their content, as a brand's varieties do."""
    first = invent_pack(rng, highest_mm=highest_mm)
    family = []
    for number in range(members):
        other = invent_pack(rng)
        family.append(
            replace(
                first,
                gtin=other.gtin,
                name=f"{first.name} {_VARIETIES[number % len(_VARIETIES)]}",
                net_content=other.net_content,
                print_of=first.gtin,
            )
        )
    return family

"""What a language is to the pages: its words, its fourteen allergens, and how it writes numbers, money and dates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from shelf_contracts.products import Allergen


@dataclass(frozen=True, slots=True)
class Language:
    """One language. A file of ``core/languages`` holds one as ``LANGUAGE``; the file's name is its code.

    Attributes:
        name: what the language calls itself.
        money: a pattern of ``{sign}`` and ``{amount}``.
        date: a pattern of ``{day}``, ``{month}`` and ``{year}``; ``months`` are the twelve names that go there: a month
            in figures is a day to somebody else.
        allergens_afar: shorter words for some of the allergens, for letters read from two metres; where a panel is
            read from near, the words of ``allergens`` stand.
        direction: in which its lines run.
        words: by key; places such as ``{n}`` are filled in by the page.
    """

    code: str
    name: str
    decimal_mark: str
    thousands_mark: str
    money: str
    date: str
    months: tuple[str, ...]
    allergens: Mapping[Allergen, str]
    words: Mapping[str, str]
    allergens_afar: Mapping[Allergen, str] = field(default_factory=dict)
    direction: Literal["ltr", "rtl"] = "ltr"

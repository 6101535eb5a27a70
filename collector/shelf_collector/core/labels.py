"""What an electronic shelf label says of a slot's product, and what became of sending it there."""

from __future__ import annotations

import hashlib
import unicodedata
from dataclasses import astuple, dataclass
from enum import StrEnum

from shelf_collector.core.cards import ProductCard
from shelf_collector.core.texts import WORDS


@dataclass(frozen=True, slots=True)
class Label:
    """A label as its access point knows it.

    Attributes:
        has_red: it can show red besides black and white.
        battery_mv: None when it did not say.
    """

    id: str
    width_px: int
    height_px: int
    has_red: bool
    battery_mv: int | None = None


@dataclass(frozen=True, slots=True)
class LabelText:
    """Everything on a label, in words. Without a price it says where else to look; a wrong one it never shows."""

    name: str
    detail: str
    price: str
    unit_price: str
    tag: str
    prior: str
    gtin: str

    @property
    def revision(self) -> str:
        """The same text has the same revision."""
        return hashlib.sha256("\x1f".join(astuple(self)).encode()).hexdigest()[:16]


def _apart(text: str) -> str:
    """A text from the right in isolates (Unicode, annex 9), so that what stands beside it keeps its order."""
    runs_from_right = any(unicodedata.bidirectional(letter) in ("R", "AL") for letter in text)
    return f"\u2068{text}\u2069" if runs_from_right else text


def label_text(card: ProductCard, language: str) -> LabelText:
    """What of a product's card goes onto a label."""
    words = WORDS[language]
    detail = " · ".join(_apart(part) for part in (card.brand, card.net_content) if part)
    return LabelText(
        name=card.name.text,
        detail=detail,
        price=card.price,
        unit_price=card.unit_price,
        tag=f"{words['offer']} −{card.saving}" if card.saving else "",
        prior=f"{card.prior_price} {words['prior_price']}, {words['until']} {card.offer_until}"
        if card.prior_price
        else "",
        gtin=card.gtin,
    )


class PushState(StrEnum):
    """What became of a picture sent to a label."""

    QUEUED = "queued"
    SHOWN = "shown"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class PushTicket:
    """A picture on its way. ``mark`` is the driver's own, to tell whether it has arrived."""

    label: str
    revision: str
    mark: str = ""


class LabelProblem(Exception):
    """A label or its access point could not be reached or refused; what to do stands in the text."""

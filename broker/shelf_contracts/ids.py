"""Identifiers: MQTT-safe names and GTINs, each with one validator."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, StringConstraints, WithJsonSchema

LEVEL_PATTERN = r"^[a-z0-9][a-z0-9-]{0,31}$"
"""One level of a topic: lower case, digits and hyphens, 1 to 32 characters (after Homie 5)."""

LevelId = Annotated[str, StringConstraints(pattern=LEVEL_PATTERN)]
StoreId = LevelId
BayId = LevelId
SlotId = LevelId
CameraId = LevelId
NodeId = LevelId
DisplayId = LevelId

_GTIN_LENGTHS = (8, 12, 13, 14)


def gtin_check_digit(body: str) -> int:
    """Check digit of a GTIN without its last digit (GS1 General Specifications 7.9: weights 3, 1 from the right).

    >>> gtin_check_digit("400638133393")
    1
    """
    total = sum(int(digit) * (3 if i % 2 == 0 else 1) for i, digit in enumerate(reversed(body)))
    return (10 - total % 10) % 10


def parse_gtin(text: str) -> str:
    """A GTIN-8, -12, -13 or -14 as 14 digits, zero-filled.

    >>> parse_gtin("4006381333931")
    '04006381333931'

    Raises: ValueError, saying what is wrong, when it is no GTIN.
    """
    digits = text.strip()
    if not (digits.isascii() and digits.isdigit()):
        raise ValueError("a GTIN holds digits only")
    if len(digits) not in _GTIN_LENGTHS:
        raise ValueError(f"a GTIN has 8, 12, 13 or 14 digits, not {len(digits)}")
    expected = gtin_check_digit(digits[:-1])
    if int(digits[-1]) != expected:
        raise ValueError(f"the check digit is {digits[-1]} but should be {expected}")
    return digits.zfill(14)


def is_restricted_gtin(gtin: str) -> bool:
    """True for numbers that are unique only inside one shop (GS1 prefixes 02, 04 and 20 to 29)."""
    prefix = gtin.zfill(14)[1:3]
    return prefix in {"02", "04"} or prefix.startswith("2")


Gtin = Annotated[
    str, AfterValidator(parse_gtin), WithJsonSchema({"type": "string", "pattern": "^([0-9]{8}|[0-9]{12,14})$"})
]
"""Any GTIN on the way in, 14 digits inside."""

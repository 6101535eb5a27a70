"""Ids and GTINs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from shelf_contracts.ids import Gtin, LevelId, gtin_check_digit, is_restricted_gtin, parse_gtin

DIGITS = "0123456789"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("4006381333931", "04006381333931"),  # GTIN-13
        ("96385074", "00000096385074"),  # GTIN-8
        ("036000291452", "00036000291452"),  # GTIN-12
        ("10614141000415", "10614141000415"),  # GTIN-14
        (" 4006381333931\n", "04006381333931"),
        ("00000096385074", "00000096385074"),  # already 14 digits
    ],
)
def test_gtins_become_14_digits(text: str, expected: str) -> None:
    assert parse_gtin(text) == expected


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("4006381333932", "check digit is 2 but should be 1"),
        ("96385075", "check digit is 5 but should be 4"),
        ("036000291453", "check digit is 3 but should be 2"),
        ("400638133393", "check digit"),
        ("123", "8, 12, 13 or 14 digits, not 3"),
        ("", "digits only"),
        ("40063813339a1", "digits only"),
        ("٤٠٠٦٣٨١٣٣٣٩٣١", "digits only"),
        ("-400638133393", "digits only"),
    ],
)
def test_what_is_no_gtin_is_refused_with_the_reason(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_gtin(text)


@given(st.sampled_from([7, 11, 12, 13]).flatmap(lambda n: st.text(DIGITS, min_size=n, max_size=n)))
def test_a_body_with_its_check_digit_is_a_gtin_and_parsing_twice_changes_nothing(body: str) -> None:
    gtin = parse_gtin(body + str(gtin_check_digit(body)))
    assert len(gtin) == 14
    assert parse_gtin(gtin) == gtin


@given(st.text(DIGITS, min_size=12, max_size=12), st.integers(0, 12), st.integers(1, 9))
def test_one_wrong_digit_is_always_noticed(body: str, place: int, change: int) -> None:
    good = body + str(gtin_check_digit(body))
    bad = good[:place] + str((int(good[place]) + change) % 10) + good[place + 1 :]
    with pytest.raises(ValueError, match="check digit"):
        parse_gtin(bad)


@pytest.mark.parametrize(
    ("gtin", "expected"),
    [("02012345678905", True), ("2012345678900", True), ("0212345678909", True), ("04006381333931", False)],
)
def test_numbers_of_one_shop(gtin: str, expected: bool) -> None:
    assert is_restricted_gtin(gtin) is expected


@pytest.mark.parametrize("good", ["a", "0", "a03", "s2-04", "a" * 32])
def test_levels(good: str) -> None:
    assert TypeAdapter(LevelId).validate_python(good) == good


@pytest.mark.parametrize("bad", ["", "-a", "A", "a/b", "a+", "#", "a b", "a\n", "é", "a" * 33, "a_b", "$sys"])
def test_what_is_no_level(bad: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(LevelId).validate_python(bad)


def test_a_gtin_must_be_text_since_a_number_has_lost_its_zeros() -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Gtin).validate_python(4006381333931)

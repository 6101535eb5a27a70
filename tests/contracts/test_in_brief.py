"""Problems on one line, where there is little room: what is left out is said."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelf_contracts.errors import FileProblems, Problem, SeveralFiles, in_brief, raise_together


def slots(count: int, allowed: str = "must lie in the picture") -> list[Problem]:
    return [Problem(f"views[0].slots.s1-{number:02d}", "x of 1 to 2", allowed) for number in range(1, count + 1)]


def test_what_is_wrong_in_the_same_way_is_told_together() -> None:
    assert in_brief(slots(3), 200) == "s1-01, s1-02, s1-03: must lie in the picture"
    assert in_brief([*slots(2), Problem("bay", "9", "must be a name")], 200) == (
        "s1-01, s1-02: must lie in the picture; bay = 9: must be a name"
    )


def test_one_is_told_whole() -> None:
    assert in_brief(slots(1), 200) == "views[0].slots.s1-01 = x of 1 to 2: must lie in the picture"


def test_how_many_are_left_out_is_said() -> None:
    told = in_brief(slots(60), 120)
    assert told.startswith("s1-01, s1-02, s1-03, ")
    shown = told.partition(" and ")[0].count(",") + 1
    assert f" and {60 - shown} more: must lie in the picture" in told
    others = [Problem(f"bay{number}", "9", f"must be {number}") for number in range(40)]
    assert in_brief(others, 120).endswith(" more problems")


@given(
    st.lists(st.tuples(st.text(max_size=40), st.text(max_size=200), st.sampled_from("abc")), min_size=1, max_size=99)
)
def test_there_is_always_room(parts: list[tuple[str, str, str]]) -> None:
    told = in_brief([Problem(*part) for part in parts], 120)
    assert 0 < len(told) <= 120
    assert "\n" not in told


def test_several_files_are_told_together() -> None:
    raise_together([])
    one, other = FileProblems("a.json", slots(2)), FileProblems("b.json", slots(1))
    with pytest.raises(FileProblems) as alone:
        raise_together([one])
    assert alone.value is one
    with pytest.raises(SeveralFiles) as both:
        raise_together([one, other])
    assert str(both.value) == f"{one}\n{other}"
    assert len(both.value.problems) == 3

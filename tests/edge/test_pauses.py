from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shelf_edge.core.pauses import pause_after


@given(st.integers(0, 10**9))
def test_a_pause_never_shrinks_and_never_fails_however_long_it_goes_on(failures: int) -> None:
    assert 2.0 <= pause_after(failures, 2.0, 60.0) <= pause_after(failures + 1, 2.0, 60.0) <= 60.0


def test_pauses_double_up_to_the_longest() -> None:
    assert [pause_after(count, 0.5, 30.0) for count in range(8)] == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]

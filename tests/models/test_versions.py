from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from shelf_contracts.manifest import version_key
from shelf_models.versions import version_of

MOMENTS = st.integers(1_577_836_800, 4_102_358_400).map(lambda at_s: datetime.fromtimestamp(at_s, UTC))
SOURCES = Path(__file__).resolve().parents[2] / "models" / "shelf_models"


@given(MOMENTS, st.timedeltas(timedelta(minutes=1), timedelta(days=400)))
def test_a_later_training_gives_a_newer_version_also_on_the_same_day(moment: datetime, later: timedelta) -> None:
    assert version_key(version_of(moment)) < version_key(version_of(moment + later))


@given(MOMENTS)
def test_versions_of_a_day_alone_fit_between(moment: datetime) -> None:
    """Models from before versions had a time of day."""
    today, tomorrow = (f"{day:%Y.%m.%d}" for day in (moment, moment + timedelta(days=1)))
    assert version_key(today) < version_key(version_of(moment)) < version_key(tomorrow)


def test_the_clock_of_the_place_does_not_matter() -> None:
    there = datetime(2026, 11, 23, 1, 30, tzinfo=timezone(timedelta(hours=9)))
    assert version_of(there) == "2026.11.22.1630"


def test_every_training_takes_its_version_from_there() -> None:
    """Read as text: importing them needs torch."""
    for name in ("export_yolox.py", "train.py", "train_recogniser.py"):
        assert '"version": version_of(datetime.now(UTC))' in (SOURCES / name).read_text(encoding="utf-8"), name

"""The version a training gives its model."""

from __future__ import annotations

from datetime import UTC, datetime


def version_of(moment: datetime) -> str:
    """Date and time of day in UTC: the second training of a day is newer than the first, and than ``2026.11.22``.

    >>> version_of(datetime(2026, 11, 22, 13, 5, tzinfo=UTC))
    '2026.11.22.1305'
    """
    return moment.astimezone(UTC).strftime("%Y.%m.%d.%H%M")

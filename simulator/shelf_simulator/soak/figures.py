"""From samples of processes to what grew. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_WARM_UP_SHARE = 1 / 3
_RISE_MB = 8.0
_RISE_SHARE = 0.05
_MORE_FILES = 3
_MORE_THREADS = 2


@dataclass(frozen=True)
class Sample:
    """A process with its own children at a moment: resident memory, open files, threads."""

    at_s: float
    rss_mb: float
    files: int
    threads: int


@dataclass(frozen=True)
class Growth:
    """One process after its warm-up, the first third of the run.

    Attributes:
        rss_mb: median of the last third. rss_slope_mb_h: least squares. rss_rise_mb: the slope over the measured time.
        files, threads: the most in the first and in the last half of the measured time.
    """

    process: str
    rss_mb: float
    rss_slope_mb_h: float
    rss_rise_mb: float
    files: tuple[int, int]
    threads: tuple[int, int]

    @property
    def is_flat(self) -> bool:
        """Memory rose by at most 8 MB or 5 %, files by at most 3, threads by at most 2."""
        return (
            self.rss_rise_mb <= max(_RISE_MB, _RISE_SHARE * self.rss_mb)
            and self.files[1] <= self.files[0] + _MORE_FILES
            and self.threads[1] <= self.threads[0] + _MORE_THREADS
        )


def growth(process: str, samples: Sequence[Sample]) -> Growth:
    """What grew. Raises: ValueError with fewer than six samples."""
    if len(samples) < 6:
        raise ValueError(f"{process}: {len(samples)} samples are too few; let it run longer")
    measured = samples[int(len(samples) * _WARM_UP_SHARE) :]
    slope_mb_s = slope([one.at_s for one in measured], [one.rss_mb for one in measured])
    middle = len(measured) // 2
    early, late = measured[:middle], measured[middle:]
    last = sorted(one.rss_mb for one in measured[-max(1, len(samples) // 3) :])
    return Growth(
        process,
        round(last[len(last) // 2], 1),
        round(slope_mb_s * 3600, 2),
        round(slope_mb_s * (measured[-1].at_s - measured[0].at_s), 2),
        (max(one.files for one in early), max(one.files for one in late)),
        (max(one.threads for one in early), max(one.threads for one in late)),
    )


def slope(at: Sequence[float], values: Sequence[float]) -> float:
    """The least-squares slope of values over their places; 0 when all places are one.

    >>> slope([0, 1, 2], [5.0, 7.0, 9.0])
    2.0
    """
    mean_at, mean = sum(at) / len(at), sum(values) / len(values)
    spread = sum((one - mean_at) ** 2 for one in at)
    return sum((a - mean_at) * (v - mean) for a, v in zip(at, values, strict=True)) / spread if spread else 0.0

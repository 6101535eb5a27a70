"""Truth as lines of JSON: events, counts and sight, with seconds of the world and, when live, unix times."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Annotated, Literal, TextIO

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from shelf_contracts.errors import FileProblems, Problem
from shelf_contracts.files import problems_of
from shelf_simulator.core.truth import CountChanged, EventKind, Fact, SightChanged, TruthEvent


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    bay: str
    slot: str


class EventLine(_Line):
    type: Literal["event"] = "event"
    kind: EventKind
    gtin: str
    quantity: int
    begin_s: float
    done_s: float
    clear_s: float
    begin_unix: float | None = None
    done_unix: float | None = None
    clear_unix: float | None = None


class CountLine(_Line):
    type: Literal["count"] = "count"
    t_s: float
    unix: float | None = None
    count: int


class SightLine(_Line):
    type: Literal["sight"] = "sight"
    t_s: float
    unix: float | None = None
    occluded: bool


TruthLine = EventLine | CountLine | SightLine
_READER: TypeAdapter[TruthLine] = TypeAdapter(Annotated[TruthLine, Field(discriminator="type")])


@dataclass(frozen=True)
class TruthLog:
    """A truth file as read. Times are unix when the file was written live, else seconds from the start."""

    events: list[TruthEvent]
    counts: list[CountChanged]
    sights: list[SightChanged]


class TruthWriter:
    """Appends facts to a file, flushed after each batch. ``epoch_unix`` is the unix time of the world's second 0."""

    def __init__(self, path: Path, epoch_unix: float | None = None) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: TextIO = path.open("w", encoding="utf-8")
        self.epoch_unix = epoch_unix

    def __enter__(self) -> TruthWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def write(self, facts: list[Fact]) -> None:
        for fact in facts:
            self._file.write(line_of(fact, self.epoch_unix).model_dump_json(exclude_none=True) + "\n")
        if facts:
            self._file.flush()

    def close(self) -> None:
        self._file.close()


def line_of(fact: Fact, epoch_unix: float | None) -> TruthLine:
    """A fact as a line of the file."""

    def unix(t_s: float) -> float | None:
        return None if epoch_unix is None else round(epoch_unix + t_s, 6)

    def near(t_s: float) -> float:
        return round(t_s, 6)

    if isinstance(fact, TruthEvent):
        return EventLine(
            bay=fact.bay, slot=fact.slot, kind=fact.kind, gtin=fact.gtin, quantity=fact.quantity,
            begin_s=near(fact.begin_s), done_s=near(fact.done_s), clear_s=near(fact.clear_s),
            begin_unix=unix(fact.begin_s), done_unix=unix(fact.done_s), clear_unix=unix(fact.clear_s),
        )  # fmt: skip
    if isinstance(fact, CountChanged):
        return CountLine(bay=fact.bay, slot=fact.slot, t_s=near(fact.t_s), unix=unix(fact.t_s), count=fact.count)
    return SightLine(bay=fact.bay, slot=fact.slot, t_s=near(fact.t_s), unix=unix(fact.t_s), occluded=fact.occluded)


def read_truth(path: Path) -> TruthLog:
    """Read a truth file; a last line that was cut off while being written is left out.

    Raises: FileProblems naming every line that is wrong.
    """
    log = TruthLog([], [], [])
    problems: list[Problem] = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    except OSError as error:
        raise FileProblems(path, [Problem("", str(error.strerror), "must be a readable file")]) from error
    for number, text in enumerate(lines, start=1):
        if not text.endswith("\n") and number == len(lines):
            break
        try:
            _add(log, _READER.validate_python(json.loads(text)))
        except json.JSONDecodeError as error:
            problems.append(Problem(f"line {number}", "not JSON", str(error)))
        except ValidationError as error:
            problems += [Problem(f"line {number}: {p.key}", p.found, p.allowed) for p in problems_of(error)]
    if problems:
        raise FileProblems(path, problems)
    return log


def _add(log: TruthLog, line: TruthLine) -> None:
    def time(unix: float | None, seconds: float) -> float:
        return seconds if unix is None else unix

    if isinstance(line, EventLine):
        begin, done = time(line.begin_unix, line.begin_s), time(line.done_unix, line.done_s)
        clear = time(line.clear_unix, line.clear_s)
        log.events.append(TruthEvent(line.kind, line.bay, line.slot, line.gtin, line.quantity, begin, done, clear))
    elif isinstance(line, CountLine):
        log.counts.append(CountChanged(line.bay, line.slot, time(line.unix, line.t_s), line.count))
    else:
        log.sights.append(SightChanged(line.bay, line.slot, time(line.unix, line.t_s), line.occluded))


def first_counts(bay: str, counts: dict[str, int]) -> list[Fact]:
    """What stood there at second 0, as facts."""
    return [CountChanged(bay, slot, 0.0, count) for slot, count in counts.items()]

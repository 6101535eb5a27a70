"""What really happened, and how it is written down: events, and changes of a slot's count and sight.

All times are seconds of the recorded world. A recording with truth is a folder: ``recording.json`` (what it is),
``planogram-{bay}.json``, ``truth-{bay}.jsonl`` and the pictures ``{bay}/000000.jpg``, 1 / ``fps`` seconds apart.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from shelf_contracts.errors import FileProblems, Problem
from shelf_contracts.files import problems_of, refuse_constant, refuse_depth

EventKind = Literal["reach", "pick", "put", "restock", "misplaced", "fallen", "pushed-back"]
KINDS: tuple[EventKind, ...] = ("reach", "pick", "put", "restock", "misplaced", "fallen", "pushed-back")
OUT_OF_PLACE: frozenset[EventKind] = frozenset({"fallen", "pushed-back"})
"""An item is in its slot, but not as it should be. A node tells it as an anomaly of that cause, once it lasts."""


@dataclass(frozen=True)
class TruthEvent:
    """One touch of a slot.

    Attributes:
        gtin: of the item that was taken or put; of the slot's product for a mere reach.
        quantity: items; 0 for a reach.
        begin_s: the hand enters the slot's front polygon; done_s: the slot has changed (a reach: the hand is deepest);
        clear_s: hand and bodies no longer cover the slot.
    """

    kind: EventKind
    bay: str
    slot: str
    gtin: str
    quantity: int
    begin_s: float
    done_s: float
    clear_s: float


@dataclass(frozen=True)
class CountChanged:
    """A slot holds ``count`` items from ``t_s`` on."""

    bay: str
    slot: str
    t_s: float
    count: int


@dataclass(frozen=True)
class SightChanged:
    """From ``t_s`` on, more than 10 % of a slot's front is covered, or no longer."""

    bay: str
    slot: str
    t_s: float
    occluded: bool


Fact = TruthEvent | CountChanged | SightChanged

RECORDING_NOTE = "recording.json"


class RecordingNote(BaseModel):
    """``recording.json``: what a recording shows. Equal notes of one version of the simulator mean equal pictures.

    Attributes:
        split: ``dev`` is there to work with; ``hidden`` is measured on and never trained or tuned on.
        seed: of the world; seconds: how long it lasts; fps: pictures a second.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_name: Annotated[Literal["smartshelf.recording.v1"], Field(alias="schema")] = "smartshelf.recording.v1"
    scenario: str
    split: str
    seed: Annotated[int, Field(ge=0)]
    bay: str
    seconds: Annotated[float, Field(gt=0)]
    fps: Annotated[float, Field(gt=0)]


class DayNote(BaseModel):
    """What goes before a picture that the simulator was asked for, one line.

    Attributes:
        at_s: seconds since the day began, 0 up; gain: of the light, 1 is full; size: bytes of the JPEG that follows.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    at_s: Annotated[float, Field(ge=0)]
    gain: Annotated[float, Field(ge=0)]
    size: Annotated[int, Field(gt=0, le=16_000_000)]


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
    except UnicodeDecodeError as error:
        raise FileProblems(path, [Problem(f"byte {error.start}", error.reason, "must be UTF-8")]) from error
    for number, text in enumerate(lines, start=1):
        if not text.endswith("\n") and number == len(lines):
            break
        try:
            content = json.loads(text, parse_constant=refuse_constant)
            refuse_depth(content)
            _add(log, _READER.validate_python(content))
        except ValidationError as error:
            problems += [Problem(f"line {number}: {p.key}", p.found, p.allowed) for p in problems_of(error)]
        except (ValueError, RecursionError) as error:  # no JSON, nested too deep, a number of 5000 digits
            problems.append(Problem(f"line {number}", "not JSON", str(error)[:200] or "nested too deep"))
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

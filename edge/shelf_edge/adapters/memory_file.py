"""The node's books on disk: one small file, replaced whole, read at the start."""

from __future__ import annotations

import logging
import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from shelf_contracts.errors import ContractError
from shelf_contracts.files import read_model, write_json
from shelf_contracts.ids import BayId, SlotId
from shelf_edge.core.memory import ColumnMemory, SlotMemory

log = logging.getLogger(__name__)

Books = dict[str, dict[str, SlotMemory]]
"""By bay, by slot."""

_Seconds = Annotated[float, Field(ge=0.0, le=1e11, allow_inf_nan=False)]
_Count = Annotated[int, Field(ge=0, le=10_000)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Column(_Part):
    count: _Count
    depth: Annotated[float, Field(ge=-10.0, le=200.0, allow_inf_nan=False)] | None = None


class _Slot(_Part):
    product: Annotated[str, Field(max_length=64)]
    rows: Annotated[int, Field(ge=1, le=100)]
    columns: Annotated[list[_Column], Field(min_length=1, max_length=100)]
    low: _Count
    confidence: Annotated[float, Field(ge=0.0, le=1.0)]
    seen_s: _Seconds
    unseen_at_restock: Annotated[list[Annotated[int, Field(ge=0, le=99)]], Field(max_length=100)] = []
    touched_s: _Seconds | None = None
    told_misplaced: Annotated[str, Field(max_length=64)] = ""
    told_fallen: bool = False
    never_seen: Annotated[list[Annotated[int, Field(ge=0, le=99)]], Field(max_length=100)] = []


class _Bay(_Part):
    slots: Annotated[dict[SlotId, _Slot], Field(max_length=1000)]


class _File(_Part):
    schema_name: Annotated[Literal["smartshelf.node-memory.v1"], Field(alias="schema")] = "smartshelf.node-memory.v1"
    bays: Annotated[dict[BayId, _Bay], Field(max_length=64)]

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class MemoryFile:
    """At most 64 bays of 1000 slots. What cannot be read is set aside as ``NAME.damaged``, and said."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._failed = ""

    def load(self) -> Books:
        """The books of the last run; none when there are none, or they cannot be read. Never raises."""
        if not self._path.exists():
            return {}
        try:
            found = read_model(self._path, _File)
        except ContractError as error:
            aside = self._path.with_name(self._path.name + ".damaged")
            log.error("%s\n  it is set aside as %s; the slots are counted anew", error, aside.name)
            try:
                self._path.replace(aside)
            except OSError as problem:
                log.error("%s: %s", aside, problem)
            return {}
        return {bay: {slot: _from_file(one) for slot, one in held.slots.items()} for bay, held in found.bays.items()}

    def keep(self, books: Books) -> bool:
        """Write them, whole or not at all; False when the disk takes nothing, or they are none: said once."""
        try:
            bays = {bay: _Bay(slots={slot: _to_file(one) for slot, one in held.items()}) for bay, held in books.items()}
            write_json(self._path, _File(bays=bays))
            self._path.chmod(0o600)
            _sync_folder(self._path.parent)
        except (OSError, ValueError) as error:  # ValueError: books that could not be read again
            if str(error) != self._failed:
                log.error("%s: %s; a restart would count the slots anew", self._path, error)
            self._failed = str(error)
            return False
        self._failed = ""
        return True


def _to_file(one: SlotMemory) -> _Slot:
    return _Slot.model_validate(asdict(one))


def _from_file(one: _Slot) -> SlotMemory:
    columns = tuple(ColumnMemory(column.count, column.depth) for column in one.columns)
    plain = one.model_dump(exclude={"columns", "unseen_at_restock", "never_seen"})
    unseen, never = tuple(one.unseen_at_restock), tuple(one.never_seen)
    return SlotMemory(columns=columns, unseen_at_restock=unseen, never_seen=never, **plain)


def _sync_folder(folder: Path) -> None:
    if not hasattr(os, "O_DIRECTORY"):
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

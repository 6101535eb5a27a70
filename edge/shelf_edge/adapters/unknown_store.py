"""Small pictures of unknown things in a folder of the node: written whole, for its owner only, deleted in time.

Two files a place, ``BAY.SLOT.jpg`` and ``BAY.SLOT.json``; what belongs to no pair is deleted. Nothing here sends.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from shelf_contracts.errors import ContractError
from shelf_contracts.files import read_model
from shelf_contracts.ids import BayId, SlotId
from shelf_contracts.messages import UtcTime

log = logging.getLogger(__name__)

UNKNOWN_FOLDER = "unknown"
"""Under the node's state folder."""
LONGEST_RETENTION_H = 168.0
MOST_PICTURES = 100
_AHEAD_S = 3600.0
"""A picture from further in the future was taken by a wrong clock, and would stay too long."""


@dataclass(frozen=True)
class KeepingLimits:
    """``retention_s``: how old a picture becomes; ``most`` pictures, of ``largest_bytes`` together, are kept."""

    retention_s: float
    most: int
    largest_bytes: int


class KeptPicture(BaseModel):
    """What is known of a picture. ``since``: the thing is unknown; ``seen``: last; ``taken``: the picture."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    schema_name: Annotated[Literal["smartshelf.unknown-picture.v1"], Field(alias="schema")] = (
        "smartshelf.unknown-picture.v1"
    )
    bay: BayId
    slot: SlotId
    since: UtcTime
    seen: UtcTime
    looks: Annotated[int, Field(ge=0)]
    taken: UtcTime

    @property
    def place(self) -> str:
        return f"{self.bay}/{self.slot}"


class UnknownStore:
    """One process writes; others may read and purge. Nothing is kept in memory but the counter.

    Args:
        folder: made when the first picture is kept.
    """

    def __init__(self, folder: Path, limits: KeepingLimits) -> None:
        self.deleted_at_limit = 0
        self._folder = folder
        self._limits = limits

    def pictures(self) -> list[KeptPicture]:
        """What is kept, the oldest first; files that are no whole pair are left out."""
        found = []
        for note in self._folder.glob("*.json"):
            if not note.with_suffix(".jpg").is_file():
                continue
            try:
                kept = read_model(note, KeptPicture)
            except ContractError:
                continue
            if note.stem == _stem(kept.bay, kept.slot):
                found.append(kept)
        return sorted(found, key=lambda kept: (kept.taken, kept.place))

    def file(self, kept: KeptPicture) -> Path:
        """The picture itself."""
        return self._folder / f"{_stem(kept.bay, kept.slot)}.jpg"

    def keep(self, kept: KeptPicture, jpeg: bytes) -> None:
        """Write a picture; at a limit the oldest go first. Raises: OSError."""
        if len(jpeg) > self._limits.largest_bytes:
            log.warning("%s: its picture has %d bytes, more than all may have: not kept", kept.place, len(jpeg))
            return
        self.forget(kept.bay, kept.slot)
        others = self.pictures()
        sizes = {one.place: self.file(one).stat().st_size for one in others}
        while others and (
            len(others) >= self._limits.most or sum(sizes.values()) + len(jpeg) > self._limits.largest_bytes
        ):
            oldest = others.pop(0)
            del sizes[oldest.place]
            self.forget(oldest.bay, oldest.slot)
            self.deleted_at_limit += 1
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder.chmod(0o700)
        picture = self.file(kept)
        _write_private(picture, jpeg)
        _write_private(picture.with_suffix(".json"), kept.model_dump_json(indent=2, by_alias=True).encode())

    def note(self, kept: KeptPicture) -> None:
        """It was seen again. Raises: OSError."""
        if self.file(kept).is_file():
            note = kept.model_dump_json(indent=2, by_alias=True).encode()
            _write_private(self.file(kept).with_suffix(".json"), note)

    def forget(self, bay: str, slot: str) -> bool:
        """Delete the picture of a place; False when there was none. Raises: OSError."""
        picture = self._folder / f"{_stem(bay, slot)}.jpg"
        is_there = picture.is_file()
        picture.unlink(missing_ok=True)
        picture.with_suffix(".json").unlink(missing_ok=True)
        return is_there

    def expire(self, now: datetime) -> int:
        """Delete what is too old, and what belongs to no picture; how many pictures that were. Raises: OSError."""
        deleted = 0
        whole = set()
        for kept in self.pictures():
            age_s = (now - kept.taken).total_seconds()
            if -_AHEAD_S <= age_s < self._limits.retention_s:
                whole.add(_stem(kept.bay, kept.slot))
            else:
                deleted += self.forget(kept.bay, kept.slot)
        for path in self._own_files():
            if path.stem not in whole or path.suffix == ".part":
                path.unlink(missing_ok=True)
        return deleted

    def purge(self) -> int:
        """Delete all; how many pictures that were. Raises: OSError."""
        files = self._own_files()
        for path in files:
            path.unlink(missing_ok=True)
        return sum(path.suffix == ".jpg" for path in files)

    def _own_files(self) -> list[Path]:
        return [path for path in self._folder.glob("*") if path.suffix in {".jpg", ".json", ".part"}]


def _stem(bay: str, slot: str) -> str:
    return f"{bay}.{slot}"  # ids have no dots


def _write_private(path: Path, content: bytes) -> None:
    """Whole or not at all, and readable by its owner only from its first byte on. Raises: OSError."""
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    part.replace(path)

"""Which cameras this node ever spoke of: those it has no more must not stay ``online`` on their retained topics."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from shelf_contracts.errors import ContractError
from shelf_contracts.files import read_model, write_json
from shelf_contracts.ids import CameraId

log = logging.getLogger(__name__)

_MOST = 256
"""So many are remembered; beyond that the first by name among those it has no more are left to themselves."""


class _File(BaseModel):
    schema_name: Annotated[Literal["smartshelf.node-cameras.v1"], Field(alias="schema")] = "smartshelf.node-cameras.v1"
    cameras: Annotated[list[CameraId], Field(max_length=_MOST)]

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


def cameras_left_behind(path: Path, present: Iterable[str]) -> list[str]:
    """The ids of cameras that the node had in runs before and has no more; remembers the present ones. Never raises.

    Those left behind stay in the file: a broker that was away is told at the next start.
    """
    now = set(present)
    known: set[str] = set()
    if path.exists():
        try:
            known = set(read_model(path, _File).cameras)
        except ContractError as error:
            log.error("%s\n  cameras of runs before are not known", error)
    left = sorted(known - now)[-max(0, _MOST - len(now)) :]
    if known != now | set(left) or not path.exists():
        try:
            write_json(path, _File(cameras=sorted(now | set(left))))
        except (OSError, ValueError) as error:
            log.error("%s: %s; cameras that are taken out later stay on their topics", path, error)
    return left

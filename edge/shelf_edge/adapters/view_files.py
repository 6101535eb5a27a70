"""What cameras saw of their bays, on disk: landmarks, no pictures; a small file a camera, replaced whole."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Base64Bytes, BaseModel, ConfigDict, Field, model_validator

from shelf_contracts.errors import ContractError
from shelf_contracts.files import read_model, write_json
from shelf_edge.core.registration import Landmarks, RememberedView

log = logging.getLogger(__name__)

_LOOKS = 128
_Pixels = Annotated[float, Field(ge=-4_000, le=4_000, allow_inf_nan=False)]
"""Landmarks of a camera that was knocked may lie outside its small picture."""
_Side = Annotated[int, Field(ge=1, le=4_000)]


class _File(BaseModel):
    schema_name: Annotated[Literal["smartshelf.node-view.v1"], Field(alias="schema")] = "smartshelf.node-view.v1"
    view: Annotated[str, Field(max_length=64)]
    width_px: _Side
    height_px: _Side
    at_px: Annotated[list[tuple[_Pixels, _Pixels]], Field(max_length=2_000)]
    looks: Base64Bytes

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    @model_validator(mode="after")
    def _has_a_look_for_each(self) -> Self:
        if len(self.looks) != _LOOKS * len(self.at_px):
            raise ValueError(
                f"looks: {len(self.looks)} bytes, must be {_LOOKS} for each of {len(self.at_px)} landmarks"
            )
        return self


class ViewFiles:
    """``CAMERA.json`` in a folder. What cannot be read is said, and is written anew."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._failed = ""

    def load(self, camera: str) -> RememberedView | None:
        """What the camera saw in the run before; None when that is not known. Never raises."""
        path = self._path(camera)
        if not path.exists():
            return None
        try:
            held = read_model(path, _File)
        except ContractError as error:
            log.error("%s\n  whether that camera moved while the node was away is not known", error)
            return None
        looks = np.frombuffer(held.looks, np.uint8).reshape(-1, _LOOKS).astype(np.float32)
        landmarks = Landmarks(np.array(held.at_px, np.float64).reshape(-1, 2), looks)
        return RememberedView(held.view, held.width_px, held.height_px, landmarks)

    def keep(self, camera: str, view: RememberedView) -> bool:
        """Write it, whole or not at all; False when the disk takes nothing, which is said once."""
        path = self._path(camera)
        at_px = [(round(x, 2), round(y, 2)) for x, y in view.landmarks.at_px.tolist()]
        looks = view.landmarks.looks.astype(np.uint8).tobytes()
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            held = _File.model_construct(
                view=view.view, width_px=view.width_px, height_px=view.height_px, at_px=at_px, looks=looks
            )
            write_json(path, held)
            path.chmod(0o600)
        except OSError as error:
            if str(error) != self._failed:
                log.error("%s: %s; after a restart nobody can tell whether that camera moved", path, error)
            self._failed = str(error)
            return False
        self._failed = ""
        return True

    def _path(self, camera: str) -> Path:
        return self._folder / f"{camera}.json"

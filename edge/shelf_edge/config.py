"""The node's configuration: one TOML file, checked whole before anything starts."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from shelf_contracts.errors import FileProblems, Problem, ProblemsInside, in_brief, raise_together
from shelf_contracts.files import read_model, read_text
from shelf_contracts.gallery import read_gallery
from shelf_contracts.ids import CameraId, NodeId, StoreId
from shelf_contracts.planogram import Planogram
from shelf_contracts.shipped import DEFAULT_RECOGNISER, model_folder
from shelf_edge.adapters.model_folder import check_is_signed
from shelf_edge.adapters.runtime import Execution, Policy, ProviderName
from shelf_edge.adapters.signatures import Trust
from shelf_edge.adapters.sources import source_problem
from shelf_edge.adapters.unknown_store import (
    LONGEST_RETENTION_H,
    MOST_PICTURES,
    UNKNOWN_FOLDER,
    KeepingLimits,
)
from shelf_edge.core.view_check import view_problems
from shelf_edge.tiled import Tiling
from shelf_mqtt.settings import BrokerSection

_ROOM = 260
"""Characters for what is wrong with a planogram, on the camera's status."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelSection(_Section):
    """The detector: a model folder or .onnx file; by default the shipped one."""

    path: Path | None = None
    score_threshold: Annotated[float, Field(gt=0.0, lt=1.0)] | None = None
    threads: Annotated[int, Field(ge=1, le=64)] = 1
    tiles: Tiling = "never"
    """auto: look again in tiles where products are smaller than about 12 px at the model's input; each costs a look."""
    provider: ProviderName = "cpu"
    """What to compute on."""
    policy: Policy = "prefer"
    """require: do not start without the provider; prefer: the CPU takes over, and it is said."""
    trusted_keys: list[Annotated[str, Field(pattern=r"^ed25519:[A-Za-z0-9+/]{43}=$")]] = []
    """Public keys whose models are trusted (``smartshelf models keys`` makes them)."""
    require_signature: bool = False
    """Refuse every model that none of them signed; models that come over the network always need a signature."""
    updates: bool = False
    """Take models that the collector offers."""
    trial_s: Annotated[float, Field(ge=1.0, le=86_400.0)] = 60.0
    """How long a new model must run without a failure; else the one before it comes back."""
    slowest_ms: Annotated[float, Field(gt=0.0, le=60_000.0)] = 2000.0
    """A new model whose looks take longer is rolled back."""

    @model_validator(mode="after")
    def _somebody_is_trusted(self) -> ModelSection:
        if (self.require_signature or self.updates) and not self.trusted_keys:
            raise ValueError("trusted_keys must name a public key when require_signature or updates is true")
        return self

    @property
    def execution(self) -> Execution:
        return Execution(self.provider, self.policy)

    @property
    def trust(self) -> Trust:
        return Trust(tuple(self.trusted_keys), self.require_signature)


class RecogniserSection(_Section):
    """Which products stand there, by sight; without this section the planogram is taken for granted."""

    model: Path | None = None
    """Model folder of the embedding network; by default the shipped one."""
    gallery: Path | None = None
    """Used until the collector offers one (``smartshelf models enrol`` makes it)."""
    threads: Annotated[int, Field(ge=1, le=64)] = 1
    updates: bool = True
    """Take the galleries that the collector offers."""
    crops_a_look: Annotated[int, Field(ge=1, le=64)] = 6
    """At most so many items of a frame are looked at; a sixth of it while somebody is at the shelf."""


class CameraSection(_Section):
    """One camera and the bay it sees. ``purpose`` is the reason for filming, in words (GDPR article 5 asks for it)."""

    id: CameraId
    source: str
    planogram: Path
    purpose: Annotated[str, Field(min_length=3, max_length=300)]

    @field_validator("source")
    @classmethod
    def _must_be_known(cls, source: str) -> str:
        problem = source_problem(source)
        if problem is not None:
            raise ValueError(problem)
        return source


class PreviewSection(_Section):
    """Demo only: the cameras' pictures with boxes drawn, on this computer's loopback and nowhere else."""

    port: Annotated[int, Field(ge=0, le=65535)]


class UnknownPicturesSection(_Section):
    """Whether a small picture of what nobody knows is kept here, for people who come to this node; never sent."""

    keep: bool = False
    """False: none is kept, and those of before are deleted at the start."""
    retention_h: Annotated[float, Field(gt=0.0, le=LONGEST_RETENTION_H)] = 24.0
    """A picture is deleted when it is this old, or earlier: as soon as the thing is known or gone."""
    most: Annotated[int, Field(ge=1, le=MOST_PICTURES)] = 50
    largest_mb: Annotated[float, Field(gt=0.0, le=100.0)] = 5.0
    """At either limit the oldest picture is deleted."""

    @property
    def limits(self) -> KeepingLimits:
        return KeepingLimits(self.retention_h * 3600, self.most, int(self.largest_mb * 2**20))


class OutboxSection(_Section):
    """How much may wait for the collector. At a bound: health, then replaced stock levels, then the oldest events."""

    largest_mb: Annotated[int, Field(ge=1, le=100_000)] = 256
    largest_age_h: Annotated[float, Field(gt=0.0, le=8760.0)] = 168.0


class EdgeConfig(_Section):
    """A node. Paths are relative to the file's folder."""

    store: StoreId
    node: NodeId
    state: Path = Path("state")
    broker: BrokerSection = BrokerSection()
    outbox: OutboxSection = OutboxSection()
    model: ModelSection = ModelSection()
    recogniser: RecogniserSection | None = None
    cameras: Annotated[list[CameraSection], Field(min_length=1, max_length=64)]
    preview: PreviewSection | None = None
    unknown_pictures: UnknownPicturesSection = UnknownPicturesSection()

    @model_validator(mode="after")
    def _only_a_recogniser_finds_unknowns(self) -> EdgeConfig:
        if self.unknown_pictures.keep and self.recogniser is None:
            allowed, remedy = "needs [recogniser], which says what is unknown", "add that section, or leave keep out"
            raise ProblemsInside([Problem("unknown_pictures.keep", "true", allowed, remedy)])
        return self

    @model_validator(mode="after")
    def _each_camera_once(self) -> EdgeConfig:
        first: dict[str, int] = {}
        wrong = []
        for i, camera in enumerate(self.cameras):
            if camera.id in first:
                allowed = f"must be used once, but cameras[{first[camera.id]}] has it too"
                wrong.append(Problem(f"cameras[{i}].id", repr(camera.id), allowed, "give it another"))
            first.setdefault(camera.id, i)
        if wrong:
            raise ProblemsInside(wrong)
        return self


@dataclass(frozen=True)
class CheckedCamera:
    """A camera whose planogram was read and knows it."""

    id: str
    source: str
    planogram: Planogram
    view: str


@dataclass(frozen=True)
class RefusedCamera:
    """A camera that cannot be used, because of its planogram; ``bay`` as far as it can be read.

    ``brief``: why, on one line that a camera's status has room for.
    """

    id: str
    bay: str
    why: str
    brief: str


@dataclass(frozen=True)
class CheckedConfig:
    """A configuration with everything it names read and checked; paths are absolute or relative to the caller."""

    config: EdgeConfig
    folder: Path
    state: Path
    model: Path
    cameras: tuple[CheckedCamera, ...]
    recogniser: Path | None = None
    """Model folder of the recogniser; None: there is none."""
    gallery: Path | None = None
    refused: tuple[RefusedCamera, ...] = ()
    """Cameras that a node starts without."""

    @property
    def unknown_pictures(self) -> Path:
        """Folder of the pictures of unknown things, where the shop allows them."""
        return self.state / UNKNOWN_FOLDER

    @property
    def models(self) -> Path:
        """Folder of the models that were promoted here."""
        return self.state / "models"


def check_config(path: Path, *, may_leave_out: bool = False) -> CheckedConfig:
    """Read the file and every file it names; models are asked for their signatures only, when they need one.

    Args:
        may_leave_out: a camera whose planogram cannot be used is ``refused`` while another one's can.
    Raises: FileProblems (SeveralFiles) with everything that is wrong.
    """
    checked, wrong = inspect_config(path, may_leave_out=may_leave_out)
    raise_together(wrong)
    return checked


def inspect_config(path: Path, *, may_leave_out: bool = False) -> tuple[CheckedConfig, list[FileProblems]]:
    """As ``check_config``: what can be used, and what is wrong with each file.

    Raises: FileProblems of the file itself, when it cannot be read.
    """
    config = read_model(path, EdgeConfig)
    folder = path.parent
    problems: list[Problem] = []
    cameras: list[CheckedCamera] = []
    refused: list[RefusedCamera] = []
    unusable: list[FileProblems] = []
    for index, camera in enumerate(config.cameras):
        try:
            planogram = _planogram_of(folder / camera.planogram, camera.id)
        except FileProblems as wrong:
            unusable.append(wrong)
            brief = in_brief(wrong.problems, _ROOM)
            refused.append(RefusedCamera(camera.id, _bay_in(folder / camera.planogram), str(wrong), brief))
            continue
        key = f"cameras[{index}].planogram"
        if planogram.store != config.store:
            problems.append(Problem(key, f"of store {planogram.store!r}", f"must be of store {config.store!r}"))
        views = [view.camera for view in planogram.views]
        if camera.id in views:
            cameras.append(CheckedCamera(camera.id, camera.source, planogram, camera.id))
        elif len(views) == 1:
            cameras.append(CheckedCamera(camera.id, camera.source, planogram, views[0]))
        else:
            remedy = "smartshelf edge calibrate gives it a view of this camera"
            found = f"views of {', '.join(views) or 'no camera'}"
            problems.append(Problem(key, found, f"must show {camera.id!r}", remedy))
    bays = [camera.planogram.bay for camera in cameras]
    problems += [
        Problem("cameras", f"bay {bay!r} twice", "must each see another bay")
        for bay in sorted({bay for bay in bays if bays.count(bay) > 1})
    ]
    wrong_files = [] if may_leave_out and cameras else unusable
    if problems:
        wrong_files = [FileProblems(path, problems), *wrong_files]
    model = folder / config.model.path if config.model.path is not None else model_folder()
    checked = CheckedConfig(config, folder, folder / config.state, model, tuple(cameras), refused=tuple(refused))
    # The configured model is the last resort after a rollback: it is refused now, not on the day it is needed.
    wrong_files += _unsigned(model, config.model.trust)
    section = config.recogniser
    if section is None:
        return checked, wrong_files
    recogniser = folder / section.model if section.model is not None else model_folder(DEFAULT_RECOGNISER)
    wrong_files += _unsigned(recogniser, config.model.trust)
    gallery = folder / section.gallery if section.gallery is not None else None
    if gallery is not None:
        wrong_files += _no_gallery(gallery)
    return replace(checked, recogniser=recogniser, gallery=gallery), wrong_files


def _unsigned(model: Path, trust: Trust) -> list[FileProblems]:
    try:
        check_is_signed(model, trust)
    except FileProblems as wrong:
        return [wrong]
    return []


def _no_gallery(file: Path) -> list[FileProblems]:
    try:
        if read_gallery(file).entries:
            return []
    except FileProblems as wrong:
        return [wrong]
    remedy = "enrol a product with smartshelf models enrol, or leave the key out: the collector offers one"
    return [FileProblems(file, [Problem("entries", "none", "must hold a product", remedy)])]


def _planogram_of(path: Path, camera: str) -> Planogram:
    """Raises: FileProblems, also when slots lie on one another in the camera's picture."""
    planogram = read_model(path, Planogram)
    seen = [view for view in planogram.views if view.camera == camera] or planogram.views[:1]
    wrong = [problem for view in seen for problem in view_problems(view)]
    if wrong:
        raise FileProblems(path, wrong)
    return planogram


def _bay_in(path: Path) -> str:
    """The bay that a planogram which cannot be used is of, when that much can be read."""
    try:
        told = json.loads(read_text(path)).get("bay", "")
    except (FileProblems, ValueError, AttributeError, RecursionError):
        return "unknown"
    return told if isinstance(told, str) and re.fullmatch(r"[a-z0-9][a-z0-9-]{0,31}", told) else "unknown"

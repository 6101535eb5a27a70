"""The manifest beside a model: what it is, what goes in, what comes out, and how to tell that it is the right one."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Kind = Literal["product", "hand", "person", "price-label", "gap", "ignore"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Preprocessing(_Part):
    """How a picture becomes the input tensor (1, 3, height, width), float32.

    ``scale`` multiplies the 0..255 values; ``padding`` is the grey value around the letterboxed picture.
    """

    width: Annotated[int, Field(ge=32, le=4096, multiple_of=32)]
    height: Annotated[int, Field(ge=32, le=4096, multiple_of=32)]
    colour_order: Literal["RGB", "BGR"] = "RGB"
    scale: Annotated[float, Field(gt=0.0, le=1.0)] = 1 / 255
    padding: Annotated[int, Field(ge=0, le=255)] = 114
    anchor: Literal["centre", "top-left"] = "centre"


class GoldenBox(_Part):
    """A box the model must find in the golden picture: label, and xyxy in shares of the picture."""

    label: str
    box: tuple[float, float, float, float]
    score: Annotated[float, Field(ge=0.0, le=1.0)]


class Golden(_Part):
    """The start-up self-test: this picture must give these boxes."""

    picture: str
    sha256: Sha256
    boxes: Annotated[list[GoldenBox], Field(min_length=1)]
    least_iou: Annotated[float, Field(gt=0.0, le=1.0)] = 0.9
    score_tolerance: Annotated[float, Field(gt=0.0, le=1.0)] = 0.1


class Training(_Part):
    """Where the weights come from: enough to make them again."""

    recipe: str
    data: str
    seed: int
    pictures: Annotated[int, Field(ge=0)]
    epochs: Annotated[int, Field(ge=0)]
    software: str


class Manifest(_Part):
    """``manifest.json`` of a model folder; file names are relative to it."""

    schema_name: Annotated[Literal["smartshelf.model.v1"], Field(alias="schema")]
    name: Annotated[str, Field(min_length=1, max_length=64)]
    version: Annotated[str, Field(min_length=1, max_length=32)]
    role: Literal["detector"] = "detector"
    file: str
    sha256: Sha256
    licence: Annotated[str, Field(min_length=1)]
    head: Literal["yolo", "yolo-end2end", "yolox"]
    preprocessing: Preprocessing
    labels: Annotated[list[str], Field(min_length=1)]
    kinds: dict[str, Kind]
    """What each label means to the shelf; a label that is not named here is ignored."""
    score_threshold: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.3
    iou_threshold: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.6
    trained_on: Training | None = None
    metrics: dict[str, float] = {}
    metrics_protocol: str = ""
    golden: Golden | None = None
    made_on: date | None = None

    @model_validator(mode="after")
    def _kinds_name_labels(self) -> Manifest:
        unknown = sorted(set(self.kinds) - set(self.labels))
        if unknown:
            raise ValueError(f"kinds names {', '.join(unknown)}, which labels does not hold")
        if "product" not in self.kinds.values():
            raise ValueError("kinds must say which label is a product")
        return self

"""The manifest beside a model: what it is, what goes in, what comes out, and how to tell that it is the right one."""

from __future__ import annotations

import json
import re
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Kind = Literal["product", "hand", "person", "price-label", "gap", "ignore"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Preprocessing(_Part):
    """How a picture becomes the input tensor (1, 3, height, width), float32.

    ``scale`` multiplies the 0..255 values; ``padding`` is the grey value around the letterboxed picture. With ``fit``
    "picture" the graph takes any size in multiples of 32, and each picture gets an input of its own shape with about
    width x height pixels: an upright photo is not squeezed into an input made for a wide one.
    """

    width: Annotated[int, Field(ge=32, le=4096, multiple_of=32)]
    height: Annotated[int, Field(ge=32, le=4096, multiple_of=32)]
    colour_order: Literal["RGB", "BGR"] = "RGB"
    scale: Annotated[float, Field(gt=0.0, le=1.0)] = 1 / 255
    padding: Annotated[int, Field(ge=0, le=255)] = 114
    anchor: Literal["centre", "top-left"] = "centre"
    fit: Literal["fixed", "picture"] = "fixed"


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


class GoldenEmbedding(_Part):
    """The start-up self-test of a recogniser: this picture must lie where it lay."""

    picture: str
    sha256: Sha256
    vector: Annotated[list[Annotated[float, Field(ge=-1.0, le=1.0)]], Field(min_length=8, max_length=2048)]
    least_cosine: Annotated[float, Field(gt=0.5, le=1.0)] = 0.99


class EmbeddingSpec(_Part):
    """What a recogniser gives, and what its cosines mean (``shelf_edge.core.recognition.Calibration``).

    ``none_cosine`` is the cosine at which a picture is as likely none of the enrolled products; chances change with
    ``temperature``. Both were measured with products that the model never saw.
    """

    dimension: Annotated[int, Field(ge=8, le=2048)]
    temperature: Annotated[float, Field(gt=0.0, le=1.0)] = 0.06
    none_cosine: Annotated[float, Field(ge=-1.0, le=1.0)] = 0.55
    least_known: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.5
    least_share: Annotated[float, Field(ge=0.5, lt=1.0)] = 0.6
    golden: GoldenEmbedding | None = None

    @model_validator(mode="after")
    def _golden_has_the_dimension(self) -> EmbeddingSpec:
        if self.golden is not None and len(self.golden.vector) != self.dimension:
            raise ValueError(f"golden.vector has {len(self.golden.vector)} numbers, dimension says {self.dimension}")
        return self


class Training(_Part):
    """Where the weights come from: enough to make them again."""

    recipe: str
    data: str
    seed: int
    pictures: Annotated[int, Field(ge=0)]
    epochs: Annotated[int, Field(ge=0)]
    software: str


class Signature(_Part):
    """Who vouches for the folder: Ed25519 over the manifest without this part (``signed_content``), in base64.

    The manifest holds the hashes of all other files, so the signature covers the whole folder.
    """

    key: Annotated[str, Field(pattern=r"^ed25519:[A-Za-z0-9+/]{43}=$")]
    value: Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]{86}==$")]


class Manifest(_Part):
    """``manifest.json`` of a model folder; file names are relative to it."""

    schema_name: Annotated[Literal["smartshelf.model.v1"], Field(alias="schema")]
    name: Annotated[str, Field(min_length=1, max_length=64)]
    version: Annotated[str, Field(min_length=1, max_length=32)]
    role: Literal["detector", "recogniser"] = "detector"
    file: str
    sha256: Sha256
    licence: Annotated[str, Field(min_length=1)]
    """Of the weights, as an SPDX identifier where there is one."""
    data_licence: str = ""
    """Of what they were trained on."""
    head: Literal["yolo", "yolo-end2end", "yolox", "embedding"]
    preprocessing: Preprocessing
    labels: list[str] = []
    kinds: dict[str, Kind] = {}
    """What each label means to the shelf; a label that is not named here is ignored."""
    embedding: EmbeddingSpec | None = None
    """Of a recogniser, which has no labels: its products are in a gallery."""
    score_threshold: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.3
    iou_threshold: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.6
    part_weight: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    """By how much the score of a product that lies inside another is multiplied; 1: not at all."""
    trained_on: Training | None = None
    metrics: dict[str, float] = {}
    metrics_protocol: str = ""
    golden: Golden | None = None
    more_golden: Annotated[list[Golden], Field(max_length=20)] = []
    notes: dict[str, str] = {}
    """For the card: use, limits, and what else a user should know, by heading."""
    made_on: date | None = None
    signature: Signature | None = None

    @model_validator(mode="after")
    def _keeps_its_role(self) -> Manifest:
        is_recogniser = self.role == "recogniser"
        if is_recogniser != (self.head == "embedding") or is_recogniser != (self.embedding is not None):
            raise ValueError('a recogniser has role "recogniser", head "embedding" and the part embedding; others none')
        if is_recogniser and (self.labels or self.kinds or self.golden or self.more_golden):
            raise ValueError("a recogniser has no labels, kinds or golden boxes: its golden picture is in embedding")
        return self

    @model_validator(mode="after")
    def _kinds_name_labels(self) -> Manifest:
        unknown = sorted(set(self.kinds) - set(self.labels))
        if unknown:
            raise ValueError(f"kinds names {', '.join(unknown)}, which labels does not hold")
        if self.role == "detector" and not self.labels:
            raise ValueError("labels must name at least one thing the detector finds")
        if self.role == "detector" and "product" not in self.kinds.values():
            raise ValueError("kinds must say which label is a product")
        for name in self.file_names:
            if not _FILE_NAME.fullmatch(name):
                raise ValueError(f"{name!r} must be the name of a file in the same folder")
        return self

    @property
    def golden_pictures(self) -> list[Golden]:
        """All of them."""
        return ([self.golden] if self.golden is not None else []) + self.more_golden

    @property
    def file_names(self) -> list[str]:
        """The files beside the manifest that belong to the model."""
        pictures = [golden.picture for golden in self.golden_pictures]
        if self.embedding is not None and self.embedding.golden is not None:
            pictures.append(self.embedding.golden.picture)
        return list(dict.fromkeys([self.file, *pictures]))


_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_. +-]{0,99}")


def signed_content(manifest: dict[str, Any]) -> bytes:
    """What a signature signs: the manifest as it was read, without ``signature``, as JSON with sorted keys.

    >>> signed_content({"b": 1, "a": "é", "signature": {}})
    b'{"a":"\\u00e9","b":1}'
    """
    content = {key: value for key, value in manifest.items() if key != "signature"}
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def version_key(version: str) -> list[tuple[int, int, str]]:
    """Sorts versions: numbers by value, a word (rc, beta) before the version without it.

    >>> sorted(["1.10", "1.9", "1.9-rc1", "2026.11.22", "1.9.1"], key=version_key)
    ['1.9-rc1', '1.9', '1.9.1', '1.10', '2026.11.22']
    """
    parts = re.findall(r"\d{1,18}|[a-z]+", version.lower())
    return [(2, int(part), "") if part.isdigit() else (0, 0, part) for part in parts] + [(1, 0, "")]

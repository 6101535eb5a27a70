"""Staff enrol products: photos wait in memory until they are saved as embeddings, and are forgotten after that.

No photo is written to disk. What the unknown items of the shelves look like is not known here: nodes tell where and
how often, and staff photograph what they find there.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import threading
import uuid
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shelf_collector.adapters.accounts import Accounts
from shelf_collector.adapters.vision_worker import Crop, Look, PhotoProblem, VisionWorker, Warned
from shelf_collector.core.access import Principal
from shelf_collector.core.logbook import Action, Deed
from shelf_collector.galleries import Galleries, Note
from shelf_collector.ports import Clock
from shelf_contracts.errors import Problem
from shelf_contracts.gallery import Gallery, GalleryEntry, GalleryRefused, Reference
from shelf_contracts.messages import SeenProduct

Box = tuple[float, float, float, float]

_WHOLE: Box = (0.0, 0.0, 1.0, 1.0)
_MOST_PHOTOS = 40
_MOST_BYTES = 160 * 1024 * 1024
_LASTS = timedelta(minutes=15)
MOST_PHOTOS_AT_ONCE = 12


class PhotoGone(Exception):
    """A photo waited for too long, or others came in its place: take it again."""


@dataclass(frozen=True)
class Chosen:
    """A photo and what of it is the product."""

    photo: str
    box: Box


@dataclass
class _Waiting:
    owner: str
    called: str
    raw: bytes
    look: Look
    at: datetime
    crops: dict[tuple[Box, str, str], Crop] = field(default_factory=dict)


@dataclass(frozen=True)
class LookAlike:
    """Another product that looks alike, and which of the photos (its place among them) looks most like it."""

    gtin: str
    similarity: float
    photo: int


@dataclass(frozen=True)
class Checked:
    """What is to be known before saving: ``warnings`` of each photo, and of all of them together."""

    warnings: list[list[Warned]]
    look_alikes: list[LookAlike]


class Enrolling:
    """Any thread may call; the photos of one person are not seen by another."""

    def __init__(self, galleries: Galleries, worker: VisionWorker, accounts: Accounts, clock: Clock) -> None:
        self.galleries = galleries
        self.worker = worker
        self._accounts = accounts
        self._clock = clock
        self._lock = threading.Lock()
        self._photos: OrderedDict[str, _Waiting] = OrderedDict()

    def start(self) -> None:
        self.galleries.start()

    def stop(self) -> None:
        self.galleries.stop()
        self.worker.stop()

    def take(self, who: Principal, raw: bytes, called: str = "") -> tuple[str, Look]:
        """Look at a photo, and keep it in memory for a quarter of an hour.

        Args:
            called: the file's name, for what is said of it; empty: it has none.
        Raises: VisionProblem.
        """
        look = self.worker.look(called or "photo", raw)
        name = secrets.token_hex(12)
        with self._lock:
            self._forget_old()
            self._photos[name] = _Waiting(_owner(who), called, raw, look, self._clock.now())
            while len(self._photos) > _MOST_PHOTOS or sum(len(one.raw) for one in self._photos.values()) > _MOST_BYTES:
                self._photos.popitem(last=False)
        return name, look

    def check(self, who: Principal, gtin: str, chosen: Sequence[Chosen]) -> Checked:
        """What staff should know before they save. Raises: VisionProblem, PhotoGone."""
        crops = [self._crop(who, one, gtin, place) for place, one in enumerate(chosen, start=1)]
        nearest: dict[str, LookAlike] = {}
        for photo, crop in enumerate(crops):
            for one in crop.warnings:
                before = nearest.get(one.gtin)
                if one.kind == "look-alike" and (before is None or one.similarity > before.similarity):
                    nearest[one.gtin] = LookAlike(one.gtin, one.similarity, photo)
        return Checked(
            [self._own_warnings(crop, gtin) for crop in crops],
            sorted(nearest.values(), key=lambda one: -one.similarity)[:3],
        )

    def enrol(self, who: Principal, origin: str, gtin: str, kind: str, chosen: Sequence[Chosen]) -> tuple[str, Gallery]:
        """Save; the enrolment's name and the gallery after it. All photos or none.

        Raises: VisionProblem, PhotoGone, GalleryRefused, FileProblems.
        """
        embedder, dimension = self.worker.describe()
        crops = [self._crop(who, one, gtin, place) for place, one in enumerate(chosen, start=1)]
        enrolment, now = f"e-{uuid.uuid4().hex[:12]}", self._clock.now()
        by = who.name[:64]
        references = [
            Reference(
                GalleryEntry(gtin=gtin, photo_sha256=crop.sha256, enrolment=enrolment, at=now, by=by, kind=kind),
                crop.vector,
            )
            for crop in crops
        ]
        note = self._noted("gallery.enrolled", who, origin, f"product:{gtin}", len(references), enrolment)
        gallery = self.galleries.add(embedder, dimension, references, note)
        for reference, crop in zip(references, crops, strict=True):
            self.galleries.keep_thumbnail(reference.entry, crop.thumbnail)
        with self._lock:
            for one in chosen:
                self._photos.pop(one.photo, None)
        return enrolment, gallery

    def enrol_seen(self, who: Principal, origin: str, gtin: str, kind: str, seen: SeenProduct) -> tuple[str, Gallery]:
        """Say what an unknown thing on the shelf is: what the camera saw of it becomes a reference, without a photo.

        Raises: GalleryRefused when it was told by a model other than the gallery's, or not as it should be.
        """
        gallery = self.galleries.present
        embedder, dimension = (gallery.embedder, gallery.dimension) if gallery else self.worker.describe()
        offered = self.galleries.offered
        if gallery is not None and gallery.entries and (offered is None or seen.gallery != offered.revision[:12]):
            remedy = "wait for a moment until the node has the present gallery, then try again"
            raise GalleryRefused([Problem("gallery", seen.gallery, "is not the one that is offered", remedy)])
        try:
            vector = base64.b64decode(seen.embedding, validate=True)
        except ValueError as error:
            raise GalleryRefused([Problem("embedding", "cannot be read", str(error))]) from error
        if not vector:
            raise GalleryRefused([Problem("embedding", "none", "this node tells none", "photograph it")])
        enrolment, now = f"e-{uuid.uuid4().hex[:12]}", self._clock.now()
        mark = hashlib.sha256(vector).hexdigest()
        entry = GalleryEntry(gtin=gtin, photo_sha256=mark, enrolment=enrolment, at=now, by=who.name[:64], kind=kind)
        note = self._noted("gallery.enrolled", who, origin, f"product:{gtin}", 0, enrolment)
        return enrolment, self.galleries.add(embedder, dimension, [Reference(entry, vector)], note)

    def undo(self, who: Principal, origin: str, enrolment: str) -> Gallery:
        """Take an enrolment back. Raises: GalleryRefused, FileProblems."""
        note = self._noted("gallery.undone", who, origin, f"enrolment:{enrolment}")
        return self.galleries.undo(enrolment, note)

    def remove(self, who: Principal, origin: str, gtin: str) -> Gallery:
        """Forget a product. Raises: GalleryRefused, FileProblems."""
        return self.galleries.remove(gtin, self._noted("gallery.removed", who, origin, f"product:{gtin}"))

    def set_kind(self, who: Principal, origin: str, gtin: str, kind: str) -> Gallery:
        """Say of what kind a product is. Raises: GalleryRefused, FileProblems."""
        return self.galleries.set_kind(gtin, kind, self._noted("gallery.kind", who, origin, f"product:{gtin}"))

    def _crop(self, who: Principal, chosen: Chosen, gtin: str, place: int) -> Crop:
        """Raises: PhotoGone; PhotoProblem, so too when nobody said what of a photo without a product is one."""
        gallery = self.galleries.present
        mark = gallery.revision if gallery is not None else ""
        with self._lock:
            self._forget_old()
            waiting = self._photos.get(chosen.photo)
        if waiting is None or waiting.owner != _owner(who):
            raise PhotoGone
        called = waiting.called or f"photo {place}"
        if chosen.box == _WHOLE and any(one.kind == "no-product" for one in waiting.look.warnings):
            remedy = "draw the crop around it by hand, or come closer, before a plain ground, and take it again"
            raise PhotoProblem(f"{called}: no product was found in it: {remedy}")
        key = chosen.box, gtin, mark
        if key not in waiting.crops:
            file = self.galleries.file if gallery is not None else None
            waiting.crops[key] = self.worker.embed(called, waiting.raw, chosen.box, gtin, file, mark)
        return waiting.crops[key]

    def _own_warnings(self, crop: Crop, gtin: str) -> list[Warned]:
        found = [one for one in crop.warnings if one.kind != "look-alike"]
        gallery = self.galleries.present
        entries = gallery.entries if gallery is not None else ()
        known = next((entry for entry in entries if entry.photo_sha256 == crop.sha256), None)
        if known is not None:
            kind = "enrolled" if known.gtin == gtin else "other-product"
            found.append(Warned(kind=kind, text=f"is enrolled as {known.gtin}", gtin=known.gtin))
        return found

    def _forget_old(self) -> None:
        """Called with the lock held."""
        oldest = self._clock.now() - _LASTS
        while self._photos and next(iter(self._photos.values())).at < oldest:
            self._photos.popitem(last=False)

    def _noted(
        self, action: Action, who: Principal, origin: str, subject: str, photos: int | None = None, enrolment: str = ""
    ) -> Note:
        """Writes the log's row of a change, once its revision is known."""

        def note(revision: str) -> None:
            detail: dict[str, str | int | float | bool | None] = {"revision": revision}
            if photos is not None:
                detail |= {"photos": photos, "enrolment": enrolment}
            self._accounts.note([Deed(action, _actor(who), origin, subject, detail)], self._clock.now())

        return note


def _owner(who: Principal) -> str:
    return f"{who.kind}:{who.session or who.name}"


def _actor(who: Principal) -> str:
    return f"{who.kind}:{who.name}"

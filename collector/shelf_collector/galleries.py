"""The shop's gallery: changed by staff or the command line, kept on disk, offered to every node.

Nodes get it without names, from an address that holds its hash. What was enrolled in a file by the command line is
noticed within a second or two: who may write into the state folder may change what the shop recognises.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from shelf_collector.ports import Bus, Clock
from shelf_contracts import topics
from shelf_contracts.envelope import encode
from shelf_contracts.errors import ContractError, DiskRefused, Problem
from shelf_contracts.gallery import (
    Embedder,
    Gallery,
    GalleryEntry,
    GalleryRefused,
    Reference,
    added,
    encode_gallery,
    read_gallery,
    refuse_empty,
    removed,
    thumbnail_file,
    undone,
    with_kind,
    without_names,
    write_gallery,
    write_whole,
)
from shelf_contracts.gallery_lock import held
from shelf_contracts.messages import GalleryOffer

log = logging.getLogger(__name__)

FILE_NAME = "shop.gallery"
ADDRESS = "galleries"
_TICK_S = 1.0
Note = Callable[[str], None]
"""Writes a change of the gallery into the log, given the beginning of the new revision."""
_LARGEST_THUMBNAIL_BYTES = 64 * 1024


@dataclass(frozen=True)
class Published:
    """What nodes are offered: the file without names, and what it is called."""

    revision: str
    content: bytes


class Galleries:
    """The one gallery of the store.

    Args:
        folder: holds ``shop.gallery`` and, where the shop allows it, ``thumbnails``.
        url: where nodes reach the collector, without a closing slash.
        keeps_thumbnails: whether small pictures of what was enrolled are kept, for the page.
        model: the recogniser in use and how many numbers it gives: a gallery of another one is not offered. None: it
            is not installed here, and nodes must tell by themselves.
    """

    def __init__(
        self,
        folder: Path,
        url: str,
        bus: Bus,
        clock: Clock,
        store: str,
        *,
        keeps_thumbnails: bool = False,
        model: tuple[Embedder, int] | None = None,
    ) -> None:
        self.problem = ""
        """Why the file on disk is not what nodes are offered; empty when it is."""
        self.keeps_thumbnails = keeps_thumbnails
        self._folder = folder
        self._file = folder / FILE_NAME
        self._url = url
        self._model = model
        self._bus = bus
        self._clock = clock
        self._store = store
        self._lock = threading.RLock()
        self._present: Gallery | None = None
        self._published: list[Published] = []
        self._seen: tuple[int, int, int] | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gallery", daemon=True)

    @property
    def present(self) -> Gallery | None:
        """As it is on disk, with names; None before the first enrolment."""
        with self._lock:
            return self._present

    @property
    def file(self) -> Path:
        """Where it is."""
        return self._file

    @property
    def offered(self) -> Published | None:
        """What nodes should run."""
        with self._lock:
            return self._published[-1] if self._published else None

    def content(self, revision: str) -> bytes | None:
        """A file that nodes may fetch: the one offered, or the one before."""
        with self._lock:
            return next((one.content for one in self._published if one.revision == revision), None)

    def start(self) -> None:
        self.look()
        self._thread.start()

    def stop(self, timeout_s: float = 1.0) -> None:
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._stop.wait(_TICK_S):
            try:
                self.look()
            except Exception:
                log.exception("the gallery could not be looked at; trying again")

    def look(self) -> None:
        """Read the file when it is another than the one seen last. Called by the thread; by tests in its place."""
        with self._lock:
            mark = _mark_of(self._file)
            if mark == self._seen:
                return
            self._seen = mark
            if mark is None:
                self.problem = f"{self._file}: is gone; nodes keep the gallery they have: put a copy of it back"
                log.error("%s", self.problem)
                return
            try:
                self._take(read_gallery(self._file, *(self._model or ())))
            except ContractError as error:
                self.problem = str(error).splitlines()[0]
                log.error("nodes keep the gallery they have: %s", error)

    def add(self, embedder: Embedder, dimension: int, references: Sequence[Reference], note: Note) -> Gallery:
        """Enrol; the first enrolment makes the file.

        Args:
            note: writes the change into the log, given the revision that nodes will be offered: both are done or
                neither. So too for ``undo`` and ``remove``.
        Raises: GalleryRefused, FileProblems when the gallery is of another model, cannot be read or written; it stays
            as it is. What ``note`` raises.
        """

        def change(gallery: Gallery | None) -> Gallery:
            return added(gallery if gallery is not None else Gallery(embedder, dimension), references)

        return self._change(change, note, (embedder, dimension))

    def undo(self, enrolment: str, note: Note) -> Gallery:
        """Take an enrolment back. Raises: GalleryRefused when it is not there."""
        return self._change(lambda gallery: undone(_must_be(gallery), enrolment), note)

    def remove(self, gtin: str, note: Note) -> Gallery:
        """Forget a product. Raises: GalleryRefused when it is not there."""
        return self._change(lambda gallery: removed(_must_be(gallery), gtin), note)

    def set_kind(self, gtin: str, kind: str, note: Note) -> Gallery:
        """Say what a product is when the very product is not sure. Raises: GalleryRefused when it is not there."""
        return self._change(lambda gallery: with_kind(_must_be(gallery), gtin, kind), note)

    def _change(
        self, change: Callable[[Gallery | None], Gallery], note: Note, model: tuple[Embedder, int] | None = None
    ) -> Gallery:
        with self._lock, held(self._file):
            gallery = change(read_gallery(self._file, *(model or self._model or ())) if self._file.exists() else None)
            write_gallery(self._file, gallery, lambda: note(without_names(gallery).revision[:12]))
            self._seen = _mark_of(self._file)
            self._take(gallery)
            self._forget_thumbnails(gallery)
            return gallery

    def _take(self, gallery: Gallery) -> None:
        """Offered, unless nothing is in it: nodes then keep the last one, whoever emptied it."""
        self.problem = ""
        self._present = gallery
        try:
            refuse_empty(gallery, self._file)
        except ContractError as error:
            self.problem = str(error)
            log.warning("nodes keep the gallery they have: %s", error)
            return
        plain = without_names(gallery)
        if self._published and self._published[-1].revision == plain.revision:
            return
        self._published = [*self._published[-1:], Published(plain.revision, encode_gallery(plain))]
        self._offer(plain)

    def _offer(self, gallery: Gallery) -> None:
        offer = GalleryOffer(
            revision=gallery.revision,
            size_bytes=len(self._published[-1].content),
            products=len(gallery.gtins),
            photos=len(gallery.entries),
            model_name=gallery.embedder.name,
            model_version=gallery.embedder.version,
            model_sha256=gallery.embedder.sha256,
            at=self._clock.now(),
            url=f"{self._url}/{ADDRESS}/{gallery.revision}",
        )
        log.info("gallery %s: %d products offered to the nodes", gallery.revision[:12], offer.products)
        self._bus.post(topics.build("gallery_offer", store=self._store), encode(offer))

    # -- small pictures of what was enrolled, where the shop allows it -----------------------------------------------

    def keep_thumbnail(self, entry: GalleryEntry, jpeg: bytes) -> None:
        """A small picture of the product, and of nothing else; dropped when the shop keeps none or the disk is full."""
        if self.keeps_thumbnails and 0 < len(jpeg) <= _LARGEST_THUMBNAIL_BYTES:
            try:
                write_whole(self._thumbnail(entry), jpeg)
            except DiskRefused as refused:  # the product is enrolled all the same
                log.warning("no small picture is kept: %s", refused)

    def thumbnail(self, photo_sha256: str) -> bytes | None:
        """The small picture of an enrolled photo."""
        gallery = self.present
        entries = gallery.entries if gallery is not None and self.keeps_thumbnails else ()
        entry = next((entry for entry in entries if entry.photo_sha256 == photo_sha256), None)
        path = self._thumbnail(entry) if entry is not None else None
        return path.read_bytes() if path is not None and path.is_file() else None

    def thumbnails(self) -> frozenset[str]:
        """Of which photos a small picture is kept; the command line keeps none."""
        if not self.keeps_thumbnails:
            return frozenset()
        return frozenset(path.stem for path in (self._folder / "thumbnails").glob("*.jpg"))

    def _thumbnail(self, entry: GalleryEntry) -> Path:
        return thumbnail_file(self._folder, entry.photo_sha256)

    def _forget_thumbnails(self, gallery: Gallery) -> None:
        """Those of photos that are in no gallery any more, and all when the shop keeps none."""
        kept = {entry.photo_sha256 for entry in gallery.entries} if self.keeps_thumbnails else set()
        for path in (self._folder / "thumbnails").glob("*.jpg"):
            if path.stem not in kept:
                path.unlink(missing_ok=True)


def _must_be(gallery: Gallery | None) -> Gallery:
    if gallery is None:
        raise GalleryRefused([Problem("gallery", "none", "nothing was enrolled yet")])
    return gallery


def _mark_of(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size

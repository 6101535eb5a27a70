"""The gallery of a simulated store: all it sells, enrolled from the simulator's own pictures of its packs."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
import threading
from datetime import UTC, datetime
from pathlib import Path

from shelf_contracts.gallery import Embedder as EmbedderId
from shelf_contracts.gallery import Gallery, GalleryEntry, Reference, added, read_gallery, write_gallery
from shelf_edge.adapters.pictures import read_picture
from shelf_edge.adapters.rendered import Stopped, Take, fingerprint, refuse_failure, waiting_for
from shelf_edge.core.frame import Picture
from shelf_edge.ports import Embedder

_CODE_FROM = ("adapters/pack_pictures.py", "assortment.py")
_LONGEST_S = 300.0
_ENROLLED_AT = datetime(2026, 11, 22, tzinfo=UTC)
"""A fixed moment, so that the same store gives the same revision."""
_BATCH = 64


def store_gallery(take: Take, cache: Path, embedder: Embedder, mark: str, stop: threading.Event) -> Gallery:
    """The gallery of the take's store, from the cache or made now.

    Args:
        embedder: asked only when the gallery must be made.
        mark: of everything that decides what it says of a picture.
    Raises: Stopped; FileProblems when the simulator refuses or fails.
    """
    pictures = _reference_pictures(take, cache, stop)
    file = pictures / f"store-{mark}.gallery"
    if not file.is_file():
        write_gallery(file, _enrolled(pictures, embedder, stop, take))
    return read_gallery(file)


def _reference_pictures(take: Take, cache: Path, stop: threading.Event) -> Path:
    store = f"references-{Path(take.scenario).stem}-{take.split}-{take.number}"
    folder = cache / f"{store}-{fingerprint(take.scenario, _CODE_FROM)}"
    if folder.is_dir():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=".references-", dir=cache))
    try:
        command = [
            sys.executable, "-m", "shelf_simulator", "references", "--out", str(part), "--scenario", take.scenario,
            "--split", take.split, "--number", str(take.number),
        ]  # fmt: skip
        log = part / "simulator.log"
        with log.open("wb") as told:
            child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=told, stderr=subprocess.STDOUT)
            for _ in waiting_for(child, stop, _LONGEST_S, take):
                pass
        refuse_failure(child, take, log)
        log.unlink()
        if not folder.exists():  # somebody else may have made the same meanwhile
            part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder


def _enrolled(pictures: Path, embedder: Embedder, stop: threading.Event, take: Take) -> Gallery:
    info = embedder.info
    gallery = Gallery(EmbedderId(name=info.name, version=info.version, sha256=info.sha256), embedder.dimension)
    paths = sorted(pictures.glob("*/*.png"))
    references: list[Reference] = []
    for start in range(0, len(paths), _BATCH):
        if stop.is_set():
            raise Stopped(take.name)
        batch = paths[start : start + _BATCH]
        views: list[Picture] = [read_picture(path) for path in batch]
        for path, vector in zip(batch, embedder.embed(views).astype("<f2"), strict=True):
            photo = hashlib.sha256(path.read_bytes() + path.parent.name.encode()).hexdigest()
            entry = GalleryEntry(gtin=path.parent.name, photo_sha256=photo, enrolment="store", at=_ENROLLED_AT)
            references.append(Reference(entry, vector.tobytes()))
    return added(gallery, references)

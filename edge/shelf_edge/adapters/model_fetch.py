"""A model, a gallery or a planogram over HTTP: what the offer's hash leads to, never more than it says or for ever."""

from __future__ import annotations

import hashlib
import http.client
import shutil
import ssl
import time
import urllib.parse
from collections.abc import Callable
from pathlib import Path

from shelf_contracts.errors import FileProblems, Problem
from shelf_contracts.files import read_model
from shelf_contracts.gallery import LARGEST_GALLERY_BYTES
from shelf_contracts.manifest import Manifest
from shelf_contracts.messages import GalleryOffer, ModelOffer, PlanogramOffer
from shelf_edge.adapters.model_folder import MANIFEST_NAME
from shelf_edge.adapters.model_store import LARGEST_MODEL_BYTES

_LARGEST_MANIFEST_BYTES = 1 << 20
_BLOCK_BYTES = 1 << 18
_SILENCE_S = 10.0
_DEADLINE_S = 1800.0
_SMALL_DEADLINE_S = 120.0
LARGEST_PLANOGRAM_BYTES = 4 << 20


def fetch_model(
    offer: ModelOffer,
    folder: Path,
    is_stopping: Callable[[], bool],
    *,
    make_tls: Callable[[], ssl.SSLContext | None] = lambda: None,
) -> Path:
    """Download into a fresh ``folder``; redirects are not followed.

    Args:
        is_stopping: asked between blocks.
        make_tls: whom to trust for https; None: the authorities of the system.
    Raises: FileProblems naming the address and what is wrong; the folder is gone then.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    deadline_s = time.monotonic() + _DEADLINE_S
    left = min(offer.size_bytes, LARGEST_MODEL_BYTES)
    tls = make_tls() or ssl.create_default_context()

    def get(name: str, sha256: str, largest: int) -> int:
        return _download(offer.url, name, folder / name, sha256, largest, lambda: is_stopping() or late(), tls)

    def late() -> bool:
        return time.monotonic() > deadline_s

    try:
        get(MANIFEST_NAME, offer.manifest_sha256, _LARGEST_MANIFEST_BYTES)
        manifest = read_model(folder / MANIFEST_NAME, Manifest)
        if manifest.role != "detector":
            remedy = "name it in the node's [recogniser] model: recognisers are not rolled out"
            raise FileProblems(folder / MANIFEST_NAME, [Problem("role", manifest.role, "must be detector", remedy)])
        hashes = {golden.picture: golden.sha256 for golden in manifest.golden_pictures}
        hashes[manifest.file] = manifest.sha256
        for name in manifest.file_names:
            left -= get(name, hashes[name], left)
    except FileProblems:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder


def fetch_gallery(
    offer: GalleryOffer,
    file: Path,
    is_stopping: Callable[[], bool],
    *,
    make_tls: Callable[[], ssl.SSLContext | None] = lambda: None,
) -> None:
    """Download into ``file``, whole and with the offered hash, or not at all; redirects are not followed.

    Raises: FileProblems naming the address and what is wrong.
    """
    largest = min(offer.size_bytes, LARGEST_GALLERY_BYTES)
    _fetch_one(offer.url, offer.revision, largest, file, is_stopping, make_tls)


def fetch_planogram(
    offer: PlanogramOffer,
    file: Path,
    is_stopping: Callable[[], bool],
    *,
    make_tls: Callable[[], ssl.SSLContext | None] = lambda: None,
) -> None:
    """The same for a planogram. Raises: FileProblems naming the address and what is wrong."""
    largest = min(offer.size_bytes, LARGEST_PLANOGRAM_BYTES)
    _fetch_one(offer.url, offer.sha256, largest, file, is_stopping, make_tls)


def _fetch_one(
    from_url: str,
    sha256: str,
    largest: int,
    file: Path,
    is_stopping: Callable[[], bool],
    make_tls: Callable[[], ssl.SSLContext | None],
) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    deadline_s = time.monotonic() + _SMALL_DEADLINE_S

    def is_over() -> bool:
        return is_stopping() or time.monotonic() > deadline_s

    base, _, name = from_url.rpartition("/")
    part = file.with_name(f"{file.name}.part")
    tls = make_tls() or ssl.create_default_context()
    try:
        _download(base, name, part, sha256, largest, is_over, tls)
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)


def _download(
    base: str,
    name: str,
    into: Path,
    sha256: str,
    largest: int,
    is_over: Callable[[], bool],
    tls: ssl.SSLContext,
) -> int:
    """One file; its size. Raises: FileProblems."""
    url = urllib.parse.urlsplit(f"{base}/{urllib.parse.quote(name)}")
    address = Path(url.geturl().replace("://", ":/", 1))
    digest, size = hashlib.sha256(), 0
    try:
        connection: http.client.HTTPConnection
        if url.scheme == "https":
            connection = http.client.HTTPSConnection(url.hostname or "", url.port, timeout=_SILENCE_S, context=tls)
        else:
            connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=_SILENCE_S)
        try:
            connection.request("GET", url.path, headers={"Accept-Encoding": "identity"})
            response = connection.getresponse()
            if response.status != http.client.OK:
                raise FileProblems(address, [Problem("status", str(response.status), "must be 200")])
            with into.open("wb") as file:
                while block := response.read(_BLOCK_BYTES):
                    size += len(block)
                    if size > largest:
                        raise FileProblems(address, [Problem("size", f"over {largest} bytes", "is more than offered")])
                    if is_over():
                        raise FileProblems(address, [Problem("", "stopped", "was not fetched in time")])
                    digest.update(block)
                    file.write(block)
        finally:
            connection.close()
    except (OSError, http.client.HTTPException, ValueError) as error:
        if isinstance(error, FileProblems):
            raise
        raise FileProblems(address, [Problem("", f"{type(error).__name__}: {error}", "must be there")]) from error
    if digest.hexdigest() != sha256:
        raise FileProblems(address, [Problem("sha256", digest.hexdigest(), f"must be {sha256}, as offered")])
    return size

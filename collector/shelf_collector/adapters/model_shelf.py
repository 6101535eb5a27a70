"""The models the collector can offer: folders on its disk, of which only the files a manifest names are given out."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from shelf_contracts.errors import FileProblems, Problem
from shelf_contracts.files import read_model
from shelf_contracts.manifest import Manifest
from shelf_contracts.messages import ModelOffer

MANIFEST_NAME = "manifest.json"
LARGEST_MODEL_BYTES = 512 * 1024 * 1024
_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class ModelShelf:
    """Attributes:
    folder: holds model folders.
    url: where nodes reach the collector, without a closing slash.
    """

    folder: Path
    url: str

    def names(self) -> list[str]:
        """The model folders there are."""
        return sorted(path.parent.name for path in self.folder.glob(f"*/{MANIFEST_NAME}"))

    def offer(self, name: str) -> ModelOffer:
        """A model as it is offered. Raises: FileProblems when it is not there, not whole, not signed, or too large."""
        folder = self._folder(name)
        manifest = read_model(folder / MANIFEST_NAME, Manifest)
        problems = []
        hashes = {golden.picture: golden.sha256 for golden in manifest.golden_pictures} | {
            manifest.file: manifest.sha256
        }
        size = (folder / MANIFEST_NAME).stat().st_size
        for file, wanted in hashes.items():
            path = folder / file
            found = _sha256(path) if path.is_file() else "missing"
            size += path.stat().st_size if path.is_file() else 0
            if found != wanted:
                problems.append(Problem(f"{file}: sha256", found, f"must be {wanted}"))
        if manifest.signature is None:
            problems.append(Problem("signature", "missing", "nodes take signed models only", "smartshelf models sign"))
        if size > LARGEST_MODEL_BYTES:
            problems.append(Problem("", f"{size} bytes", f"must be at most {LARGEST_MODEL_BYTES} bytes"))
        if problems:
            raise FileProblems(folder, problems)
        return ModelOffer(
            name=manifest.name,
            version=manifest.version,
            sha256=manifest.sha256,
            manifest_sha256=_sha256(folder / MANIFEST_NAME),
            size_bytes=size,
            url=f"{self.url}/models/{name}",
        )

    def file(self, name: str, file: str) -> Path | None:
        """A file that may be given out; None when it may not."""
        try:
            folder = self._folder(name)
            allowed = [MANIFEST_NAME, *read_model(folder / MANIFEST_NAME, Manifest).file_names]
        except FileProblems:
            return None
        path = folder / file
        return path if file in allowed and path.is_file() else None

    def _folder(self, name: str) -> Path:
        """Raises: FileProblems when there is no such model; names are looked up, never joined to a path unseen."""
        names = self.names()
        if name not in names:
            known = ", ".join(names) or "none are there"
            raise FileProblems(self.folder, [Problem("model", repr(name), f"must be one of: {known}")])
        return self.folder / name


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()

"""The node's models, A and B: one is active, the one before it stays at hand.

A pointer file says which; it is replaced by a rename, so that a power cut leaves the old state or the new one, never
half of one. A model is copied beside them, checked there (hash, signature, golden pictures), moved to the free place,
and only then pointed at. Until it has proved itself it is on trial: a self-test that fails at a start, or a third start
within the trial (the first two died), goes back to the one before. No model follows a newer one of its name, not even
by way of a model of another name: the newest that proved itself is remembered for each name.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from shelf_contracts.errors import FileProblems, Problem
from shelf_contracts.files import read_model, write_json
from shelf_contracts.manifest import Manifest, version_key
from shelf_edge.adapters.model_folder import MANIFEST_NAME, locate_model
from shelf_edge.adapters.signatures import Trust

log = logging.getLogger(__name__)

Place = Literal["a", "b", ""]
"""Where a model is; empty: the base model, that of the configuration."""

POINTER_NAME = "models.json"
LOG_NAME = "switches.jsonl"
LARGEST_MODEL_BYTES = 512 * 1024 * 1024
_STARTS_ON_TRIAL = 2
"""A start more, and the model goes: one death may be a power cut, two are the model's."""
_LOCK_WAIT_S = 5.0
_LOCK_LOOK_S = 0.05


class Newest(BaseModel):
    """The newest model of a name that proved itself here."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: str
    sha256: str


class Pointer(BaseModel):
    """The pointer file.

    ``starts`` counts the starts of the node while on trial; ``failed`` holds hashes that were rolled back; ``newest``
    has, by name, the newest model that settled or that another one followed: going back never lowers it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    active: Place = ""
    previous: Place = ""
    on_trial: bool = False
    starts: Annotated[int, Field(ge=0)] = 0
    failed: list[str] = []
    newest: dict[str, Newest] = {}


@dataclass(frozen=True)
class Switch:
    """A change that was made: from which manifest to which.

    ``warning`` says what whoever asked for it should know; empty when nothing.
    """

    before: Manifest
    after: Manifest
    reason: str
    warning: str = ""


class ModelStore:
    """One folder.

    Args:
        folder: made when a model is first promoted.
        base: the model folder or file of the configuration: active until another is promoted, and the last resort.
        trust: whose models are taken.
        self_test: loads a model as the node does; raises FileProblems when it is not good.
    """

    def __init__(self, folder: Path, base: Path, trust: Trust, self_test: Callable[[Path], None]) -> None:
        self._folder = folder
        self._base = base
        self._trust = trust
        self._self_test = self_test

    @property
    def pointer(self) -> Pointer:
        """Raises: FileProblems when the file was damaged."""
        path = self._folder / POINTER_NAME
        return read_model(path, Pointer) if path.is_file() else Pointer()

    def path_of(self, place: Place) -> Path:
        """The folder (or the base's file) of a place."""
        return self._folder / place if place else self._base

    @property
    def active(self) -> Path:
        return self.path_of(self.pointer.active)

    def manifest_of(self, place: Place) -> Manifest | None:
        """What stands there; None when nothing usable does."""
        try:
            return locate_model(self.path_of(place)).manifest
        except FileProblems:
            return None

    def start(self) -> Path:
        """The model to start with. Two starts within a trial may die; the third one goes back to the model before.

        Raises: FileProblems when not even the base model is good, or when another change does not end.
        """
        while True:
            pointer = self.pointer
            path = self.path_of(pointer.active)
            if pointer.on_trial and pointer.starts >= _STARTS_ON_TRIAL:
                self.roll_back(f"the node was started {pointer.starts} times while the model was on trial")
                continue
            try:
                self._self_test(path)
            except FileProblems as error:
                if not pointer.active:
                    raise
                log.error("model %s: %s", path, error)
                self.roll_back(f"self-test at start: {error}")
                continue
            if pointer.on_trial:
                with self._locked():
                    now = self.pointer
                    if now != pointer:  # somebody promoted or rolled back while it was tested
                        continue
                    self._point(now.model_copy(update={"starts": now.starts + 1}))
            return path

    def promote(self, source: Path, *, force: bool = False, by: str = "command line") -> Switch:
        """Check a model folder, copy it, and make it the active one, on trial.

        Args:
            force: take an older version, or one that was rolled back before; this is logged.
        Raises: FileProblems when it is not good, not signed by somebody trusted, older than the newest of its name, or
            failed before; when another change does not end.
        """
        with self._locked():
            pointer = self.pointer
            offered = locate_model(source, self._trust)
            manifest_path = offered.onnx.parent / MANIFEST_NAME
            if offered.is_brought:
                remedy = "write a manifest first (models/README.md shows one)"
                raise FileProblems(source, [Problem("", "a bare file", "must be a model folder", remedy)])
            manifest, before = offered.manifest, self.manifest_of(pointer.active)
            newest = _with_newest(pointer.newest, before)
            problems = _order_problems(manifest, before, newest, pointer.failed)
            if problems and not force:
                raise FileProblems(manifest_path, problems)
            place: Place = "b" if pointer.active == "a" else "a"
            incoming = self._copy(offered.onnx.parent, manifest)
            try:
                locate_model(incoming, self._trust)
                self._self_test(incoming)
                # The place before the last is given up first: a cut here leaves the active model, and no previous one.
                if pointer.previous == place:
                    self._point(pointer.model_copy(update={"previous": ""}))
                target = self._folder / place
                shutil.rmtree(target, ignore_errors=True)
                incoming.replace(target)
            finally:
                shutil.rmtree(incoming, ignore_errors=True)
            failed = [sha for sha in pointer.failed if sha != manifest.sha256]
            self._point(Pointer(active=place, previous=pointer.active, on_trial=True, failed=failed, newest=newest))
            reason = f"promoted by {by}" + (f", forced although {problems[0]}" if problems else "")
            warning = self._trust_warning(manifest, offered.signed_by)
            if warning:
                log.warning("model %s %s: %s", manifest.name, manifest.version, warning)
                reason += f"; {warning}"
            return self._told(before or manifest, manifest, reason, warning)

    def _trust_warning(self, manifest: Manifest, signed_by: str) -> str:
        """Keys are trusted, none of them signed the model, and the configuration takes it all the same."""
        if not self._trust.keys or signed_by:
            return ""
        who = f"signed by {manifest.signature.key}, which is" if manifest.signature else "not signed, so by"
        return f"{who} none of the trusted_keys; taken because require_signature is false"

    def settle(self, sha256: str | None = None) -> bool:
        """The trial is over, and well; False when that is no longer the active model's.

        Args:
            sha256: of the model that was watched; nothing happens when another one is active by now.
        Raises: FileProblems when another change does not end.
        """
        if not self.pointer.on_trial:
            return True
        with self._locked():
            pointer = self.pointer
            active = self.manifest_of(pointer.active)
            if sha256 is not None and (active is None or active.sha256 != sha256):
                return False
            newest = _with_newest(pointer.newest, active)
            self._point(pointer.model_copy(update={"on_trial": False, "starts": 0, "newest": newest}))
            return True

    def roll_back(self, reason: str) -> Switch:
        """Make the model before the active one, and remember the active one as failed.

        Raises: FileProblems when there is none before it.
        """
        with self._locked():
            pointer = self.pointer
            if not pointer.active:
                told = Problem("active", "the base model", "has none before it", "promote a model first")
                raise FileProblems(self._folder / POINTER_NAME, [told])
            before, after = self.manifest_of(pointer.active), self.manifest_of(pointer.previous)
            place: Place = pointer.previous if after is not None else ""
            after = after or locate_model(self._base).manifest
            failed = [*pointer.failed, *([before.sha256] if before is not None else [])][-20:]
            self._point(Pointer(active=place, previous="", failed=failed, newest=pointer.newest))
            return self._told(before or after, after, f"rolled back: {reason}")

    def history(self) -> list[dict[str, str]]:
        """Every change, oldest first."""
        path = self._folder / LOG_NAME
        if not path.is_file():
            return []
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]

    def _copy(self, source: Path, manifest: Manifest) -> Path:
        """The manifest and the files it names, on disk for good. Raises: FileProblems when they are too large."""
        names = [MANIFEST_NAME, *manifest.file_names]
        size = sum((source / name).stat().st_size for name in names if (source / name).is_file())
        if size > LARGEST_MODEL_BYTES:
            told = Problem("", f"{size} bytes", f"must be at most {LARGEST_MODEL_BYTES} bytes")
            raise FileProblems(source, [told])
        for left in self._folder.glob("incoming-*"):
            shutil.rmtree(left, ignore_errors=True)
        incoming = self._folder / f"incoming-{os.getpid()}"
        incoming.mkdir(parents=True)
        for name in names:
            if (source / name).is_file():  # one that is missing is told by the check of the copy
                shutil.copyfile(source / name, incoming / name)
                with (incoming / name).open("rb") as file:
                    os.fsync(file.fileno())
        return incoming

    def _point(self, pointer: Pointer) -> None:
        write_json(self._folder / POINTER_NAME, pointer)
        descriptor = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)  # the rename itself must survive a power cut
        finally:
            os.close(descriptor)

    def _told(self, before: Manifest, after: Manifest, reason: str, warning: str = "") -> Switch:
        line = {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "from": f"{before.name} {before.version}",
            "to": f"{after.name} {after.version}",
            "sha256": after.sha256,
            "reason": reason,
        }
        with (self._folder / LOG_NAME).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        log.warning("model: %s -> %s (%s)", line["from"], line["to"], reason)
        return Switch(before, after, reason, warning)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One change at a time, whoever makes it. Raises: FileProblems when another is going on and does not end."""
        self._folder.mkdir(parents=True, exist_ok=True)
        deadline_s = time.monotonic() + _LOCK_WAIT_S
        with (self._folder / "lock").open("w") as file:
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except OSError as error:
                    if time.monotonic() > deadline_s:
                        told = Problem("", "locked", "another change is going on", "wait for it")
                        raise FileProblems(self._folder, [told]) from error
                time.sleep(_LOCK_LOOK_S)
            yield


def _with_newest(newest: dict[str, Newest], manifest: Manifest | None) -> dict[str, Newest]:
    """With a model that proved itself, unless a newer one of its name is known."""
    if manifest is None:
        return newest
    have = newest.get(manifest.name)
    if have is not None and version_key(manifest.version) <= version_key(have.version):
        return newest
    return {**newest, manifest.name: Newest(version=manifest.version, sha256=manifest.sha256)}


def _order_problems(
    manifest: Manifest, before: Manifest | None, newest: dict[str, Newest], failed: list[str]
) -> list[Problem]:
    """Why a model must not follow the active one, or the newest of its name, unless it is forced."""
    problems = []
    if manifest.sha256 in failed:
        problems.append(
            Problem("sha256", manifest.sha256[:12], "was rolled back here before", "--force takes it again")
        )
    best = newest.get(manifest.name)
    if best is None:
        return problems
    is_active = before is not None and (before.name, before.version) == (manifest.name, best.version)
    if version_key(manifest.version) < version_key(best.version):
        allowed = f"must not be older than {'the active' if is_active else 'what already ran here:'} {best.version}"
        problems.append(Problem("version", manifest.version, allowed, "--force takes it, and is logged"))
    elif version_key(manifest.version) == version_key(best.version) and manifest.sha256 != best.sha256:
        allowed = "is active with other content" if is_active else "already ran here with other content"
        problems.append(Problem("version", manifest.version, allowed, "give it a new version, or --force"))
    return problems

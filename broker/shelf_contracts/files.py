"""Read a TOML or JSON file into a model: one call, and either the model or every problem of the file."""

from __future__ import annotations

import difflib
import json
import os
import tempfile
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from shelf_contracts.errors import ContractError, FileProblems, Problem, ProblemsInside, shown
from shelf_contracts.ids import LEVEL_PATTERN

M = TypeVar("M", bound=BaseModel)

LARGEST_FILE_BYTES = 16 * 1024 * 1024
MOST_DEPTH = 32


def read_model(path: Path | str, model: type[M]) -> M:
    """The file's content as ``model``; the suffix (.toml, else JSON) says the format.

    Raises: FileProblems with every problem, each naming key path, value and what is allowed.
    """
    file = Path(path)
    return parse_model(file, read_bytes(file), model)


def read_text(path: Path | str) -> str:
    """A text file of at most 16 MiB, as UTF-8 or, when it is none, as Windows-1252, which spreadsheets write.

    Raises: FileProblems.
    """
    file = Path(path)
    raw = read_bytes(file)
    if len(raw) > LARGEST_FILE_BYTES:
        allowed = f"must be at most {LARGEST_FILE_BYTES} bytes"
        raise FileProblems(file, [Problem("", f"more than {LARGEST_FILE_BYTES} bytes", allowed)])
    if b"\0" in raw:
        raise FileProblems(file, [Problem("", "zero bytes", "must be a text file", "is it a spreadsheet? export CSV")])
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("cp1252", errors="replace")


def parse_model(file: Path, raw: bytes, model: type[M]) -> M:
    """Bytes that were read from ``file`` as ``model``. Raises: FileProblems as ``read_model``."""
    content = _parse(file, raw)
    if not isinstance(content, dict):
        raise FileProblems(file, [Problem("", shown(content), "must be an object with named keys")])
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise FileProblems(file, problems_of(error, model)) from error


def write_json(path: Path | str, model: BaseModel) -> None:
    """Write a model as indented JSON, whole or not at all (a temporary file is renamed over the old one)."""
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(file.name + ".part")
    with part.open("w", encoding="utf-8") as out:
        out.write(model.model_dump_json(indent=2, by_alias=True, exclude_none=True) + "\n")
        out.flush()
        os.fsync(out.fileno())  # else a power cut after the rename may leave an empty file
    part.replace(file)


def check_target(path: Path | str) -> None:
    """Before long work: make sure that a file can be written there at its end.

    Raises: FileProblems when the path is a folder, or its folder cannot be made or written to.
    """
    file = Path(path)
    if file.is_dir():
        raise FileProblems(file, [Problem("", "a folder", "must be the name of a file", f"say {file / 'NAME'}")])
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=file.parent):
            pass
    except OSError as error:
        raise FileProblems(file, [problem_of(error)]) from error


def in_words(error: ContractError | OSError) -> str:
    """An error for a person: what the operating system refused, with the file's name; ours as they are."""
    if isinstance(error, OSError) and error.filename is not None:
        return str(FileProblems(str(error.filename), [problem_of(error)]))
    return str(error)


def problem_of(error: OSError) -> Problem:
    """What the operating system refused, in words."""
    reason = error.strerror or type(error).__name__
    return Problem("", reason.lower(), "must be a place that can be read and written", "choose another path")


def read_bytes(file: Path) -> bytes:
    """What a file holds, and no more than the largest may: a path may lead to something without an end.

    Raises: FileProblems.
    """
    try:
        with file.open("rb") as opened:
            return opened.read(LARGEST_FILE_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise FileProblems(file, [Problem("", reason, "must be a readable file", "check the path")]) from error


def _parse(file: Path, raw: bytes) -> Any:
    if len(raw) > LARGEST_FILE_BYTES:
        allowed = f"must be at most {LARGEST_FILE_BYTES} bytes"
        raise FileProblems(file, [Problem("", f"more than {LARGEST_FILE_BYTES} bytes", allowed)])
    try:
        text = raw.decode("utf-8-sig")  # some editors put a byte order mark first
        content = tomllib.loads(text) if file.suffix == ".toml" else _loads(text)
        refuse_depth(content)
    except (ValueError, RecursionError) as error:  # ValueError: no UTF-8, no TOML or JSON, a number of 5000 digits
        kind = "TOML" if file.suffix == ".toml" else "JSON"
        raise FileProblems(file, [Problem("", f"not {kind}", str(error) or "nested too deep")]) from error
    return content


def _loads(text: str) -> Any:
    return json.loads(text, parse_constant=refuse_constant, object_pairs_hook=_without_doubles)


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of a key that stands twice JSON would silently keep the last."""
    content = dict(pairs)
    if len(content) < len(pairs):
        names = [name for name, _ in pairs]
        double = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{double!r} stands in one object twice")
    return content


def refuse_depth(content: Any) -> None:
    """Raises: ValueError when lists and objects are nested deeper than 32: nothing of ours is."""
    level: list[Any] = [content]
    for _ in range(MOST_DEPTH + 1):
        below: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                below += value.values()
            elif isinstance(value, list):
                below += value
        if not below:
            return
        level = below
    raise ValueError(f"nested deeper than {MOST_DEPTH} levels")


def refuse_constant(name: str) -> float:
    """For ``json.loads``: NaN and Infinity are no JSON, and no figure of ours may be one."""
    raise ValueError(f"{name} is not a JSON number")


def problems_of(error: ValidationError, model: type[BaseModel] | None = None) -> list[Problem]:
    """Pydantic's errors as problems: key path ``a.b[2].c``, the value, what is allowed, a likely remedy."""
    problems = []
    for item in error.errors(include_url=False):
        key = key_path(item["loc"])
        inside = item.get("ctx", {}).get("error")
        if isinstance(inside, ProblemsInside):
            problems += [replace(one, key=".".join(filter(None, (key, one.key)))) for one in inside.problems]
            continue
        value = "(missing)" if item["type"] == "missing" else shown(item["input"])
        remedy = ""
        if item["type"] == "extra_forbidden" and model is not None:
            remedy = _nearest_name(item["loc"], model)
        allowed = item["msg"].removeprefix("Value error, ")
        if item.get("ctx", {}).get("pattern") == LEVEL_PATTERN:
            allowed = "must be 1 to 32 lower-case letters, digits and hyphens, as nl-ams-001"
        problems.append(Problem(key, value, allowed, remedy))
    return problems


def key_path(location: tuple[int | str, ...]) -> str:
    """A pydantic location as people write it.

    >>> key_path(("positions", 2, "facings", "h"))
    'positions[2].facings.h'
    """
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else (f".{part}" if path else str(part))
    return path


def _nearest_name(location: tuple[int | str, ...], model: type[BaseModel]) -> str:
    known = sorted(_all_field_names(model, set()))
    near = difflib.get_close_matches(str(location[-1]), known, n=1)
    return f"did you mean {near[0]!r}?" if near else "remove it"


def _all_field_names(model: type[BaseModel], seen: set[type[BaseModel]]) -> set[str]:
    seen.add(model)
    names: set[str] = set()
    for name, field in model.model_fields.items():
        names.add(field.alias or name)
        for inner in _models_in(field.annotation):
            if inner not in seen:
                names |= _all_field_names(inner, seen)
    return names


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in getattr(annotation, "__args__", ()) for model in _models_in(part)]

"""What can be wrong with something that comes from outside, said so that it can be mended.

ContractError
├── FileProblems      one file, every problem in it
│   ├── DiskRefused   a file that could not be written
│   └── SeveralFiles  more than one file, every problem in each
├── MessageProblem    one MQTT message that does not keep the contract
└── TopicProblem      a topic that is not in the catalog
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_LONGEST_VALUE = 80


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: where (key path), the value found, what is allowed and what to do."""

    key: str
    found: str
    allowed: str
    remedy: str = ""

    def __str__(self) -> str:
        text = f"{self.key or '(whole file)'} = {self.found}: {self.allowed}"
        return f"{text}; {self.remedy}" if self.remedy else text


def shown(value: Any) -> str:
    """A value as it may be printed in an error: on one line, never longer than 80 characters."""
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # nested too deep; an integer of more than 4300 digits
        return f"({type(value).__name__})"
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"


def and_more(names: Sequence[str], most: int = 3) -> str:
    """
    >>> and_more(["a", "b", "c", "d", "e"])
    'a, b, c and 2 more'
    """
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")


def in_brief(problems: Sequence[Problem], longest: int) -> str:
    """Problems on one line of at most so many characters (100 at least), for where there is little room.

    What is wrong in the same way is told together, by the last names of the key paths; how many are left out is said.
    """
    groups: dict[str, list[Problem]] = {}
    for problem in problems:
        groups.setdefault(problem.allowed, []).append(problem)
    told: list[str] = []
    left = longest
    for number, same in enumerate(groups.values()):
        others = sum(len(group) for group in list(groups.values())[number + 1 :])
        ending = f"; {_more_problems(others)}" if others else ""
        text = _together(same, left - len(ending))
        if not text or (told and len(text) > left - len(ending)):
            told.append(_more_problems(others + len(same)))
            break
        told.append(text)
        left -= len(text) + 2
    return "; ".join(told)[:longest]


def _more_problems(count: int) -> str:
    return "1 more problem" if count == 1 else f"{count} more problems"


def _together(same: Sequence[Problem], longest: int) -> str:
    """Problems that have what is allowed in common; empty when not even one of them has room."""
    if len(same) == 1 and len(one := " ".join(str(same[0]).split())) <= longest:
        return one
    names = [problem.key.rpartition(".")[2] or "(whole file)" for problem in same]
    allowed = " ".join(same[0].allowed.split())
    for shown_names in range(len(names), 0, -1):
        rest = len(names) - shown_names
        text = f"{', '.join(names[:shown_names])}{f' and {rest} more' if rest else ''}: {allowed}"
        if len(text) <= longest:
            return text
    return f"{names[0]} and {len(names) - 1} more: {allowed}"[:longest] if longest > 60 else ""


class ProblemsInside(ValueError):
    """For validators of a whole model: several problems, each with its key path; ``files`` tells them one by one."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__("; ".join(str(problem) for problem in problems))


class ContractError(ValueError):
    """Something from outside does not keep the contract."""


class FileProblems(ContractError):
    """All problems of one file at once; ``problems`` is never empty."""

    def __init__(self, file: Path | str, problems: list[Problem]) -> None:
        self.file = Path(file)
        self.problems = problems
        lines = [f"{self.file}: {problem}" for problem in problems]
        super().__init__("\n".join(lines))


class DiskRefused(FileProblems):
    """A file could not be written; what was there is still there, whole. ``is_full``: for want of room on the disk."""

    def __init__(self, file: Path | str, error: OSError) -> None:
        self.is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        found = (error.strerror or str(error) or type(error).__name__).lower()
        remedy = "free some space on its disk, then try again" if self.is_full else "let this program write there"
        super().__init__(file, [Problem("", found, "could not be written: nothing was changed", remedy)])


class SeveralFiles(FileProblems):
    """What is wrong with several files, told at once; ``file`` is the first of them, ``problems`` all of theirs."""

    def __init__(self, files: Sequence[FileProblems]) -> None:
        super().__init__(files[0].file, [problem for one in files for problem in one.problems])
        self.files = list(files)

    def __str__(self) -> str:
        return "\n".join(map(str, self.files))


def raise_together(found: Sequence[FileProblems]) -> None:
    """Raises: FileProblems when there is anything in ``found``."""
    if found:
        raise found[0] if len(found) == 1 else SeveralFiles(found)


class MessageProblem(ContractError):
    """A message that was received but cannot be used; it is counted and set aside, never a crash."""

    def __init__(self, topic: str, problems: list[Problem]) -> None:
        self.topic = topic
        self.problems = problems
        super().__init__(f"{topic}: " + "; ".join(str(problem) for problem in problems))


class TopicProblem(ContractError):
    """A topic that no row of the catalog knows."""

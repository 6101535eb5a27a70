"""What can be wrong with something that comes from outside, said so that it can be mended.

ContractError
├── FileProblems      one file, every problem in it
│   └── DiskRefused   a file that could not be written
├── MessageProblem    one MQTT message that does not keep the contract
└── TopicProblem      a topic that is not in the catalog
"""

from __future__ import annotations

import errno
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


class MessageProblem(ContractError):
    """A message that was received but cannot be used; it is counted and set aside, never a crash."""

    def __init__(self, topic: str, problems: list[Problem]) -> None:
        self.topic = topic
        self.problems = problems
        super().__init__(f"{topic}: " + "; ".join(str(problem) for problem in problems))


class TopicProblem(ContractError):
    """A topic that no row of the catalog knows."""

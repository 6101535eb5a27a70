"""What the pages that take photos share: their words, whose form it is, and what goes wrong as an answer."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from fastapi import Request
from starlette.exceptions import HTTPException

from shelf_collector.adapters.vision_worker import PhotoProblem, VisionProblem
from shelf_collector.adapters.web.gate import is_own_form, visit_of
from shelf_collector.core.texts import WORDS
from shelf_collector.enrolling import PhotoGone
from shelf_collector.ports import StorageProblem
from shelf_contracts.errors import ContractError, DiskRefused

log = logging.getLogger(__name__)

T = TypeVar("T")


def words_of(page: str, language: str) -> dict[str, str]:
    """The words of a page alone, for its script too."""
    beginning = f"{page}_"
    return {key.removeprefix(beginning): text for key, text in WORDS[language].items() if key.startswith(beginning)}


def must_be_own(request: Request, mark: str) -> None:
    """Raises: HTTPException when the form was not made for this visit."""
    if not is_own_form(visit_of(request), mark):
        raise HTTPException(403, "this page was open for too long, or cookies are off: load it again and repeat")


def in_words(action: Callable[[], T]) -> T:
    """What goes wrong, as an answer. Raises: HTTPException."""
    try:
        return action()
    except PhotoProblem as problem:
        raise HTTPException(422, str(problem)) from problem
    except VisionProblem as problem:
        raise HTTPException(503, str(problem)) from problem
    except PhotoGone as gone:
        raise HTTPException(409, "a photo waited for too long: take it again") from gone
    except DiskRefused as refused:
        log.error("%s", refused)
        raise HTTPException(507 if refused.is_full else 503, str(refused)) from refused
    except StorageProblem as problem:
        log.error("%s", problem)
        text = "the log cannot be written, nothing was changed: see that the collector's disk is not full, try again"
        raise HTTPException(503, text) from problem
    except ContractError as refused:
        raise HTTPException(422, str(refused)) from refused

"""Where long words of a product's name may be broken, by the dictionaries of pyphen."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

SHORTEST_WORD = 9
_LEAST_BEFORE, _LEAST_BEHIND = 2, 3


def word_pieces(text: str, language: str) -> str:
    """The long words of a text with their pieces: ``Sinaas|ap|pel|sap``; empty where nothing is to be broken."""
    dictionary = _dictionary(language)
    if dictionary is None or "|" in text:
        return ""
    long = dict.fromkeys(word for word in text.split() if SHORTEST_WORD <= len(word) <= 100)
    return " ".join(broken for word in long if "|" in (broken := str(dictionary.inserted(word, "|"))))


@lru_cache(maxsize=50)
def _dictionary(language: str) -> Any:
    """The language's dictionary; None when there is none, or no pyphen: words then break anywhere."""
    try:
        import pyphen
    except ImportError:
        return None
    code = pyphen.language_fallback(language)
    return pyphen.Pyphen(lang=code, left=_LEAST_BEFORE, right=_LEAST_BEHIND) if code else None

"""Where long words of a product's name may be broken, by the dictionaries of pyphen and a shop's own words."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

SHORTEST_WORD = 9
_LEAST_BEFORE, _LEAST_BEHIND = 2, 3
_SHORTEST_PART = 4
_WORD = re.compile(r"[^\W\d_]+")


def word_pieces(text: str, language: str, known: frozenset[str] = frozenset()) -> str:
    """The long words of a text with their pieces: ``Melk||cho|co|la|de``; empty where nothing is to be broken.

    ``known`` are words of the language in small letters, as ``words_of`` gives them: where one of them begins or ends
    within a long word, that is made of words, and two bars mark where it is broken best.
    """
    dictionary = _dictionary(language)
    if dictionary is None or "|" in text:
        return ""
    long = dict.fromkeys(word for word in text.split() if SHORTEST_WORD <= len(word) <= 100)
    return " ".join(broken for word in long if "|" in (broken := _broken(word, dictionary, known)))


def words_of(texts: Iterable[str]) -> frozenset[str]:
    """The words of these texts that a long word may be made of.

    >>> sorted(words_of(["Tarwebloem, _boter_ 24%", "thee en ei"]))
    ['boter', 'tarwebloem', 'thee']
    """
    found = (word.casefold() for text in texts for word in _WORD.findall(text))
    return frozenset(word for word in found if len(word) >= _SHORTEST_PART)


def _broken(word: str, dictionary: Any, known: frozenset[str]) -> str:
    after_hyphens = {place for place in range(2, len(word)) if word[place - 1] == "-"}
    positions = sorted({*dictionary.positions(word), *after_hyphens})
    places = [place for place in positions if place in after_hyphens or not _leaves_one_letter(place, positions)]
    ends = [0, *places, len(word)]
    small = word.casefold()
    best = {
        end
        for i, start in enumerate(ends)
        for stop in ends[i + 1 :]
        if stop - start >= _SHORTEST_PART and stop - start < len(word) and small[start:stop] in known
        for end in (start, stop)
    } | after_hyphens
    parts = [word[start:stop] for start, stop in itertools.pairwise(ends)]
    marks = ["||" if place in best else "|" for place in places]
    return "".join(part + mark for part, mark in zip(parts, [*marks, ""], strict=True))


def _leaves_one_letter(place: int, places: list[int]) -> bool:
    """Of two places a letter apart the latter is left out: ``Bi|ologische``, and never a letter by itself."""
    return place - 1 in places


@lru_cache(maxsize=50)
def _dictionary(language: str) -> Any:
    """The language's dictionary; None when there is none, or no pyphen: words then break anywhere."""
    try:
        import pyphen
    except ImportError:
        return None
    code = pyphen.language_fallback(language)
    return pyphen.Pyphen(lang=code, left=_LEAST_BEFORE, right=_LEAST_BEHIND) if code else None

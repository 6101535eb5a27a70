"""Build and parse topics; the only code in which a topic is put together."""

from __future__ import annotations

import re
from dataclasses import dataclass

from shelf_contracts.catalog import BY_NAME, CATALOG, ROOT, Topic
from shelf_contracts.errors import TopicProblem
from shelf_contracts.ids import LEVEL_PATTERN

_LEVEL = re.compile(LEVEL_PATTERN)
_PLACE = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Address:
    """A topic that was understood: its row in the catalog and the ids in it."""

    row: Topic
    ids: dict[str, str]


def build(name: str, **ids: str) -> str:
    """The topic of a catalog row, every id given.

    >>> build("slot_stock", store="nl-ams-001", bay="a03", slot="s2-04")
    'smartshelf/v1/nl-ams-001/shelf/a03/slot/s2-04/stock'

    Raises: TopicProblem when an id is missing or is no topic level.
    """
    address = BY_NAME[name].address

    def fill(match: re.Match[str]) -> str:
        value = ids.get(match[1])
        if value is None:
            raise TopicProblem(f"{name}: the id {match[1]!r} is missing")
        return _checked_level(name, match[1], value)

    return _PLACE.sub(fill, address)


def subscription(name: str, **ids: str) -> str:
    """The filter of a catalog row; ids that are not given become ``+``.

    >>> subscription("node_status", store="nl-ams-001")
    'smartshelf/v1/nl-ams-001/node/+/status'

    Raises: TopicProblem when an id is no topic level.
    """
    given = {key: _checked_level(name, key, value) for key, value in ids.items() if value != "+"}
    return _PLACE.sub(lambda match: given.get(match[1], "+"), BY_NAME[name].address)


def everything(store: str) -> str:
    """The filter of all topics of a store: for observers, never for a component.

    >>> everything("nl-ams-001")
    'smartshelf/v1/nl-ams-001/#'

    Raises: TopicProblem when the store is no topic level.
    """
    return ROOT.replace("{store}", _checked_level("everything", "store", store)) + "/#"


def parse(topic: str) -> Address:
    """Which row of the catalog a topic belongs to, and its ids.

    Raises: TopicProblem when no row has it.
    """
    for row, pattern in _PATTERNS:
        found = pattern.match(topic)
        if found:
            return Address(row, found.groupdict())
    raise TopicProblem(f"{topic!r} is not in the catalog (docs/topics.md lists the topics)")


def _checked_level(name: str, key: str, value: str) -> str:
    if not _LEVEL.fullmatch(value):  # not match(): "$" would let a closing line end through
        raise TopicProblem(f"{name}: {key} = {value!r}: must match {LEVEL_PATTERN}")
    return value


def _pattern(row: Topic) -> re.Pattern[str]:
    level = LEVEL_PATTERN.strip("^$")
    return re.compile(_PLACE.sub(lambda match: f"(?P<{match[1]}>{level})", row.address) + r"\Z")


_PATTERNS = [(row, _pattern(row)) for row in CATALOG]

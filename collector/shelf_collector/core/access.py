"""Who may do what: roles, scopes, sessions and their ends, passwords, and the wait after wrong ones. Time is given."""

from __future__ import annotations

import unicodedata
from collections import OrderedDict
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum
from itertools import pairwise
from typing import Literal


class Role(IntEnum):
    """What a person may do; each holds what the ones before it may. NOBODY: who has not logged in."""

    NOBODY = 0
    VIEWER = 1
    STAFF = 2
    ADMIN = 3

    @property
    def word(self) -> str:
        """As it is stored and shown: ``viewer``."""
        return self.name.lower()


GIVEN_ROLES = (Role.VIEWER, Role.STAFF, Role.ADMIN)


def role_of(word: str) -> Role:
    """The role of a stored word. Raises: ValueError naming those that can be given."""
    for role in GIVEN_ROLES:
        if role.word == word:
            return role
    raise ValueError(f"role = {word[:40]!r}: must be one of {', '.join(role.word for role in GIVEN_ROLES)}")


class Scope(StrEnum):
    """What an API token may read. There is none that changes anything."""

    STORE = "store:read"
    PRODUCTS = "products:read"
    STREAM = "stream:read"
    LOG = "log:read"


PrincipalKind = Literal["nobody", "person", "token", "demo"]


@dataclass(frozen=True, slots=True)
class Principal:
    """Whoever asks.

    Attributes:
        name: a person's or a token's name; empty for nobody.
        role: of a person. A token has none; it has ``scopes``.
        session: hash of the session by which a person came; empty otherwise.
    """

    kind: PrincipalKind = "nobody"
    name: str = ""
    role: Role = Role.NOBODY
    scopes: frozenset[str] = frozenset()
    session: str = ""
    person: int = 0

    def may(self, role: Role, scope: Scope | None) -> bool:
        """Whether a route that asks for this role, or of a token for this scope, is open."""
        if role is Role.NOBODY:
            return True
        if self.kind == "token":
            return scope is not None and scope.value in self.scopes
        return self.role >= role


NOBODY = Principal()
DEMO = Principal(kind="demo", name="demo", role=Role.STAFF)
"""Everybody on this computer while ``[demo] open_to_this_computer`` is set; never an admin."""


@dataclass(frozen=True, slots=True)
class SessionRules:
    """A session ends ``idle`` after its last request, and ``longest`` after its start whatever happens."""

    idle: timedelta = timedelta(hours=2)
    longest: timedelta = timedelta(hours=12)

    def is_over(self, created_at: datetime, seen_at: datetime, now: datetime) -> bool:
        # A clock that was set back must not make a session immortal.
        return not (created_at <= now < created_at + self.longest and seen_at - self.idle < now < seen_at + self.idle)


# -- names and passwords ------------------------------------------------------------------------------------------

LONGEST_NAME = 40
SHORTEST_PASSWORD = 12
LONGEST_PASSWORD = 256
"""Longer ones would only buy an attacker hashing time."""

_FIRST_GUESSES = frozenset(
    {
        "123456789012", "1234567890123", "12345678901234", "passwordpassword", "password1234", "passw0rd1234",
        "wachtwoord123", "welkom012345", "welkomwelkom", "qwertyuiop12", "qwertyuiopas", "qwerty123456",
        "administrator", "adminadminadmin", "smartshelf123", "smartshelfadmin", "letmeinplease", "benvenuto123",
        "ciaociaociao", "iloveyou1234", "changemeplease", "changeme1234",
    }
)  # fmt: skip

PasswordFault = Literal["password_short", "password_long", "password_guess"]
NameFault = Literal["name_empty", "name_long", "name_strange"]


def name_fault(name: str) -> NameFault | None:
    """Why nobody can be called so, or None."""
    if not name.strip():
        return "name_empty"
    if len(name) > LONGEST_NAME:
        return "name_long"
    if name != name.strip() or any(unicodedata.category(letter)[0] == "C" for letter in name):
        return "name_strange"
    return None


def same_name(name: str) -> str:
    """What two names have in common when they are one: ``ANNA`` and ``anna`` are."""
    return unicodedata.normalize("NFKC", name).casefold().strip()


def password_fault(password: str, name: str) -> PasswordFault | None:
    """Why a password is refused, or None. Length counts; signs and digits are nobody's business."""
    if len(password) < SHORTEST_PASSWORD:
        return "password_short"
    if len(password) > LONGEST_PASSWORD:
        return "password_long"
    plain = same_name(password)
    few = len(set(plain)) < 4
    told = same_name(name) and plain.replace(same_name(name), "") and len(plain.replace(same_name(name), "")) < 6
    if few or told or plain in _FIRST_GUESSES or plain == same_name(name) or _is_a_run(plain):
        return "password_guess"
    return None


def _is_a_run(text: str) -> bool:
    steps = {ord(second) - ord(first) for first, second in pairwise(text)}
    return steps in ({1}, {-1})


# -- the wait after wrong passwords ---------------------------------------------------------------------------------

FREE_FAILURES = 5
FORGOTTEN_AFTER = timedelta(hours=24)
_MOST_KEYS = 10_000


@dataclass(frozen=True, slots=True)
class _Failures:
    count: int
    last: datetime


class Throttle:
    """Counts failures by key (an address, an account); after five, each next try must wait, twice as long each time.

    Args:
        longest: the longest wait. For an address it may be long; for an account it must be short, or anybody could
            lock its owner out.
    The 10 000 keys that failed last are remembered; one thread at a time (the caller holds a lock).
    """

    def __init__(self, longest: timedelta) -> None:
        self._longest = longest
        self._failures: OrderedDict[str, _Failures] = OrderedDict()

    def wait_s(self, key: str, now: datetime) -> int:
        """Whole seconds until this key may try again; 0: at once."""
        known = self._failures.get(key)
        if known is None or known.count < FREE_FAILURES or now - known.last > FORGOTTEN_AFTER:
            return 0
        delay = min(self._longest, timedelta(seconds=2.0 ** min(known.count - FREE_FAILURES, 20)))
        left = (min(known.last, now) + delay - now).total_seconds()
        return max(0, int(left + 0.999))

    def failed(self, key: str, now: datetime) -> None:
        known = self._failures.pop(key, None)
        if known is not None and now - known.last > FORGOTTEN_AFTER:
            known = None
        self._failures[key] = replace(known, count=known.count + 1, last=now) if known else _Failures(1, now)
        while len(self._failures) > _MOST_KEYS:
            self._failures.popitem(last=False)

    def succeeded(self, key: str) -> None:
        self._failures.pop(key, None)

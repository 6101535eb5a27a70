"""Who is let in: logging in and out, one-time links, people and tokens. Every step is noted in the logbook."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from shelf_collector.adapters.accounts import Accounts, ApiToken, LinkGone, Person
from shelf_collector.adapters.passwords import Passwords, new_secret, secret_hash
from shelf_collector.core.access import (
    LONGEST_PASSWORD,
    NOBODY,
    Principal,
    Role,
    Scope,
    SessionRules,
    Throttle,
    name_fault,
    password_fault,
    same_name,
)
from shelf_collector.core.logbook import Deed
from shelf_collector.ports import Clock

log = logging.getLogger(__name__)

SETUP_LASTS = timedelta(minutes=15)
INVITATION_LASTS = timedelta(hours=24)
LONGEST_TOKEN_DAYS = 3650
TOKEN_PREFIX = "shelf_"  # noqa: S105 - what tokens begin with, so that secret scanners know them
_LONGEST_ADDRESS_WAIT = timedelta(minutes=15)
_LONGEST_ACCOUNT_WAIT = timedelta(seconds=30)
_HINT_LETTERS = 10


class Refused(Exception):
    """It was not done; ``reason`` is a key of the pages' words.

    Attributes:
        wait_s: after how many seconds to try again; 0 when waiting does not help.
    """

    def __init__(self, reason: str, wait_s: int = 0) -> None:
        self.reason = reason
        self.wait_s = wait_s
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class Opened:
    """Somebody logged in; ``secret`` goes into the cookie and nowhere else."""

    secret: str
    person: Person


class Doorkeeper:
    """The only way to a session, a link or a token. Any thread may call; hashing a password takes a while."""

    def __init__(self, accounts: Accounts, passwords: Passwords, clock: Clock, rules: SessionRules) -> None:
        self.accounts = accounts
        self.rules = rules
        self._passwords = passwords
        self._clock = clock
        self._lock = threading.Lock()
        self._by_address = Throttle(_LONGEST_ADDRESS_WAIT)
        self._by_account = Throttle(_LONGEST_ACCOUNT_WAIT)

    # -- who asks ------------------------------------------------------------------------------------------------

    def of_session(self, secret: str, *, is_use: bool = True) -> Principal:
        """Whose session it is; NOBODY when it is over or never was."""
        hashed = secret_hash(secret)
        person = self.accounts.whose_session(hashed, self._clock.now(), self.rules, is_use=is_use)
        if person is None:
            return NOBODY
        return Principal("person", person.name, person.role, session=hashed, person=person.id)

    def of_token(self, secret: str) -> Principal:
        """Whose token it is; NOBODY when it expired, was revoked or never was."""
        token = self.accounts.token(secret_hash(secret), self._clock.now()) if secret else None
        return Principal("token", token.name, scopes=frozenset(token.scopes)) if token else NOBODY

    def is_still(self, principal: Principal) -> bool:
        """Whether somebody's session is still open and may still do as much: for long answers such as streams."""
        if principal.kind != "person":
            return True
        person = self.accounts.whose_session(principal.session, self._clock.now(), self.rules, is_use=False)
        return person is not None and person.role >= principal.role

    # -- in and out ----------------------------------------------------------------------------------------------

    def log_in(self, name: str, password: str, origin: str) -> Opened:
        """Raises: Refused with ``login_wrong``, or ``login_wait`` and the seconds to wait."""
        person = self.accounts.person_called(name)
        # Somebody unknown is one account like all others, else waiting would tell who exists.
        keys = (f"address {origin}", f"account {same_name(name)[:80]}")
        self._begin_try(keys)
        is_right = self._passwords.is_right(person.password_hash if person else None, password[:LONGEST_PASSWORD])
        if person is None or not is_right or len(password) > LONGEST_PASSWORD:
            actor = f"person:{person.name}" if person else "nobody"
            self.accounts.note([Deed("login.failed", actor, origin)], self._clock.now())
            raise Refused("login_wrong")
        self._was_right(keys)
        assert person.password_hash is not None
        if self._passwords.is_dated(person.password_hash):
            self.accounts.renew_hash(person, self._passwords.hash(password))
        return self._open(person, origin)

    def log_out(self, principal: Principal, origin: str) -> None:
        deed = Deed("logout", f"person:{principal.name}", origin)
        self.accounts.end_session(principal.session, self._clock.now(), deed)

    # -- one-time links ------------------------------------------------------------------------------------------

    def make_setup_link(self) -> str | None:
        """The secret of a link that makes the first admin, valid 15 minutes; None when there is an admin."""
        if self.accounts.has_admin():
            return None
        return self._make_link(None, SETUP_LASTS, Deed("link.made", subject="setup"))

    def make_link(self, person: Person, by: Principal | None = None, origin: str = "") -> str:
        """The secret of a link by which a person sets their password, valid for a day; an earlier one is void."""
        actor = f"person:{by.name}" if by else "system"
        return self._make_link(person.id, INVITATION_LASTS, Deed("link.made", actor, origin, f"person:{person.name}"))

    def whose_link(self, secret: str, origin: str) -> Person | None:
        """Whose link it is; None for the one that makes the first admin. Raises: Refused with ``link_void``."""
        keys = (f"address {origin}",)
        self._begin_try(keys)
        link = self.accounts.link(secret_hash(secret), self._clock.now())
        if link is None:
            raise Refused("link_void")
        self._was_right(keys)
        if link.person is None:
            return None
        person = self.accounts.person(link.person)
        if person is None:
            raise Refused("link_void")
        return person

    def use_link(self, secret: str, name: str, password: str, origin: str) -> Opened:
        """Set the password, use the link up and log in. ``name`` counts for the first admin only.

        Raises: Refused with ``link_void`` or what is wrong with name or password (the link stays valid then).
        """
        person = self.whose_link(secret, origin)
        name = person.name if person else name
        fault = name_fault(name) or password_fault(password, name)
        if fault:
            raise Refused(fault)
        if person is None and self.accounts.person_called(name) is not None:
            raise Refused("name_taken")
        hashed = self._passwords.hash(password)
        now, link = self._clock.now(), secret_hash(secret)
        deed = Deed("link.used", f"person:{name}", origin, f"person:{name}")
        try:
            if person is None:
                if self.accounts.has_admin():
                    raise Refused("link_void")
                person = self.accounts.add_person(name, Role.ADMIN, now, deed, hashed, link)
            else:
                self.accounts.set_password(person, hashed, now, deed, link=link)
        except LinkGone as error:
            raise Refused("link_void") from error
        return self._open(person, origin)

    def change_password(self, by: Principal, old: str, new: str, origin: str) -> None:
        """Ends the person's other sessions. Raises: Refused."""
        person = self.accounts.person(by.person)
        keys = (f"address {origin}", f"account {same_name(by.name)[:80]}")
        self._begin_try(keys)
        if person is None or not self._passwords.is_right(person.password_hash, old[:LONGEST_PASSWORD]):
            raise Refused("password_old_wrong")
        self._was_right(keys)
        fault = password_fault(new, person.name)
        if fault:
            raise Refused(fault)
        actor = f"person:{person.name}"
        deed = Deed("password.changed", actor, origin, actor)
        self.accounts.set_password(person, self._passwords.hash(new), self._clock.now(), deed, keep=by.session)

    def check_name(self, name: str) -> None:
        """Raises: Refused when nobody can be called so."""
        fault = name_fault(name)
        if fault:
            raise Refused(fault)

    # -- people and tokens, by an admin --------------------------------------------------------------------------

    def add_person(self, by: Principal, name: str, role: Role, origin: str) -> tuple[Person, str]:
        """The person and the secret of their link. Raises: Refused, NameTaken."""
        self.check_name(name)
        deed = Deed("person.added", f"person:{by.name}", origin, f"person:{name}", {"role": role.word})
        person = self.accounts.add_person(name, role, self._clock.now(), deed)
        return person, self.make_link(person, by, origin)

    def set_role(self, by: Principal, person: Person, role: Role, origin: str) -> None:
        """Raises: LastAdmin."""
        detail = {"from": person.role.word, "to": role.word}
        deed = Deed("person.role", f"person:{by.name}", origin, f"person:{person.name}", detail)
        self.accounts.set_role(person, role, self._clock.now(), deed)

    def remove_person(self, by: Principal, person: Person, origin: str) -> None:
        """Raises: LastAdmin."""
        deed = Deed("person.removed", f"person:{by.name}", origin, f"person:{person.name}")
        self.accounts.remove_person(person, self._clock.now(), deed)

    def add_token(self, by: Principal, name: str, scopes: Sequence[Scope], days: int, origin: str) -> str:
        """The token, which is never seen again. Raises: Refused."""
        self.check_name(name)
        if not scopes:
            raise Refused("token_no_scope")
        if not 1 <= days <= LONGEST_TOKEN_DAYS:
            raise Refused("token_days")
        secret = TOKEN_PREFIX + new_secret()
        now = self._clock.now()
        words = sorted({scope.value for scope in scopes})
        detail: dict[str, str | int | float | bool | None] = {"scopes": " ".join(words), "days": days}
        deed = Deed("token.made", f"person:{by.name}", origin, f"token:{name}", detail)
        expires_at = now + timedelta(days=days)
        hint = secret[:_HINT_LETTERS]
        self.accounts.add_token(secret_hash(secret), hint, name, words, by.name, now, expires_at, deed)
        return secret

    def revoke_token(self, by: Principal, token: ApiToken, origin: str) -> None:
        deed = Deed("token.revoked", f"person:{by.name}", origin, f"token:{token.name}")
        self.accounts.remove_token(token.id, self._clock.now(), deed)

    # ------------------------------------------------------------------------------------------------------------

    def _make_link(self, person: int | None, lasts: timedelta, deed: Deed) -> str:
        secret, now = new_secret(), self._clock.now()
        self.accounts.put_link(secret_hash(secret), person, now + lasts, now, deed)
        return secret

    def _open(self, person: Person, origin: str) -> Opened:
        secret = new_secret()
        deed = Deed("login", f"person:{person.name}", origin)
        self.accounts.open_session(secret_hash(secret), person, self._clock.now(), self.rules, deed)
        return Opened(secret, person)

    def _begin_try(self, keys: Sequence[str]) -> None:
        """Counts as a failure until it was right: a hundred guesses sent at once are not all free."""
        now = self._clock.now()
        with self._lock:
            pairs = list(zip((self._by_address, self._by_account), keys, strict=False))
            wait_s = max(throttle.wait_s(key, now) for throttle, key in pairs)
            if wait_s:
                raise Refused("login_wait", wait_s)
            for throttle, key in pairs:
                throttle.failed(key, now)

    def _was_right(self, keys: Sequence[str]) -> None:
        with self._lock:
            for throttle, key in zip((self._by_address, self._by_account), keys, strict=False):
                throttle.succeeded(key)

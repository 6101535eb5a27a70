"""People, sessions, one-time links, API tokens and the logbook in the collector's database.

Every change and its row in the logbook are one transaction. Any thread may call; SQLite transactions that write begin
with the write lock (BEGIN IMMEDIATE), so that reading the last row and writing the next cannot be torn apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from shelf_collector.adapters import tables
from shelf_collector.core.access import Role, SessionRules, role_of, same_name
from shelf_collector.core.logbook import Break, Deed, Head, LogRow, breaks, next_row
from shelf_collector.ports import StorageProblem
from shelf_contracts.messages import iso_time

_LOCK_WAIT_S = 5
_SEEN_EVERY = timedelta(minutes=1)
_PAGE = 500


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who may log in. Without a password hash they have not used their link yet."""

    id: int
    name: str
    role: Role
    password_hash: str | None
    created_at: datetime
    seen_at: datetime | None


@dataclass(frozen=True, slots=True)
class Link:
    """A one-time link: ``person`` None means that it makes the first admin."""

    person: int | None
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class ApiToken:
    """A token; of its secret only the hash is kept, and the first letters to tell it by."""

    id: int
    name: str
    hint: str
    scopes: tuple[str, ...]
    created_by: str
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None


class NameTaken(ValueError):
    """Somebody is called so already."""


class LinkGone(ValueError):
    """Somebody else has used the link in between."""


class LastAdmin(ValueError):
    """Without this person nobody could let anybody in."""


@dataclass(frozen=True, slots=True)
class Change:
    """An open transaction; rows for the logbook are written in it."""

    connection: Connection

    def note(self, deed: Deed, now: datetime) -> None:
        _append(self.connection, deed, now)


class Accounts:
    """All of it on the collector's database, whose schema ``Database.open`` has made."""

    def __init__(self, url: str) -> None:
        self._engine = _engine(url)

    def close(self) -> None:
        self._engine.dispose()

    # -- people --------------------------------------------------------------------------------------------------

    def has_admin(self) -> bool:
        """Whether anybody could log in as admin."""
        return self._admins_with_password() > 0

    def has_anybody(self) -> bool:
        """Whether anybody at all could log in."""
        query = sa.select(sa.func.count()).select_from(tables.people).where(tables.people.c.password_hash.is_not(None))
        with self._reading() as connection:
            return connection.execute(query).scalar_one() > 0

    def people(self) -> list[Person]:
        with self._reading() as connection:
            return [_person(row) for row in connection.execute(sa.select(tables.people).order_by(tables.people.c.name))]

    def person(self, id: int) -> Person | None:  # noqa: A002 - it is its id
        return self._one_person(tables.people.c.id == id)

    def person_called(self, name: str) -> Person | None:
        return self._one_person(tables.people.c.same_name == same_name(name))

    def add_person(
        self, name: str, role: Role, now: datetime, deed: Deed, password_hash: str | None = None, link: str = ""
    ) -> Person:
        """``link`` is the hash of a link that is used up with it. Raises: NameTaken, LinkGone."""
        values = {
            "name": name, "same_name": same_name(name), "role": role.word, "password_hash": password_hash,
            "created_at": iso_time(now),
        }  # fmt: skip
        try:
            with self._writing() as connection:
                _use_up(connection, link)
                result = connection.execute(sa.insert(tables.people), values)
                _append(connection, deed, now)
                assert result.inserted_primary_key is not None
                number = int(result.inserted_primary_key[0])
        except IntegrityError as error:
            raise NameTaken(name) from error
        return Person(number, name, role, password_hash, now, None)

    def set_role(self, person: Person, role: Role, now: datetime, deed: Deed) -> None:
        """Raises: LastAdmin."""
        with self._writing() as connection:
            _keep_an_admin(connection, person, becomes=role)
            where = tables.people.c.id == person.id
            connection.execute(sa.update(tables.people).where(where).values(role=role.word))
            _append(connection, deed, now)

    def set_password(
        self, person: Person, password_hash: str, now: datetime, deed: Deed, keep: str = "", link: str = ""
    ) -> None:
        """Also ends every session of this person but ``keep`` (a session's hash), and every link.

        ``link`` is the hash of the link by which they set it. Raises: LinkGone.
        """
        with self._writing() as connection:
            _use_up(connection, link)
            where = tables.people.c.id == person.id
            connection.execute(sa.update(tables.people).where(where).values(password_hash=password_hash))
            _end_sessions(connection, person.id, keep)
            connection.execute(sa.delete(tables.one_time_links).where(tables.one_time_links.c.person == person.id))
            _append(connection, deed, now)

    def renew_hash(self, person: Person, password_hash: str) -> None:
        """The same password, hashed with today's parameters."""
        with self._writing() as connection:
            where = tables.people.c.id == person.id
            connection.execute(sa.update(tables.people).where(where).values(password_hash=password_hash))

    def remove_person(self, person: Person, now: datetime, deed: Deed) -> None:
        """Raises: LastAdmin."""
        with self._writing() as connection:
            _keep_an_admin(connection, person, becomes=Role.NOBODY)
            connection.execute(sa.delete(tables.people).where(tables.people.c.id == person.id))
            connection.execute(sa.delete(tables.one_time_links).where(tables.one_time_links.c.person == person.id))
            _end_sessions(connection, person.id)
            _append(connection, deed, now)

    # -- one-time links ------------------------------------------------------------------------------------------

    def put_link(self, hash: str, person: int | None, expires_at: datetime, now: datetime, deed: Deed) -> None:  # noqa: A002
        """A new link; an older one for the same person is void from now on."""
        table = tables.one_time_links
        purpose = "setup" if person is None else "password"
        same = table.c.person.is_(None) if person is None else table.c.person == person
        with self._writing() as connection:
            connection.execute(sa.delete(table).where(same | (table.c.expires_at <= iso_time(now))))
            values = {"hash": hash, "purpose": purpose, "person": person, "expires_at": iso_time(expires_at)}
            connection.execute(sa.insert(table), values)
            _append(connection, deed, now)

    def link(self, hash: str, now: datetime) -> Link | None:  # noqa: A002
        """The link, when it may still be used."""
        table = tables.one_time_links
        with self._reading() as connection:
            row = connection.execute(sa.select(table).where(table.c.hash == hash)).one_or_none()
        if row is None or not now < _moment(row.expires_at):
            return None
        return Link(row.person, _moment(row.expires_at))

    # -- sessions ------------------------------------------------------------------------------------------------

    def open_session(self, hash: str, person: Person, now: datetime, rules: SessionRules, deed: Deed) -> None:  # noqa: A002
        """Also forgets those that are long over."""
        table = tables.sessions
        with self._writing() as connection:
            old = iso_time(now - rules.longest)
            connection.execute(sa.delete(table).where(table.c.created_at < old))
            values = {"hash": hash, "person": person.id, "created_at": iso_time(now), "seen_at": iso_time(now)}
            connection.execute(sa.insert(table), values)
            where = tables.people.c.id == person.id
            connection.execute(sa.update(tables.people).where(where).values(seen_at=iso_time(now)))
            _append(connection, deed, now)

    def whose_session(self, hash: str, now: datetime, rules: SessionRules, *, is_use: bool = True) -> Person | None:  # noqa: A002
        """The person of a session that is not over; using it keeps it from going idle."""
        session, person = tables.sessions, tables.people
        query = sa.select(person, session.c.created_at.label("began"), session.c.seen_at.label("used"))
        query = query.join(session, session.c.person == person.c.id).where(session.c.hash == hash)
        with self._reading() as connection:
            row = connection.execute(query).one_or_none()
        if row is None or rules.is_over(_moment(row.began), _moment(row.used), now):
            return None
        if is_use and now - _moment(row.used) >= _SEEN_EVERY:
            with self._writing() as connection:
                connection.execute(sa.update(session).where(session.c.hash == hash).values(seen_at=iso_time(now)))
        return _person(row)

    def end_session(self, hash: str, now: datetime, deed: Deed) -> None:  # noqa: A002
        with self._writing() as connection:
            if connection.execute(sa.delete(tables.sessions).where(tables.sessions.c.hash == hash)).rowcount:
                _append(connection, deed, now)

    # -- API tokens ----------------------------------------------------------------------------------------------

    def add_token(
        self, hash: str, hint: str, name: str, scopes: Sequence[str], made_by: str, now: datetime,  # noqa: A002
        expires_at: datetime, deed: Deed,
    ) -> None:  # fmt: skip
        values = {
            "name": name, "hash": hash, "hint": hint, "scopes": list(scopes), "created_by": made_by,
            "created_at": iso_time(now), "expires_at": iso_time(expires_at),
        }  # fmt: skip
        with self._writing() as connection:
            connection.execute(sa.insert(tables.api_tokens), values)
            _append(connection, deed, now)

    def tokens(self) -> list[ApiToken]:
        with self._reading() as connection:
            return [_token(row) for row in connection.execute(sa.select(tables.api_tokens).order_by("id"))]

    def token(self, hash: str, now: datetime) -> ApiToken | None:  # noqa: A002
        """The token with this secret's hash, when it has not expired; that it was used is noted, once a minute."""
        table = tables.api_tokens
        with self._reading() as connection:
            row = connection.execute(sa.select(table).where(table.c.hash == hash)).one_or_none()
        if row is None or not now < _moment(row.expires_at):
            return None
        if row.used_at is None or now - _moment(row.used_at) >= _SEEN_EVERY:
            with self._writing() as connection:
                connection.execute(sa.update(table).where(table.c.hash == hash).values(used_at=iso_time(now)))
        return _token(row)

    def remove_token(self, id: int, now: datetime, deed: Deed) -> bool:  # noqa: A002
        with self._writing() as connection:
            gone = connection.execute(sa.delete(tables.api_tokens).where(tables.api_tokens.c.id == id)).rowcount
            if gone:
                _append(connection, deed, now)
        return bool(gone)

    # -- the logbook ---------------------------------------------------------------------------------------------

    @contextmanager
    def transaction(self, deed: Deed, now: datetime) -> Iterator[Connection]:
        """A change of another table and its row in the logbook, both or none."""
        with self._writing() as connection:
            yield connection
            _append(connection, deed, now)

    @contextmanager
    def change(self) -> Iterator[Change]:
        """A change of another table of which only then is known what the logbook gets, if anything."""
        with self._writing() as connection:
            yield Change(connection)

    def read(self) -> AbstractContextManager[Connection]:
        """A connection for reading another table."""
        return self._reading()

    def note(self, deeds: Iterable[Deed], now: datetime) -> None:
        """Append rows for what was done elsewhere."""
        waiting = list(deeds)
        if waiting:
            with self._writing() as connection:
                for deed in waiting:
                    _append(connection, deed, now)

    def newest_about(self, action: str, subject: str) -> LogRow | None:
        """The last row of this action about this subject."""
        table = tables.logbook
        query = sa.select(table).where(table.c.action == action, table.c.subject == subject)
        with self._reading() as connection:
            row = connection.execute(query.order_by(table.c.row.desc()).limit(1)).one_or_none()
        return _log_row(row) if row else None

    def log_page(self, before: int | None, limit: int) -> list[LogRow]:
        """Newest first, before a row when given."""
        table = tables.logbook
        query = sa.select(table).order_by(table.c.row.desc()).limit(limit)
        if before is not None:
            query = query.where(table.c.row < before)
        with self._reading() as connection:
            return [_log_row(row) for row in connection.execute(query)]

    def verify(self, noted: Iterable[Head] = ()) -> tuple[int, Head | None, list[Break]]:
        """How many rows there are, the newest, and where the chain does not hold."""
        with self._reading() as connection:
            head = _head(connection)
            count = connection.execute(sa.select(sa.func.count()).select_from(tables.logbook)).scalar_one()
            return count, head, breaks(_all_rows(connection), head, noted)

    # ------------------------------------------------------------------------------------------------------------

    def _one_person(self, where: sa.ColumnElement[bool]) -> Person | None:
        with self._reading() as connection:
            row = connection.execute(sa.select(tables.people).where(where)).one_or_none()
        return _person(row) if row else None

    def _admins_with_password(self) -> int:
        with self._reading() as connection:
            return connection.execute(_COUNT_ADMINS).scalar_one()

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with self._errors_named(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with self._errors_named(), self._engine.connect() as plain:
            connection = plain.execution_options(writes=True)
            with connection.begin():
                yield connection

    @contextmanager
    def _errors_named(self) -> Iterator[None]:
        try:
            yield
        except IntegrityError:
            raise
        except SQLAlchemyError as error:
            place = self._engine.url.render_as_string(hide_password=True)
            raise StorageProblem(f"database {place}: {error}; check that the file may be written") from error


_COUNT_ADMINS = (
    sa.select(sa.func.count())
    .select_from(tables.people)
    .where(tables.people.c.role == Role.ADMIN.word, tables.people.c.password_hash.is_not(None))
)


def _engine(url: str) -> Engine:
    if not url.startswith("sqlite"):
        return sa.create_engine(url, pool_pre_ping=True)
    engine = sa.create_engine(url, connect_args={"timeout": _LOCK_WAIT_S, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver begins nothing by itself: we do, below
        cursor = connection.cursor()
        if "mode=ro" not in url:
            cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")  # what was logged outlives a power cut
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _append(connection: Connection, deed: Deed, now: datetime) -> None:
    head = _head(connection)
    row = next_row(deed, now, head)
    connection.execute(
        sa.insert(tables.logbook),
        {
            "row": row.row, "at": row.at, "actor": row.actor, "origin": row.origin, "action": row.action,
            "subject": row.subject, "detail": row.detail, "previous": row.previous, "hash": row.hash,
        },
    )  # fmt: skip
    values = {"row": row.row, "hash": row.hash}
    if head is None:
        connection.execute(sa.insert(tables.logbook_head), {"id": 1, **values})
    else:
        connection.execute(sa.update(tables.logbook_head).where(tables.logbook_head.c.id == 1).values(values))


def _head(connection: Connection) -> Head | None:
    row = connection.execute(sa.select(tables.logbook_head)).one_or_none()
    return Head(row.row, row.hash) if row else None


def _all_rows(connection: Connection) -> Iterator[LogRow]:
    table, last = tables.logbook, -1
    while True:
        query = sa.select(table).where(table.c.row > last).order_by(table.c.row).limit(_PAGE)
        page = [_log_row(row) for row in connection.execute(query)]
        yield from page
        if len(page) < _PAGE:
            return
        last = page[-1].row


def _use_up(connection: Connection, link: str) -> None:
    """In the transaction of what the link is for: a link whose use fails is still good."""
    table = tables.one_time_links
    if link and connection.execute(sa.delete(table).where(table.c.hash == link)).rowcount != 1:
        raise LinkGone


def _keep_an_admin(connection: Connection, person: Person, becomes: Role) -> None:
    is_counted = person.role is Role.ADMIN and person.password_hash is not None and becomes is not Role.ADMIN
    if is_counted and connection.execute(_COUNT_ADMINS).scalar_one() <= 1:
        raise LastAdmin(person.name)


def _end_sessions(connection: Connection, person: int, keep: str = "") -> None:
    table = tables.sessions
    connection.execute(sa.delete(table).where(table.c.person == person, table.c.hash != keep))


def _person(row: Any) -> Person:
    return Person(
        row.id, row.name, role_of(row.role), row.password_hash, _moment(row.created_at),
        _moment(row.seen_at) if row.seen_at else None,
    )  # fmt: skip


def _token(row: Any) -> ApiToken:
    return ApiToken(
        row.id, row.name, row.hint, tuple(row.scopes), row.created_by, _moment(row.created_at),
        _moment(row.expires_at), _moment(row.used_at) if row.used_at else None,
    )  # fmt: skip


def _log_row(row: Any) -> LogRow:
    return LogRow(
        row.row, row.at, row.actor, row.origin, row.action, row.subject, row.detail, row.previous, row.hash
    )  # fmt: skip


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)

"""Durable memory in a database: SQLite (WAL) by default, any other that SQLAlchemy knows by URL."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from alembic import command
from alembic.config import Config as AlembicConfig
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from shelf_collector.adapters import tables
from shelf_collector.adapters.clock import SystemClock
from shelf_collector.core.audit import Gap, SourceAudit
from shelf_collector.core.demand import Level, Taken
from shelf_collector.core.inbox import NodeOccurrence, Numbered, StockReport
from shelf_collector.core.memory import AlertChange, Facts, FreshMessage
from shelf_collector.core.state import CameraState, NodeState, SlotState, StoreState
from shelf_collector.ports import Clock, SetAside, StorageProblem
from shelf_contracts.messages import Action, Alert, CameraStatus, NodeEvent, NodeInfo, SlotEvent, StockLevel, iso_time
from shelf_contracts.products import Product

T = TypeVar("T")

MOST_SET_ASIDE = 1000
_MOST_AT_ONCE = timedelta(days=1)
_NO_SLOT_EVENTS = ("stock", "overflow", "gone")
_LOCK_WAIT_S = 5
_BATCH = 500


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event of the history; ``row`` grows with every stored message."""

    row: int
    bay: str
    slot: str
    received_at: datetime
    event: SlotEvent


class Database:
    """Opens, migrates, reads and writes. Writing is for one thread; reading is for any."""

    def __init__(self, url: str, history_days: int = 90, clock: Clock | None = None) -> None:
        self._history_days = history_days
        self._clock = clock or SystemClock()
        self._engine = _engine(url)

    def open(self) -> None:
        """Make the schema what this version needs. Raises: StorageProblem."""
        if self._engine.dialect.name == "sqlite" and self._engine.url.database:
            file = Path(self._engine.url.database)
            file.parent.mkdir(parents=True, exist_ok=True)
            if str(file) != ":memory:":
                _only_for_its_owner(file)
        settings = AlembicConfig()
        settings.set_main_option("path_separator", "os")
        settings.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
        with self._errors_named(), self._engine.begin() as connection:
            settings.attributes["connection"] = connection
            command.upgrade(settings, "head")

    def close(self) -> None:
        self._engine.dispose()

    # -- the writer's side ---------------------------------------------------------------------------------------

    def known(self, messages: Sequence[Numbered]) -> set[tuple[str, str]]:
        """Which (source, id) of these are stored already."""
        table = tables.messages
        found: set[tuple[str, str]] = set()
        by_source: dict[str, list[str]] = {}
        for message in messages:
            by_source.setdefault(message.message.source, []).append(message.message.id)
        with self._errors_named(), self._engine.connect() as connection:
            for source, ids in by_source.items():  # source first, as the index has it
                for part in _parts(ids):
                    query = sa.select(table.c.id).where(table.c.source == source, table.c.id.in_(part))
                    found |= {(source, one) for one in connection.execute(query).scalars()}
        return found

    def store(self, facts: Facts, state: StoreState, set_aside: Sequence[SetAside]) -> None:
        """One transaction for everything a batch brought."""
        with self._errors_named(), self._engine.begin() as connection:
            if facts.fresh:
                connection.execute(sa.insert(tables.messages), [_message_row(fresh) for fresh in facts.fresh])
            self._put(
                connection,
                tables.slot_state,
                [_slot_row(state.slots[key]) for key in facts.slots if key in state.slots],
            )
            self._store_audits(connection, [state.sources[key] for key in facts.sources if key in state.sources])
            self._put(connection, tables.nodes, [_node_row(state.nodes[name]) for name in facts.nodes])
            there = facts.cameras & state.cameras.keys()
            self._put(connection, tables.cameras, [_camera_row(state.cameras[key]) for key in there])
            for node, camera in facts.cameras - there:
                where = (tables.cameras.c.node == node, tables.cameras.c.camera == camera)
                connection.execute(sa.delete(tables.cameras).where(*where))
            self._store_alerts(connection, facts.alerts)
            if set_aside:
                self._store_set_aside(connection, set_aside)

    def prune(self, now: datetime) -> int:
        """Forget messages, dead letters and alert changes older than ``history_days``; how many messages went.

        At most the oldest day of messages goes at once: a clock that is wrong by months has cost a day of history when
        it is set right, not all of it. Called every few hours, this catches up with any span without work.
        """
        before = iso_time(now - timedelta(days=self._history_days))
        table = tables.messages
        with self._errors_named(), self._engine.begin() as connection:
            oldest = connection.execute(sa.select(sa.func.min(table.c.received_at))).scalar()
            if oldest is not None:
                before = min(before, iso_time(_moment(oldest) + _MOST_AT_ONCE))
            gone = connection.execute(sa.delete(table).where(table.c.received_at < before)).rowcount
            connection.execute(sa.delete(tables.alerts).where(tables.alerts.c.at < before))
            connection.execute(sa.delete(tables.audit_periods).where(tables.audit_periods.c.begin < before))
            connection.execute(sa.delete(tables.set_aside).where(tables.set_aside.c.at < before))
        return gone

    def load_state(self, now: datetime) -> StoreState:
        """The state as it was; nodes that were there get three heartbeats' time to be heard again."""
        state = StoreState()
        with self._errors_named(), self._engine.connect() as connection:
            for row in connection.execute(sa.select(tables.slot_state)):
                state.slots[row.bay, row.slot] = SlotState(
                    bay=row.bay, slot=row.slot, source=row.source, node=row.node, sequence=row.sequence,
                    stock=StockLevel.model_validate(row.stock), as_of=_moment(row.as_of),
                    numbering=row.numbering,
                )  # fmt: skip
            for row in connection.execute(sa.select(tables.sources)):
                state.sources[row.source, row.numbering] = _source(row)
            for row in connection.execute(sa.select(tables.nodes)):
                info = NodeInfo.model_validate(row.info) if row.info else None
                if info is not None:
                    state.bays_of[row.node] = {camera.bay for camera in info.cameras}
                state.nodes[row.node] = NodeState(
                    row.node, row.state, row.session, _moment(row.since), heard_at=now, info=info
                )
            for row in connection.execute(sa.select(tables.cameras)):
                status = CameraStatus.model_validate(row.status)
                state.cameras[row.node, row.camera] = CameraState(row.node, row.camera, status)
        return state

    def load_open_alerts(self) -> list[Alert]:
        with self._errors_named(), self._engine.connect() as connection:
            return [Alert.model_validate(row.content) for row in connection.execute(sa.select(tables.open_alerts))]

    # -- everybody's side ----------------------------------------------------------------------------------------

    def events(
        self,
        *,
        before_row: int | None,
        limit: int,
        bay: str | None = None,
        slot: str | None = None,
        actions: Sequence[Action] = (),
        since: datetime | None = None,
    ) -> list[StoredEvent]:
        """The newest events (no stock levels), newest first, before a row and since a time of ours when given."""
        table = tables.messages
        kind = table.c.kind.in_(actions) if actions else table.c.kind.not_in(_NO_SLOT_EVENTS)
        query = sa.select(table).where(kind).order_by(table.c.row.desc()).limit(limit)
        if since is not None:
            query = query.where(table.c.received_at >= iso_time(since))
        if before_row is not None:
            query = query.where(table.c.row < before_row)
        if bay is not None:
            query = query.where(table.c.bay == bay)
        if slot is not None:
            query = query.where(table.c.slot == slot)
        with self._errors_named(), self._engine.connect() as connection:
            return [
                StoredEvent(row.row, row.bay, row.slot, _moment(row.received_at), SlotEvent.model_validate(row.data))
                for row in connection.execute(query)
            ]

    def slot_history(self, bay: str, slot: str, since: datetime) -> tuple[list[Level], list[Taken]]:
        """What one slot held and what was taken from it, in the order of time; what was put back counts against it."""
        table = tables.messages
        here = (table.c.bay == bay, table.c.slot == slot, table.c.time >= iso_time(since), table.c.outcome != "expired")
        query = sa.select(table.c.kind, table.c.time, table.c.data).where(
            *here, table.c.kind.in_(("stock", "pick", "put"))
        )
        levels, taken = [], []
        with self._errors_named(), self._engine.connect() as connection:
            for kind, time, data in connection.execute(query.order_by(table.c.time, table.c.row)):
                if kind == "stock":
                    levels.append(Level(_moment(time), data.get("count")))
                else:
                    quantity = int(data.get("quantity") or 0)
                    taken.append(Taken(_moment(time), quantity if kind == "pick" else -quantity))
        return levels, taken

    def solved_alert_ids(self) -> set[str]:
        """Ids that the history knows and that are not open."""
        with self._errors_named(), self._engine.connect() as connection:
            ever = connection.execute(sa.select(tables.alerts.c.alert).distinct()).scalars()
            return set(ever) - set(connection.execute(sa.select(tables.open_alerts.c.alert)).scalars())

    def alert_history(self, limit: int) -> list[AlertChange]:
        """What was opened, changed and solved, newest first."""
        table = tables.alerts
        with self._errors_named(), self._engine.connect() as connection:
            return [
                AlertChange(
                    row.alert, row.bay, row.slot, _moment(row.at),
                    Alert.model_validate(row.content) if row.content else None,
                )
                for row in connection.execute(sa.select(table).order_by(table.c.row.desc()).limit(limit))
            ]  # fmt: skip

    def audits(self) -> list[SourceAudit]:
        with self._errors_named(), self._engine.connect() as connection:
            query = sa.select(tables.sources).order_by(tables.sources.c.source, tables.sources.c.numbering)
            return [_source(row) for row in connection.execute(query)]

    def audit_since(self, since: datetime) -> dict[str, dict[str, int]]:
        """By source, how the figures grew since then, to ten minutes: received, duplicates, missed, healed, ..."""
        table = tables.audit_periods
        names = [column.name for column in table.columns if column.name not in ("source", "begin")]
        query = (
            sa.select(table.c.source, *(sa.func.sum(table.c[name]).label(name) for name in names))
            .where(table.c.begin >= period_of(since))
            .group_by(table.c.source)
            .order_by(table.c.source)
        )
        with self._errors_named(), self._engine.connect() as connection:
            return {row.source: {name: int(getattr(row, name)) for name in names} for row in connection.execute(query)}

    def dead_letters(self, limit: int) -> list[SetAside]:
        """The newest messages that could not be used, newest first."""
        table = tables.set_aside
        with self._errors_named(), self._engine.connect() as connection:
            query = sa.select(table).order_by(table.c.row.desc()).limit(limit)
            return [SetAside(row.topic, row.payload, row.problem, _moment(row.at)) for row in connection.execute(query)]

    def set_aside_count(self) -> int:
        with self._errors_named(), self._engine.connect() as connection:
            return connection.execute(sa.select(sa.func.count()).select_from(tables.set_aside)).scalar_one()

    def shop_products(self) -> dict[str, Product]:
        """The shop's own products as they were stored at the last start, by GTIN."""
        with self._errors_named(), self._engine.connect() as connection:
            rows = connection.execute(sa.select(tables.products_shop.c.content)).scalars()
            return {product.gtin: product for product in map(Product.model_validate, rows)}

    def replace_shop_products(self, products: Iterable[Product]) -> None:
        """The shop's own products are what its files say now; what is no longer in them goes."""
        rows = [{"gtin": product.gtin, "content": _json(product)} for product in products]
        with self._errors_named(), self._engine.begin() as connection:
            connection.execute(sa.delete(tables.products_shop))
            if rows:
                connection.execute(sa.insert(tables.products_shop), rows)

    def put_off_products(self, products: Sequence[Product]) -> None:
        """Add or renew rows from Open Food Facts, which stay apart from the shop's own (ODbL)."""
        rows = [
            {
                "gtin": product.gtin,
                "fetched_at": iso_time(product.fetched_at) if product.fetched_at else "",
                "content": _json(product),
            }
            for product in products
        ]
        with self._errors_named(), self._engine.begin() as connection:
            self._put(connection, tables.products_off, rows)

    def products(self, gtins: Sequence[str]) -> dict[str, Product]:
        """What is known of these, by GTIN; the shop's own row wins over Open Food Facts'."""
        found: dict[str, Product] = {}
        with self._errors_named(), self._engine.connect() as connection:
            for table in (tables.products_off, tables.products_shop):
                for part in _parts(list(gtins)):
                    for row in connection.execute(sa.select(table.c.content).where(table.c.gtin.in_(part))):
                        product = Product.model_validate(row.content)
                        found[product.gtin] = product
        return found

    def product_gtins(self, *, after: str, limit: int) -> list[str]:
        """GTINs known to either table, in order, greater than ``after``."""
        shop, off = tables.products_shop.c.gtin, tables.products_off.c.gtin
        either = sa.union(sa.select(shop), sa.select(off)).subquery()
        query = sa.select(either.c.gtin).where(either.c.gtin > after).order_by(either.c.gtin).limit(limit)
        with self._errors_named(), self._engine.connect() as connection:
            return list(connection.execute(query).scalars())

    def is_answering(self) -> bool:
        try:
            with self._engine.connect() as connection:
                connection.execute(sa.select(1))
        except SQLAlchemyError:
            return False
        return True

    # -- inside --------------------------------------------------------------------------------------------------

    def _put(self, connection: Connection, table: sa.Table, rows: list[dict[str, Any]]) -> None:
        """Insert or replace by primary key."""
        keys = list(table.primary_key.columns)
        for part in _parts(rows):
            for row in part:
                connection.execute(sa.delete(table).where(*(key == row[key.name] for key in keys)))
            connection.execute(sa.insert(table), part)

    def _store_audits(self, connection: Connection, audits: Sequence[SourceAudit]) -> None:
        """Write the audits, and add what they grew by to the figures of this stretch of time."""
        table, periods = tables.sources, tables.audit_periods
        for audit in audits:
            held = connection.execute(
                sa.select(table).where(table.c.source == audit.source, table.c.numbering == audit.numbering)
            ).one_or_none()
            before = _source(held) if held is not None else SourceAudit(audit.source, audit.numbering)
            grown = {name: value - _figures(before)[name] for name, value in _figures(audit).items()}
            if any(grown.values()):
                begin = period_of(self._clock.now())
                here = (periods.c.source == audit.source, periods.c.begin == begin)
                added = {name: periods.c[name] + value for name, value in grown.items()}
                if not connection.execute(sa.update(periods).where(*here).values(**added)).rowcount:
                    connection.execute(sa.insert(periods), {"source": audit.source, "begin": begin, **grown})
        self._put(connection, table, [_source_row(audit) for audit in audits])

    def _store_alerts(self, connection: Connection, changes: Sequence[AlertChange]) -> None:
        for change in changes:
            content = _json(change.alert) if change.alert else None
            connection.execute(
                sa.insert(tables.alerts),
                {
                    "alert": change.id, "bay": change.bay, "slot": change.slot, "at": iso_time(change.at),
                    "is_open": content is not None, "content": content,
                },
            )  # fmt: skip
            if content is None:
                connection.execute(sa.delete(tables.open_alerts).where(tables.open_alerts.c.alert == change.id))
            else:
                self._put(connection, tables.open_alerts, [{"alert": change.id, "content": content}])

    def _store_set_aside(self, connection: Connection, found: Sequence[SetAside]) -> None:
        table = tables.set_aside
        rows = [
            {"at": iso_time(one.at), "topic": one.topic, "payload": one.payload, "problem": one.problem}
            for one in found
        ]
        connection.execute(sa.insert(table), rows)
        newest = connection.execute(sa.select(sa.func.max(table.c.row))).scalar_one()
        connection.execute(sa.delete(table).where(table.c.row <= newest - MOST_SET_ASIDE))

    @contextmanager
    def _errors_named(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            place = self._engine.url.render_as_string(hide_password=True)
            raise StorageProblem(
                f"database {place}: {error}; check that the disk is not full and the file may be written"
            ) from error


def _only_for_its_owner(file: Path) -> None:
    """It holds password hashes; its log gets the rights of the file. Raises: StorageProblem."""
    try:
        os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o600))
        if file.stat().st_mode & 0o077:
            with contextlib.suppress(PermissionError):  # somebody else's file, lent to us
                file.chmod(0o600)
    except OSError as error:
        raise StorageProblem(f"database {file}: {error}; check that its folder may be written") from error


def _engine(url: str) -> Engine:
    if not url.startswith("sqlite"):
        return sa.create_engine(url, pool_pre_ping=True)
    engine = sa.create_engine(url, connect_args={"timeout": _LOCK_WAIT_S, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        if "mode=ro" not in url:
            cursor.execute("PRAGMA journal_mode=WAL")
        # Nodes forget what we acknowledge: it must survive a power cut, not only a crash.
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.close()

    return engine


def _message_row(fresh: FreshMessage) -> dict[str, Any]:
    message, envelope = fresh.message, fresh.message.message
    return {
        "source": envelope.source,
        "id": envelope.id,
        "sequence": envelope.sequence_number,
        "kind": "stock" if isinstance(message, StockReport) else message.message.data.action,
        "outcome": fresh.outcome,
        "bay": "" if isinstance(message, NodeOccurrence) else message.bay,
        "slot": "" if isinstance(message, NodeOccurrence) else message.slot,
        "time": iso_time(envelope.time),
        "received_at": iso_time(fresh.received_at),
        "data": _json(envelope.data),
    }


def _slot_row(held: SlotState) -> dict[str, Any]:
    return {
        "bay": held.bay,
        "slot": held.slot,
        "source": held.source,
        "node": held.node,
        "sequence": held.sequence,
        "as_of": iso_time(held.as_of),
        "stock": _json(held.stock),
        "numbering": held.numbering,
    }


def period_of(moment: datetime) -> str:
    """The stretch of ten minutes that a moment lies in, by its beginning."""
    return iso_time(moment.replace(minute=moment.minute // 10 * 10, second=0, microsecond=0))


def _figures(audit: SourceAudit) -> dict[str, int]:
    """What is counted by stretches of time. ``gaps`` and ``lost`` fall when something comes after all."""
    return {
        "received": audit.applied + audit.duplicates + audit.set_aside,
        "duplicates": audit.duplicates,
        "missed": audit.missing + audit.healed + audit.superseded + audit.given_up,
        "healed": audit.healed,
        "superseded": audit.superseded,
        "lost": audit.lost,
        "set_aside": audit.set_aside,
    }


def _source_row(audit: SourceAudit) -> dict[str, Any]:
    row = {field.name: getattr(audit, field.name) for field in fields(audit)}
    row["gaps"] = [[gap.first, gap.last, iso_time(gap.since)] for gap in audit.gaps]
    row["lost_ranges"] = [list(one) for one in audit.lost_ranges]
    return row


def _source(row: Any) -> SourceAudit:
    content = {field.name: getattr(row, field.name) for field in fields(SourceAudit)}
    # Version 0.1.0 did not say since when.
    content["gaps"] = tuple(
        Gap(one[0], one[1], _moment(one[2]) if len(one) > 2 else datetime.now(UTC)) for one in row.gaps
    )
    content["lost_ranges"] = tuple((first, last) for first, last in row.lost_ranges)
    return SourceAudit(**content)


def _node_row(node: NodeState) -> dict[str, Any]:
    return {
        "node": node.node,
        "state": node.state,
        "session": node.session,
        "since": iso_time(node.since),
        "info": _json(node.info) if node.info else None,
    }


def _camera_row(camera: CameraState) -> dict[str, Any]:
    return {"node": camera.node, "camera": camera.camera, "status": _json(camera.status)}


def _json(model: SlotEvent | StockLevel | NodeEvent | NodeInfo | CameraStatus | Alert | Product) -> Any:
    return model.model_dump(mode="json")


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _parts(rows: list[T]) -> Iterator[list[T]]:
    for start in range(0, len(rows), _BATCH):
        yield rows[start : start + _BATCH]

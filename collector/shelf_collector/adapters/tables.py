"""The tables. Times are UTC text in RFC 3339 with milliseconds: they sort, and people can read them."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)  # fmt: skip

metadata = MetaData()

_RowId = BigInteger().with_variant(Integer, "sqlite")

messages = Table(
    "messages",
    metadata,
    Column("row", _RowId, primary_key=True, autoincrement=True),
    Column("source", String(256), nullable=False),
    Column("id", String(128), nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("bay", String(32), nullable=False),
    Column("slot", String(32), nullable=False),
    Column("time", String(24), nullable=False),
    Column("received_at", String(24), nullable=False),
    Column("data", JSON, nullable=False),
    UniqueConstraint("source", "id", name="uq_messages_source_id"),
    Index("ix_messages_kind_row", "kind", "row"),
    Index("ix_messages_received_at", "received_at"),
    Index("ix_messages_slot", "bay", "slot", "time"),
)

slot_state = Table(
    "slot_state",
    metadata,
    Column("bay", String(32), primary_key=True),
    Column("slot", String(32), primary_key=True),
    Column("source", String(256), nullable=False),
    Column("node", String(32), nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("as_of", String(24), nullable=False),
    Column("stock", JSON, nullable=False),
    Column("numbering", String(32), nullable=False, server_default=""),
)

sources = Table(
    "sources",
    metadata,
    Column("source", String(256), primary_key=True),
    Column("numbering", String(32), primary_key=True),
    Column("first", BigInteger),
    Column("last", BigInteger),
    Column("gaps", JSON, nullable=False),
    Column("applied", BigInteger, nullable=False),
    Column("duplicates", BigInteger, nullable=False),
    Column("expired", BigInteger, nullable=False),
    Column("set_aside", BigInteger, nullable=False),
    Column("healed", BigInteger, nullable=False),
    Column("superseded", BigInteger, nullable=False),
    Column("given_up", BigInteger, nullable=False),
    Column("refused", BigInteger, nullable=False),
    Column("lost_ranges", JSON, nullable=False),
    Column("lost_earlier", BigInteger, nullable=False),
    Column("numberings", BigInteger, nullable=False),
)

audit_periods = Table(
    "audit_periods",
    metadata,
    Column("source", String(256), primary_key=True),
    Column("begin", String(24), primary_key=True),
    Column("received", BigInteger, nullable=False),
    Column("duplicates", BigInteger, nullable=False),
    Column("missed", BigInteger, nullable=False),
    Column("healed", BigInteger, nullable=False),
    Column("superseded", BigInteger, nullable=False),
    Column("lost", BigInteger, nullable=False),
    Column("set_aside", BigInteger, nullable=False),
)

nodes = Table(
    "nodes",
    metadata,
    Column("node", String(32), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("session", String(64), nullable=False),
    Column("since", String(24), nullable=False),
    Column("info", JSON),
)

cameras = Table(
    "cameras",
    metadata,
    Column("node", String(32), primary_key=True),
    Column("camera", String(32), primary_key=True),
    Column("status", JSON, nullable=False),
)

alerts = Table(
    "alerts",
    metadata,
    Column("row", _RowId, primary_key=True, autoincrement=True),
    Column("alert", String(32), nullable=False),
    Column("bay", String(32), nullable=False),
    Column("slot", String(32), nullable=False),
    Column("at", String(24), nullable=False),
    Column("is_open", Boolean, nullable=False),
    Column("content", JSON),
    Index("ix_alerts_alert_row", "alert", "row"),
)

open_alerts = Table(
    "open_alerts",
    metadata,
    Column("alert", String(32), primary_key=True),
    Column("content", JSON, nullable=False),
)

products_shop = Table(
    "products_shop",
    metadata,
    Column("gtin", String(14), primary_key=True),
    Column("content", JSON, nullable=False),
)

products_off = Table(
    "products_off",
    metadata,
    Column("gtin", String(14), primary_key=True),
    Column("fetched_at", String(24), nullable=False),
    Column("content", JSON, nullable=False),
)

set_aside = Table(
    "set_aside",
    metadata,
    Column("row", _RowId, primary_key=True, autoincrement=True),
    Column("at", String(24), nullable=False),
    Column("topic", Text, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("problem", Text, nullable=False),
)

people = Table(
    "people",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("name", String(40), nullable=False),
    Column("same_name", String(80), nullable=False, unique=True),
    Column("role", String(8), nullable=False),
    Column("password_hash", String(256)),
    Column("created_at", String(24), nullable=False),
    Column("seen_at", String(24)),
)

sessions = Table(
    "sessions",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("person", Integer, nullable=False),
    Column("created_at", String(24), nullable=False),
    Column("seen_at", String(24), nullable=False),
    Index("ix_sessions_person", "person"),
)

one_time_links = Table(
    "one_time_links",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("purpose", String(16), nullable=False),
    Column("person", Integer),
    Column("expires_at", String(24), nullable=False),
)

api_tokens = Table(
    "api_tokens",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("name", String(40), nullable=False),
    Column("hash", String(64), nullable=False, unique=True),
    Column("hint", String(12), nullable=False),
    Column("scopes", JSON, nullable=False),
    Column("created_by", String(64), nullable=False),
    Column("created_at", String(24), nullable=False),
    Column("expires_at", String(24), nullable=False),
    Column("used_at", String(24)),
)

logbook = Table(
    "logbook",
    metadata,
    Column("row", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("at", String(24), nullable=False),
    Column("actor", String(80), nullable=False),
    Column("origin", String(64), nullable=False),
    Column("action", String(32), nullable=False),
    Column("subject", String(128), nullable=False),
    Column("detail", Text, nullable=False),
    Column("previous", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
)

logbook_head = Table(
    "logbook_head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("row", BigInteger, nullable=False),
    Column("hash", String(64), nullable=False),
)

tasks = Table(
    "tasks",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("kind", String(16), nullable=False),
    Column("display", String(32), nullable=False),
    Column("bay", String(32), nullable=False),
    Column("slot", String(32)),
    Column("gtin", String(14)),
    Column("state", String(16), nullable=False),
    Column("created_at", String(24), nullable=False),
    Column("claimed_by", String(80)),
    Column("claimed_at", String(24)),
    Column("done_at", String(24)),
    Column("key", String(80), nullable=False, server_default=""),
    Column("detail", String(300), nullable=False, server_default=""),
    Column("quantity", Integer, nullable=False, server_default="0"),
    Column("snoozed_until", String(24)),
    Column("reason", String(32), nullable=False, server_default=""),
    Column("escalated_at", String(24)),
    Column("ended_at", String(24)),
    Index("ix_tasks_state", "state"),
)

task_steps = Table(
    "task_steps",
    metadata,
    Column("key", String(36), primary_key=True),
    Column("task", Integer, nullable=False),
    Column("at", String(24), nullable=False),
    Column("who", String(80), nullable=False),
    Column("refused", String(32), nullable=False),
    Column("holder", String(80), nullable=False),
    Index("ix_task_steps_at", "at"),
)

notice_marks = Table(
    "notice_marks",
    metadata,
    Column("task", Integer, primary_key=True, autoincrement=False),
    Column("about", String(80), nullable=False),
    Column("waiting_since", String(24)),
    Column("is_late", Boolean, nullable=False),
    Column("told_at", String(24)),
    Column("late_at", String(24)),
    Column("reminders", Integer, nullable=False),
    Column("is_acknowledged", Boolean, nullable=False),
    Column("is_over", Boolean, nullable=False),
)

notice_queue = Table(
    "notice_queue",
    metadata,
    Column("row", _RowId, primary_key=True, autoincrement=True),
    Column("channel", String(32), nullable=False),
    Column("message", String(36), nullable=False),
    Column("tries", Integer, nullable=False),
    Column("next_at", String(24)),
    Column("content", JSON, nullable=False),
    UniqueConstraint("channel", "message", name="uq_notice_queue_channel_message"),
)

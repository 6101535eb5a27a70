"""People, their sessions and tokens, and the logbook that nothing can be taken from."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# A replaced row fires no delete trigger in SQLite, so that a number that exists must be refused on the way in too.
_APPEND_ONLY = (
    "CREATE TRIGGER logbook_no_update BEFORE UPDATE ON logbook "
    "BEGIN SELECT RAISE(ABORT, 'the logbook is append-only'); END",
    "CREATE TRIGGER logbook_no_delete BEFORE DELETE ON logbook "
    "BEGIN SELECT RAISE(ABORT, 'the logbook is append-only'); END",
    "CREATE TRIGGER logbook_only_next BEFORE INSERT ON logbook "
    "WHEN NEW.row != (SELECT coalesce(max(row), 0) + 1 FROM logbook) "
    "BEGIN SELECT RAISE(ABORT, 'the logbook is append-only'); END",
    "CREATE TRIGGER logbook_head_no_delete BEFORE DELETE ON logbook_head "
    "BEGIN SELECT RAISE(ABORT, 'the logbook is append-only'); END",
    "CREATE TRIGGER logbook_head_only_next BEFORE UPDATE ON logbook_head WHEN NEW.row != OLD.row + 1 "
    "BEGIN SELECT RAISE(ABORT, 'the logbook is append-only'); END",
)


def upgrade() -> None:
    op.create_table(
        "people",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=True),
        sa.Column("name", sa.String(40), nullable=False),
        sa.Column("same_name", sa.String(80), nullable=False, unique=True),
        sa.Column("role", sa.String(8), nullable=False),
        sa.Column("password_hash", sa.String(256)),
        sa.Column("created_at", sa.String(24), nullable=False),
        sa.Column("seen_at", sa.String(24)),
    )
    op.create_table(
        "sessions",
        sa.Column("hash", sa.String(64), primary_key=True),
        sa.Column("person", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.String(24), nullable=False),
        sa.Column("seen_at", sa.String(24), nullable=False),
    )
    op.create_index("ix_sessions_person", "sessions", ["person"])
    op.create_table(
        "one_time_links",
        sa.Column("hash", sa.String(64), primary_key=True),
        sa.Column("purpose", sa.String(16), nullable=False),
        sa.Column("person", sa.Integer()),
        sa.Column("expires_at", sa.String(24), nullable=False),
    )
    op.create_table(
        "api_tokens",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=True),
        sa.Column("name", sa.String(40), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False, unique=True),
        sa.Column("hint", sa.String(12), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("created_by", sa.String(64), nullable=False),
        sa.Column("created_at", sa.String(24), nullable=False),
        sa.Column("expires_at", sa.String(24), nullable=False),
        sa.Column("used_at", sa.String(24)),
    )
    op.create_table(
        "logbook",
        sa.Column("row", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=False),
        sa.Column("at", sa.String(24), nullable=False),
        sa.Column("actor", sa.String(80), nullable=False),
        sa.Column("origin", sa.String(64), nullable=False),
        sa.Column("action", sa.String(32), nullable=False),
        sa.Column("subject", sa.String(128), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("previous", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
    )
    op.create_table(
        "logbook_head",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("row", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
    )
    if op.get_bind().dialect.name == "sqlite":
        for statement in _APPEND_ONLY:
            op.execute(statement)


def downgrade() -> None:
    for table in ("logbook_head", "logbook", "api_tokens", "one_time_links", "sessions", "people"):  # fmt: skip
        op.drop_table(table)

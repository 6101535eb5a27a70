"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_RowId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "messages",
        sa.Column("row", _RowId, primary_key=True, autoincrement=True),
        sa.Column("source", sa.String(256), nullable=False),
        sa.Column("id", sa.String(128), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("bay", sa.String(32), nullable=False),
        sa.Column("slot", sa.String(32), nullable=False),
        sa.Column("time", sa.String(24), nullable=False),
        sa.Column("received_at", sa.String(24), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.UniqueConstraint("source", "id", name="uq_messages_source_id"),
    )
    op.create_index("ix_messages_kind_row", "messages", ["kind", "row"])
    op.create_index("ix_messages_received_at", "messages", ["received_at"])
    op.create_table(
        "slot_state",
        sa.Column("bay", sa.String(32), primary_key=True),
        sa.Column("slot", sa.String(32), primary_key=True),
        sa.Column("source", sa.String(256), nullable=False),
        sa.Column("node", sa.String(32), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("as_of", sa.String(24), nullable=False),
        sa.Column("stock", sa.JSON(), nullable=False),
    )
    op.create_table(
        "sources",
        sa.Column("source", sa.String(256), primary_key=True),
        sa.Column("first", sa.BigInteger()),
        sa.Column("last", sa.BigInteger()),
        sa.Column("gaps", sa.JSON(), nullable=False),
        sa.Column("applied", sa.BigInteger(), nullable=False),
        sa.Column("duplicates", sa.BigInteger(), nullable=False),
        sa.Column("expired", sa.BigInteger(), nullable=False),
        sa.Column("set_aside", sa.BigInteger(), nullable=False),
        sa.Column("lost_earlier", sa.BigInteger(), nullable=False),
        sa.Column("numberings", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "nodes",
        sa.Column("node", sa.String(32), primary_key=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("session", sa.String(64), nullable=False),
        sa.Column("since", sa.String(24), nullable=False),
        sa.Column("info", sa.JSON()),
    )
    op.create_table(
        "cameras",
        sa.Column("node", sa.String(32), primary_key=True),
        sa.Column("camera", sa.String(32), primary_key=True),
        sa.Column("status", sa.JSON(), nullable=False),
    )
    op.create_table(
        "alerts",
        sa.Column("row", _RowId, primary_key=True, autoincrement=True),
        sa.Column("alert", sa.String(32), nullable=False),
        sa.Column("bay", sa.String(32), nullable=False),
        sa.Column("slot", sa.String(32), nullable=False),
        sa.Column("at", sa.String(24), nullable=False),
        sa.Column("is_open", sa.Boolean(), nullable=False),
        sa.Column("content", sa.JSON()),
    )
    op.create_index("ix_alerts_alert_row", "alerts", ["alert", "row"])
    op.create_table(
        "open_alerts",
        sa.Column("alert", sa.String(32), primary_key=True),
        sa.Column("content", sa.JSON(), nullable=False),
    )
    op.create_table(
        "products_shop",
        sa.Column("gtin", sa.String(14), primary_key=True),
        sa.Column("content", sa.JSON(), nullable=False),
    )
    op.create_table(
        "products_off",
        sa.Column("gtin", sa.String(14), primary_key=True),
        sa.Column("fetched_at", sa.String(24), nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
    )
    op.create_table(
        "set_aside",
        sa.Column("row", _RowId, primary_key=True, autoincrement=True),
        sa.Column("at", sa.String(24), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("problem", sa.Text(), nullable=False),
    )


def downgrade() -> None:
    for table in (
        "set_aside", "products_off", "products_shop", "open_alerts", "alerts", "cameras", "nodes", "sources",
        "slot_state", "messages",
    ):  # fmt: skip
        op.drop_table(table)

"""Tasks that the shop's state makes; each step of a person once; the history of one slot."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def _new() -> list[sa.Column[Any]]:
    return [
        sa.Column("key", sa.String(80), nullable=False, server_default=""),
        sa.Column("detail", sa.String(300), nullable=False, server_default=""),
        sa.Column("quantity", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("snoozed_until", sa.String(24)),
        sa.Column("reason", sa.String(32), nullable=False, server_default=""),
        sa.Column("escalated_at", sa.String(24)),
        sa.Column("ended_at", sa.String(24)),
    ]


def upgrade() -> None:
    for column in _new():
        op.add_column("tasks", column)
    op.execute("UPDATE tasks SET ended_at = done_at WHERE state = 'done'")
    op.create_table(
        "task_steps",
        sa.Column("key", sa.String(36), primary_key=True),
        sa.Column("task", sa.Integer(), nullable=False),
        sa.Column("at", sa.String(24), nullable=False),
        sa.Column("who", sa.String(80), nullable=False),
        sa.Column("refused", sa.String(32), nullable=False),
        sa.Column("holder", sa.String(80), nullable=False),
        sa.Index("ix_task_steps_at", "at"),
    )
    op.create_index("ix_messages_slot", "messages", ["bay", "slot", "time"])


def downgrade() -> None:
    op.drop_index("ix_messages_slot", "messages")
    op.drop_table("task_steps")
    with op.batch_alter_table("tasks") as table:
        for column in _new():
            table.drop_column(column.name)

"""What people were told of tasks, and messages that wait to be sent, outlive a restart."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "notice_marks",
        sa.Column("task", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("about", sa.String(80), nullable=False),
        sa.Column("waiting_since", sa.String(24)),
        sa.Column("is_late", sa.Boolean(), nullable=False),
        sa.Column("told_at", sa.String(24)),
        sa.Column("late_at", sa.String(24)),
        sa.Column("reminders", sa.Integer(), nullable=False),
        sa.Column("is_acknowledged", sa.Boolean(), nullable=False),
        sa.Column("is_over", sa.Boolean(), nullable=False),
    )
    op.create_table(
        "notice_queue",
        sa.Column("row", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("channel", sa.String(32), nullable=False),
        sa.Column("message", sa.String(36), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("next_at", sa.String(24)),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.UniqueConstraint("channel", "message", name="uq_notice_queue_channel_message"),
    )


def downgrade() -> None:
    op.drop_table("notice_queue")
    op.drop_table("notice_marks")

"""Tasks for staff."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "tasks",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("display", sa.String(32), nullable=False),
        sa.Column("bay", sa.String(32), nullable=False),
        sa.Column("slot", sa.String(32)),
        sa.Column("gtin", sa.String(14)),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("created_at", sa.String(24), nullable=False),
        sa.Column("claimed_by", sa.String(80)),
        sa.Column("claimed_at", sa.String(24)),
        sa.Column("done_at", sa.String(24)),
        sa.Index("ix_tasks_state", "state"),
    )


def downgrade() -> None:
    op.drop_table("tasks")

"""A source may have several numberings, each with its own books; figures by stretches of ten minutes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_KEPT = "first, last, gaps, applied, duplicates, expired, set_aside, lost_earlier, numberings"


def upgrade() -> None:
    # SQLite cannot change a primary key: the table is written anew.
    op.rename_table("sources", "sources_0001")
    op.create_table(
        "sources",
        sa.Column("source", sa.String(256), primary_key=True),
        sa.Column("numbering", sa.String(32), primary_key=True),
        sa.Column("first", sa.BigInteger()),
        sa.Column("last", sa.BigInteger()),
        sa.Column("gaps", sa.JSON(), nullable=False),
        sa.Column("applied", sa.BigInteger(), nullable=False),
        sa.Column("duplicates", sa.BigInteger(), nullable=False),
        sa.Column("expired", sa.BigInteger(), nullable=False),
        sa.Column("set_aside", sa.BigInteger(), nullable=False),
        sa.Column("healed", sa.BigInteger(), nullable=False),
        sa.Column("superseded", sa.BigInteger(), nullable=False),
        sa.Column("given_up", sa.BigInteger(), nullable=False),
        sa.Column("refused", sa.BigInteger(), nullable=False),
        sa.Column("lost_ranges", sa.JSON(), nullable=False),
        sa.Column("lost_earlier", sa.BigInteger(), nullable=False),
        sa.Column("numberings", sa.BigInteger(), nullable=False),
    )
    op.execute(
        f"INSERT INTO sources (source, numbering, healed, superseded, given_up, refused, lost_ranges, {_KEPT}) "  # noqa: S608 - constants
        f"SELECT source, '', 0, 0, 0, 0, '[]', {_KEPT} FROM sources_0001"
    )
    op.drop_table("sources_0001")
    op.add_column("slot_state", sa.Column("numbering", sa.String(32), nullable=False, server_default=""))
    op.create_table(
        "audit_periods",
        sa.Column("source", sa.String(256), primary_key=True),
        sa.Column("begin", sa.String(24), primary_key=True),
        sa.Column("received", sa.BigInteger(), nullable=False),
        sa.Column("duplicates", sa.BigInteger(), nullable=False),
        sa.Column("missed", sa.BigInteger(), nullable=False),
        sa.Column("healed", sa.BigInteger(), nullable=False),
        sa.Column("superseded", sa.BigInteger(), nullable=False),
        sa.Column("lost", sa.BigInteger(), nullable=False),
        sa.Column("set_aside", sa.BigInteger(), nullable=False),
    )


def downgrade() -> None:
    raise NotImplementedError("restore a backup made before the update")

"""Store the buckets of rate limits, which processes share, and the time at which a write was last proved to work."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "rate_limits",
        sa.Column("key", sa.String(64), primary_key=True),
        sa.Column("calls", sa.Float(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Index("ix_rate_limits_at", "at"),
    )
    op.create_table(
        "write_checks",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("at", sa.Float(), nullable=False),
    )

"""Stored scores."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the table of scores."""
    op.create_table(
        "scores",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("seller_id", sa.String(200), nullable=False),
        sa.Column("purpose", sa.String(40), nullable=False),
        sa.Column("scored_at", sa.DateTime(), nullable=False),
        sa.Column("bundle", sa.String(71), nullable=False),
        sa.Column("inputs", sa.LargeBinary(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
    )


def downgrade() -> None:
    """Drop the table of scores, and the scores with it."""
    op.drop_table("scores")

"""What a challenger would have scored."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the table of a challenger's scores."""
    op.create_table(
        "shadow_scores",
        sa.Column("score_id", sa.String(36), sa.ForeignKey("scores.id"), primary_key=True),
        sa.Column("bundle", sa.String(71), primary_key=True),
        sa.Column("outcome", sa.String(40), nullable=False),
        sa.Column("score", sa.Integer(), nullable=True),
        sa.Column("band", sa.String(10), nullable=True),
        sa.Column("probability_of_default", sa.Float(), nullable=True),
    )


def downgrade() -> None:
    """Drop the table of a challenger's scores, and those scores with it."""
    op.drop_table("shadow_scores")

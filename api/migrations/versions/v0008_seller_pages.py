"""Links that log in once, sessions, and what sellers ask to have looked at; all of it is lost on the way down."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "login_links",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("subject", sa.String(200), nullable=False),
        sa.Column("language", sa.String(10), nullable=True),
        sa.Column("made_at", sa.DateTime(), nullable=False),
        sa.Column("expires_at", sa.DateTime(), nullable=False),
        sa.Column("made_by", sa.String(60), nullable=False),
    )
    op.create_index("login_links_subject", "login_links", ["subject"])
    op.create_table(
        "sessions",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("subject", sa.String(200), nullable=False),
        sa.Column("language", sa.String(10), nullable=True),
        sa.Column("began_at", sa.DateTime(), nullable=False),
        sa.Column("seen_at", sa.DateTime(), nullable=False),
        sa.Column("began_by", sa.String(60), nullable=False),
    )
    op.create_index("sessions_subject", "sessions", ["subject"])
    op.create_table(
        "reviews",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("seller_id", sa.String(200), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("feature", sa.String(100), nullable=True),
        sa.Column("score_id", sa.String(36), nullable=True),
        sa.Column("statement", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.DateTime(), nullable=False),
        sa.Column("due_at", sa.DateTime(), nullable=False),
        sa.Column("taken_at", sa.DateTime(), nullable=True),
        sa.Column("taken_by", sa.String(60), nullable=True),
        sa.Column("decided_at", sa.DateTime(), nullable=True),
        sa.Column("decided_by", sa.String(60), nullable=True),
        sa.Column("outcome", sa.String(20), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("new_score_id", sa.String(36), nullable=True),
    )
    op.create_index("reviews_seller", "reviews", ["seller_id", "opened_at"])
    op.create_index("reviews_opened", "reviews", ["opened_at", "id"])
    op.create_table(
        "corrections",
        sa.Column("review_id", sa.String(36), primary_key=True),
        sa.Column("seller_id", sa.String(200), nullable=False),
        sa.Column("as_of", sa.String(10), nullable=False),
        sa.Column("feature", sa.String(100), nullable=False),
        sa.Column("found", sa.Float(), nullable=True),
        sa.Column("value", sa.Float(), nullable=True),
        sa.Column("corrected_at", sa.DateTime(), nullable=False),
    )
    op.create_index("corrections_seller", "corrections", ["seller_id", "as_of"])


def downgrade() -> None:
    """Drop the tables; decisions stay on the ledger."""
    for name in ("corrections", "reviews", "sessions", "login_links"):
        op.drop_table(name)

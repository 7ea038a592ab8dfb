"""The keys by which banks name their requests."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Make the table of keys that were used."""
    op.create_table(
        "idempotency_keys",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("owner", sa.String(60), nullable=False),
        sa.Column("operation", sa.String(40), nullable=False),
        sa.Column("request", sa.String(64), nullable=False),
        sa.Column("made", sa.String(60), nullable=False),
        sa.Column("expires_at", sa.DateTime(), nullable=False),
    )
    op.create_index("idempotency_keys_expired", "idempotency_keys", ["owner", "expires_at"])


def downgrade() -> None:
    """Drop the keys: a request sent again is then a new one."""
    op.drop_table("idempotency_keys")

"""Clients, what they prove themselves with, and which bank a score was made for.

Scores that were made with the one token of the first path belong to no bank that can ever call: they get the bank
`before-banks`, an id that no client is given. They stay for replay, monitoring and audit; handing them to any one bank
would show it what others asked. Nothing refers from a score to a client: SQLite can add no such column to rows that
are there, and what is appended must not hang on what may be administered.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_BEFORE = "before-banks"


def upgrade() -> None:
    """Make the tables of clients, and give scores a bank."""
    op.create_table(
        "clients",
        sa.Column("id", sa.String(60), primary_key=True),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("revoked_at", sa.DateTime(), nullable=True),
    )
    _credentials(
        "client_secrets",
        sa.Column("name", sa.String(20), primary_key=True),
        sa.Column("hash", sa.String(200), nullable=False),
    )
    _credentials(
        "client_keys",
        sa.Column("thumbprint", sa.String(60), primary_key=True),
        sa.Column("jwk", sa.Text(), nullable=False),
    )
    op.create_table(
        "used_assertions",
        sa.Column("client_id", sa.String(60), sa.ForeignKey("clients.id"), primary_key=True),
        sa.Column("jti_digest", sa.String(64), primary_key=True),
        sa.Column("expires_at", sa.DateTime(), nullable=False),
    )
    op.create_index("ix_used_assertions_expires_at", "used_assertions", ["expires_at"])
    op.add_column("scores", sa.Column("bank_id", sa.String(60), nullable=False, server_default=_BEFORE))


def downgrade() -> None:
    """Drop the clients and all that they prove themselves with; scores stay, and forget their bank."""
    op.drop_column("scores", "bank_id")
    op.drop_index("ix_used_assertions_expires_at", "used_assertions")
    for table in ("used_assertions", "client_keys", "client_secrets", "clients"):
        op.drop_table(table)


def _credentials(table: str, *columns: sa.Column[str]) -> None:
    op.create_table(
        table,
        sa.Column("client_id", sa.String(60), sa.ForeignKey("clients.id"), primary_key=True),
        *columns,
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("expires_at", sa.DateTime(), nullable=True),
    )

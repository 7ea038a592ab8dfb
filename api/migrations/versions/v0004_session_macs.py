"""Store a MAC with each login link and session. Existing ones have none, so all users log in again."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Delete the rows and add the columns."""
    for table in ("login_links", "sessions"):
        op.execute(sa.delete(sa.table(table)))
        op.add_column(table, sa.Column("mac", sa.String(64), nullable=False, server_default=""))

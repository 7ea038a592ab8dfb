"""Index the kinds of ledger rows, which verifications read first, and store the time of the last row of each chain."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create the index and the column."""
    op.create_index("ledger_kind", "ledger", ["chain", "kind", "position"])
    op.add_column("chains", sa.Column("recorded_at", sa.String(27), nullable=False, server_default=""))
    op.execute(
        "UPDATE chains SET recorded_at = coalesce((SELECT recorded_at FROM ledger "
        "WHERE ledger.chain = chains.name AND ledger.position = chains.position), '')"
    )

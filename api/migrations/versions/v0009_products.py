"""Financing products of banks, in every version that they ever had."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0005"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "products",
        sa.Column("bank_id", sa.String(60), primary_key=True),
        sa.Column("product_id", sa.String(60), primary_key=True),
        sa.Column("version", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("since", sa.DateTime(), nullable=False),
        sa.Column("until", sa.DateTime(), nullable=True),
        sa.Column("content", sa.Text(), nullable=False),
    )
    in_force = sa.text("until IS NULL")
    op.create_index(
        "products_in_force",
        "products",
        ["bank_id", "product_id"],
        unique=True,
        sqlite_where=in_force,
        postgresql_where=in_force,
    )


def downgrade() -> None:
    """Drop the table; products are lost."""
    op.drop_table("products")

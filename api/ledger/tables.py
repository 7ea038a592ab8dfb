"""The tables of the ledger. Text where a moment could stand, since what is hashed must be read back byte for byte."""

from typing import Final

from sqlalchemy import BigInteger, Column, Index, LargeBinary, String, Table

from api.database import metadata

chains: Final = Table(
    "chains",
    metadata,
    Column("name", String(80), primary_key=True),
    Column("position", BigInteger(), nullable=False),
    Column("head", LargeBinary(), nullable=False),
)
"""Where each chain stands; its row is the lock under which the next one is appended."""

ledger: Final = Table(
    "ledger",
    metadata,
    Column("chain", String(80), primary_key=True),
    Column("position", BigInteger(), primary_key=True, autoincrement=False),
    Column("kind", String(20), nullable=False),
    Column("recorded_at", String(27), nullable=False),
    Column("subject", String(32), nullable=False),
    Column("commitment", LargeBinary(), nullable=False),
    Column("sealed", LargeBinary(), nullable=False),
    Column("head", LargeBinary(), nullable=False),
    Index("ledger_subject", "subject"),
)

seller_keys: Final = Table(
    "seller_keys",
    metadata,
    Column("seller_id", String(200), primary_key=True),
    Column("subject", String(32), nullable=False, unique=True),
    Column("wrapped", LargeBinary(), nullable=False),
)
"""The one place where a pseudonym meets its seller; erasing removes the row, and with it the key."""

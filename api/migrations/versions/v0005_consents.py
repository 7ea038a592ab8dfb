"""Consents, and the requests for them.

What the ledger holds of consents stays on the way down and is read back on the way up; requests are lost.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from alembic import context, op

from api.database import UtcDateTime
from api.errors import DatabaseSetupError
from api.ledger.chain import Header, Row
from api.ledger.repository import SellerKey
from api.ledger.sealing import SealBrokenError, opened
from api.ledger.service import content_of, seller_bound

revision = "0005"
down_revision = "0004"

_LEDGER = sa.table(
    "ledger",
    *(sa.column(name, sa.String()) for name in ("chain",)),
    sa.column("position", sa.BigInteger()),
    *(sa.column(name, sa.String()) for name in ("kind", "recorded_at", "subject")),
    *(sa.column(name, sa.LargeBinary()) for name in ("commitment", "sealed", "head")),
)
_KEYS = sa.table(
    "seller_keys",
    sa.column("seller_id", sa.String()),
    sa.column("subject", sa.String()),
    sa.column("wrapped", sa.LargeBinary()),
)
_MOMENTS = ("granted_at", "ends_at", "revoked_at", "recorded_at")
_CONSENTS = sa.table(
    "consents",
    *(sa.column(name, sa.String()) for name in ("id", "seller_id", "bank_id", "purpose", "recorded_by")),
    *(sa.column(name, UtcDateTime()) for name in _MOMENTS),
)


def upgrade() -> None:
    """Make the tables, and fill them with what the ledger holds where it was here before."""
    op.create_table(
        "consents",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("seller_id", sa.String(200), nullable=False),
        sa.Column("bank_id", sa.String(60), nullable=False),
        sa.Column("purpose", sa.String(40), nullable=False),
        sa.Column("granted_at", sa.DateTime(), nullable=False),
        sa.Column("ends_at", sa.DateTime(), nullable=False),
        sa.Column("revoked_at", sa.DateTime(), nullable=True),
        sa.Column("recorded_at", sa.DateTime(), nullable=False),
        sa.Column("recorded_by", sa.String(60), nullable=False),
    )
    op.create_index("consents_seller", "consents", ["seller_id", "bank_id", "purpose"])
    op.create_index("consents_bank", "consents", ["bank_id", "recorded_at", "id"])
    op.create_index("consents_recorded", "consents", ["recorded_at", "id"])
    op.create_table(
        "consent_requests",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("seller_id", sa.String(200), nullable=False),
        sa.Column("bank_id", sa.String(60), nullable=False),
        sa.Column("purpose", sa.String(40), nullable=False),
        sa.Column("asked_at", sa.DateTime(), nullable=False),
        sa.Column("expires_at", sa.DateTime(), nullable=False),
        sa.Column("declined_at", sa.DateTime(), nullable=True),
        sa.Column("consent_id", sa.String(36), nullable=True),
    )
    op.create_index("consent_requests_seller", "consent_requests", ["seller_id", "bank_id", "purpose"])
    op.create_index("consent_requests_bank", "consent_requests", ["bank_id", "asked_at", "id"])
    op.create_index("consent_requests_asked", "consent_requests", ["asked_at", "id"])
    _read_back(op.get_bind())


def downgrade() -> None:
    """Drop the tables; the ledger keeps what it proves."""
    op.drop_table("consent_requests")
    op.drop_table("consents")


def _read_back(connection: sa.Connection) -> None:
    wanted = (
        sa.select(_LEDGER, _KEYS)
        .select_from(_LEDGER.join(_KEYS, _KEYS.c.subject == _LEDGER.c.subject))
        .where(_LEDGER.c.kind.in_(["consent", "revocation"]))
        .order_by(_LEDGER.c.chain, _LEDGER.c.position)
    )
    master: bytes | None = None
    for found in connection.execute(wanted).all():
        master = master or _master()
        row = Row(Header(*found[:5]), *found[5:8])
        content = _content(master, row, SellerKey(*found[8:]))
        if row.header.kind == "consent":
            connection.execute(sa.insert(_CONSENTS), _consent(row, content))
        else:
            revoked = sa.update(_CONSENTS).where(_CONSENTS.c.id == content["consent_id"])
            connection.execute(revoked, {"revoked_at": datetime.fromisoformat(row.header.recorded_at)})


def _consent(row: Row, content: dict[str, Any]) -> dict[str, Any]:
    moments = {name: datetime.fromisoformat(content[name]) for name in ("granted_at", "ends_at")}
    rest = {name: content[name] for name in ("seller_id", "bank_id", "purpose", "recorded_by")}
    recorded = datetime.fromisoformat(row.header.recorded_at)
    return {"id": content["consent_id"], **rest, **moments, "recorded_at": recorded, "revoked_at": None}


def _content(master: bytes, row: Row, known: SellerKey) -> dict[str, Any]:
    try:
        key = opened(master, known.wrapped, seller_bound(known.seller_id, known.subject))
        found: dict[str, Any] = json.loads(content_of(row, key))
    except SealBrokenError as error:
        raise DatabaseSetupError(
            f"Row {row.header.position} of {row.header.chain} is damaged; nothing was done."
        ) from error
    return found


def _master() -> bytes:
    give = context.config.attributes.get("master")
    if give is None:
        raise DatabaseSetupError(
            "Consents are to be read from the ledger, which needs its key; start the service, which has it."
        )
    key: bytes = give()
    return key

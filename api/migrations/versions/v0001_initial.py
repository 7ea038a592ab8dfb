"""The initial schema: all tables and indexes."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.schema import SchemaItem

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create all tables."""
    for name, items in _tables().items():
        op.create_table(name, *items)


def _tables() -> dict[str, Sequence[SchemaItem]]:
    only_active: dict[str, Any] = dict.fromkeys(("sqlite_where", "postgresql_where"), sa.text("until IS NULL"))
    return {
        "clients": (
            sa.Column("id", sa.String(60), primary_key=True),
            sa.Column("kind", sa.String(20), nullable=False),
            sa.Column("name", sa.String(200), nullable=False),
            sa.Column("created_at", sa.DateTime(), nullable=False),
            sa.Column("revoked_at", sa.DateTime(), nullable=True),
        ),
        "client_secrets": (
            sa.Column("client_id", sa.String(60), sa.ForeignKey("clients.id"), primary_key=True),
            sa.Column("name", sa.String(20), primary_key=True),
            sa.Column("hash", sa.String(200), nullable=False),
            sa.Column("created_at", sa.DateTime(), nullable=False),
            sa.Column("expires_at", sa.DateTime(), nullable=True),
        ),
        "client_keys": (
            sa.Column("client_id", sa.String(60), sa.ForeignKey("clients.id"), primary_key=True),
            sa.Column("thumbprint", sa.String(60), primary_key=True),
            sa.Column("jwk", sa.Text(), nullable=False),
            sa.Column("created_at", sa.DateTime(), nullable=False),
            sa.Column("expires_at", sa.DateTime(), nullable=True),
        ),
        "used_assertions": (
            sa.Column("client_id", sa.String(60), sa.ForeignKey("clients.id"), primary_key=True),
            sa.Column("jti_digest", sa.String(64), primary_key=True),
            sa.Column("expires_at", sa.DateTime(), nullable=False),
            sa.Index("ix_used_assertions_expires_at", "expires_at"),
        ),
        "chains": (
            sa.Column("name", sa.String(80), primary_key=True),
            sa.Column("position", sa.BigInteger(), nullable=False),
            sa.Column("head", sa.LargeBinary(), nullable=False),
        ),
        "ledger": (
            sa.Column("chain", sa.String(80), primary_key=True),
            sa.Column("position", sa.BigInteger(), primary_key=True, autoincrement=False),
            sa.Column("kind", sa.String(20), nullable=False),
            sa.Column("recorded_at", sa.String(27), nullable=False),
            sa.Column("subject", sa.String(32), nullable=False),
            sa.Column("commitment", sa.LargeBinary(), nullable=False),
            sa.Column("sealed", sa.LargeBinary(), nullable=False),
            sa.Column("head", sa.LargeBinary(), nullable=False),
            sa.Index("ledger_subject", "subject"),
        ),
        "seller_keys": (
            sa.Column("seller_id", sa.String(200), primary_key=True),
            sa.Column("subject", sa.String(32), nullable=False, unique=True),
            sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        ),
        "scores": (
            sa.Column("id", sa.String(36), primary_key=True),
            sa.Column("chain", sa.String(80), nullable=False),
            sa.Column("position", sa.BigInteger(), nullable=False),
            sa.Column("subject", sa.String(32), nullable=False),
            sa.Column("purpose", sa.String(40), nullable=False),
            sa.Column("scored_at", sa.DateTime(), nullable=False),
            sa.Column("bundle", sa.String(71), nullable=False),
            sa.Column("receipt", sa.LargeBinary(), nullable=True),
            sa.UniqueConstraint("chain", "position"),
            sa.Index("scores_subject", "subject"),
        ),
        "shadow_scores": (
            sa.Column("score_id", sa.String(36), sa.ForeignKey("scores.id"), primary_key=True),
            sa.Column("bundle", sa.String(71), primary_key=True),
            sa.Column("outcome", sa.String(40), nullable=False),
            sa.Column("score", sa.Integer(), nullable=True),
            sa.Column("band", sa.String(10), nullable=True),
            sa.Column("probability_of_default", sa.Float(), nullable=True),
        ),
        "idempotency_keys": (
            sa.Column("name", sa.String(64), primary_key=True),
            sa.Column("owner", sa.String(60), nullable=False),
            sa.Column("operation", sa.String(40), nullable=False),
            sa.Column("request", sa.String(64), nullable=False),
            sa.Column("resource_id", sa.String(60), nullable=False),
            sa.Column("expires_at", sa.DateTime(), nullable=False),
            sa.Index("idempotency_keys_expired", "owner", "expires_at"),
        ),
        "consents": (
            sa.Column("id", sa.String(36), primary_key=True),
            sa.Column("seller_id", sa.String(200), nullable=False),
            sa.Column("bank_id", sa.String(60), nullable=False),
            sa.Column("purpose", sa.String(40), nullable=False),
            sa.Column("granted_at", sa.DateTime(), nullable=False),
            sa.Column("ends_at", sa.DateTime(), nullable=False),
            sa.Column("revoked_at", sa.DateTime(), nullable=True),
            sa.Column("recorded_at", sa.DateTime(), nullable=False),
            sa.Column("recorded_by", sa.String(60), nullable=False),
            sa.Index("consents_seller", "seller_id", "bank_id", "purpose"),
            sa.Index("consents_bank", "bank_id", "recorded_at", "id"),
            sa.Index("consents_recorded", "recorded_at", "id"),
        ),
        "consent_requests": (
            sa.Column("id", sa.String(36), primary_key=True),
            sa.Column("seller_id", sa.String(200), nullable=False),
            sa.Column("bank_id", sa.String(60), nullable=False),
            sa.Column("purpose", sa.String(40), nullable=False),
            sa.Column("asked_at", sa.DateTime(), nullable=False),
            sa.Column("expires_at", sa.DateTime(), nullable=False),
            sa.Column("declined_at", sa.DateTime(), nullable=True),
            sa.Column("consent_id", sa.String(36), nullable=True),
            sa.Index("consent_requests_seller", "seller_id", "bank_id", "purpose"),
            sa.Index("consent_requests_bank", "bank_id", "asked_at", "id"),
            sa.Index("consent_requests_asked", "asked_at", "id"),
        ),
        "products": (
            sa.Column("bank_id", sa.String(60), primary_key=True),
            sa.Column("product_id", sa.String(60), primary_key=True),
            sa.Column("version", sa.Integer(), primary_key=True, autoincrement=False),
            sa.Column("since", sa.DateTime(), nullable=False),
            sa.Column("until", sa.DateTime(), nullable=True),
            sa.Column("content", sa.Text(), nullable=False),
            sa.Index("products_in_force", "bank_id", "product_id", unique=True, **only_active),
        ),
        "login_links": (
            sa.Column("digest", sa.String(64), primary_key=True),
            sa.Column("kind", sa.String(20), nullable=False),
            sa.Column("subject", sa.String(200), nullable=False),
            sa.Column("language", sa.String(10), nullable=True),
            sa.Column("created_at", sa.DateTime(), nullable=False),
            sa.Column("expires_at", sa.DateTime(), nullable=False),
            sa.Column("created_by", sa.String(60), nullable=False),
            sa.Index("login_links_subject", "subject"),
        ),
        "sessions": (
            sa.Column("digest", sa.String(64), primary_key=True),
            sa.Column("kind", sa.String(20), nullable=False),
            sa.Column("subject", sa.String(200), nullable=False),
            sa.Column("language", sa.String(10), nullable=True),
            sa.Column("created_at", sa.DateTime(), nullable=False),
            sa.Column("last_used_at", sa.DateTime(), nullable=False),
            sa.Column("created_by", sa.String(60), nullable=False),
            sa.Index("sessions_subject", "subject"),
        ),
        "reviews": (
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
            sa.Index("reviews_seller", "seller_id", "opened_at"),
            sa.Index("reviews_opened", "opened_at", "id"),
        ),
        "corrections": (
            sa.Column("review_id", sa.String(36), primary_key=True),
            sa.Column("seller_id", sa.String(200), nullable=False),
            sa.Column("as_of", sa.String(10), nullable=False),
            sa.Column("feature", sa.String(100), nullable=False),
            sa.Column("found", sa.Float(), nullable=True),
            sa.Column("value", sa.Float(), nullable=True),
            sa.Column("corrected_at", sa.DateTime(), nullable=False),
            sa.Index("corrections_seller", "seller_id", "as_of"),
        ),
    }

"""The initial schema: all tables and indexes."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create all tables."""
    _create_clients()
    _create_ledger()
    _create_scores()
    _create_consents()
    _create_products()
    _create_sessions()
    _create_reviews()


def _create_clients() -> None:
    op.create_table(
        "clients",
        sa.Column("id", sa.String(60), primary_key=True),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("revoked_at", sa.DateTime(), nullable=True),
    )
    op.create_table(
        "client_secrets",
        sa.Column("client_id", sa.String(60), sa.ForeignKey("clients.id"), primary_key=True),
        sa.Column("name", sa.String(20), primary_key=True),
        sa.Column("hash", sa.String(200), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("expires_at", sa.DateTime(), nullable=True),
    )
    op.create_table(
        "client_keys",
        sa.Column("client_id", sa.String(60), sa.ForeignKey("clients.id"), primary_key=True),
        sa.Column("thumbprint", sa.String(60), primary_key=True),
        sa.Column("jwk", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("expires_at", sa.DateTime(), nullable=True),
    )
    op.create_table(
        "used_assertions",
        sa.Column("client_id", sa.String(60), sa.ForeignKey("clients.id"), primary_key=True),
        sa.Column("jti_digest", sa.String(64), primary_key=True),
        sa.Column("expires_at", sa.DateTime(), nullable=False),
    )
    op.create_index("ix_used_assertions_expires_at", "used_assertions", ["expires_at"])


def _create_ledger() -> None:
    op.create_table(
        "chains",
        sa.Column("name", sa.String(80), primary_key=True),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("head", sa.LargeBinary(), nullable=False),
    )
    op.create_table(
        "ledger",
        sa.Column("chain", sa.String(80), primary_key=True),
        sa.Column("position", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("recorded_at", sa.String(27), nullable=False),
        sa.Column("subject", sa.String(32), nullable=False),
        sa.Column("commitment", sa.LargeBinary(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("head", sa.LargeBinary(), nullable=False),
    )
    op.create_index("ledger_subject", "ledger", ["subject"])
    op.create_table(
        "seller_keys",
        sa.Column("seller_id", sa.String(200), primary_key=True),
        sa.Column("subject", sa.String(32), nullable=False, unique=True),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
    )


def _create_scores() -> None:
    op.create_table(
        "scores",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("chain", sa.String(80), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("subject", sa.String(32), nullable=False),
        sa.Column("purpose", sa.String(40), nullable=False),
        sa.Column("scored_at", sa.DateTime(), nullable=False),
        sa.Column("bundle", sa.String(71), nullable=False),
        sa.Column("receipt", sa.LargeBinary(), nullable=True),
        sa.UniqueConstraint("chain", "position"),
    )
    op.create_index("scores_subject", "scores", ["subject"])
    op.create_table(
        "shadow_scores",
        sa.Column("score_id", sa.String(36), sa.ForeignKey("scores.id"), primary_key=True),
        sa.Column("bundle", sa.String(71), primary_key=True),
        sa.Column("outcome", sa.String(40), nullable=False),
        sa.Column("score", sa.Integer(), nullable=True),
        sa.Column("band", sa.String(10), nullable=True),
        sa.Column("probability_of_default", sa.Float(), nullable=True),
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("owner", sa.String(60), nullable=False),
        sa.Column("operation", sa.String(40), nullable=False),
        sa.Column("request", sa.String(64), nullable=False),
        sa.Column("resource_id", sa.String(60), nullable=False),
        sa.Column("expires_at", sa.DateTime(), nullable=False),
    )
    op.create_index("idempotency_keys_expired", "idempotency_keys", ["owner", "expires_at"])


def _create_consents() -> None:
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


def _create_products() -> None:
    op.create_table(
        "products",
        sa.Column("bank_id", sa.String(60), primary_key=True),
        sa.Column("product_id", sa.String(60), primary_key=True),
        sa.Column("version", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("since", sa.DateTime(), nullable=False),
        sa.Column("until", sa.DateTime(), nullable=True),
        sa.Column("content", sa.Text(), nullable=False),
    )
    active = sa.text("until IS NULL")
    op.create_index(
        "products_in_force",
        "products",
        ["bank_id", "product_id"],
        unique=True,
        sqlite_where=active,
        postgresql_where=active,
    )


def _create_sessions() -> None:
    op.create_table(
        "login_links",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("subject", sa.String(200), nullable=False),
        sa.Column("language", sa.String(10), nullable=True),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("expires_at", sa.DateTime(), nullable=False),
        sa.Column("created_by", sa.String(60), nullable=False),
    )
    op.create_index("login_links_subject", "login_links", ["subject"])
    op.create_table(
        "sessions",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("subject", sa.String(200), nullable=False),
        sa.Column("language", sa.String(10), nullable=True),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("last_used_at", sa.DateTime(), nullable=False),
        sa.Column("created_by", sa.String(60), nullable=False),
    )
    op.create_index("sessions_subject", "sessions", ["subject"])


def _create_reviews() -> None:
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

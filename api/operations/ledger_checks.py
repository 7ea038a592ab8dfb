"""The checks of a verification: one for each group of tables that depends on the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from api.clients.ledger_entries import ClientCheck
from api.consents.ledger_entries import ConsentCheck
from api.ledger.checks import Check
from api.ledger.database_check import DatabaseCheck
from api.products.ledger_entries import ProductCheck
from api.reviews.ledger_entries import ReviewCheck
from api.reviews.used_corrections import UsedCorrectionCheck
from api.scores.idempotency_check import IdempotencyKeyCheck
from api.scores.ledger_entries import ScoreIndexCheck


def all_checks(jwks: Mapping[str, Any]) -> tuple[Check, ...]:
    """Return the checks of all tables: scores, idempotency keys, consents, reviews, corrections, products and clients.

    The last check is of the database: the types of all stored values, triggers and views.

    Example: `verify(engine, ledger, all_checks(ring.jwks)).faults` is `()` if the ledger and all tables are whole.
    """
    return (
        ScoreIndexCheck(jwks),
        IdempotencyKeyCheck(),
        ConsentCheck(),
        ReviewCheck(),
        UsedCorrectionCheck(),
        ProductCheck(jwks),
        ClientCheck(jwks),
        DatabaseCheck(),
    )

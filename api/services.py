"""What a running service holds: opened once at start, closed at the end, and given to each endpoint."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy import Engine

from api.auth.signing_keys import KeyRing, Use, open_ring
from api.auth.tokens import Auth, open_auth
from api.kit.background import DegradedConditions
from api.kit.batching import RequestBatcher
from api.kit.idempotency import IdempotencyKeys
from api.kit.middleware import RequestMetrics, reject_duplicate_parameters
from api.ledger.checkpoints import SentCheckpoints
from api.ledger.store import Ledger, open_ledger
from api.models.bundle_store import ServedModel
from api.models.registry import load_challenger, load_champion
from api.scores.shadow import ShadowScorer
from api.settings import Settings
from features.store.vectors import VectorStore


@dataclass(frozen=True)
class Services:
    """The parts that endpoints work with; `shadow` is there where a challenger is.

    `api.operations.model_reloader` replaces the whole container when the model or a key changes, so a request ends
    with the parts that it began with.
    """

    settings: Settings
    champion: ServedModel
    shadow: ShadowScorer | None
    vectors: VectorStore
    engine: Engine
    access: Auth
    ledger: Ledger
    batches: RequestBatcher
    receipts: KeyRing
    idempotency: IdempotencyKeys
    troubles: DegradedConditions
    counted: RequestMetrics
    sent: SentCheckpoints


@contextmanager
def open_services(settings: Settings, counted: RequestMetrics) -> Iterator[Services]:
    """Open everything, or nothing: each part that cannot be opened says why in one sentence.

    A bundle is proved and what explains a row compiled as it is loaded, so the first request is as fast as any.

    Raises:
        StartError: a key, the model or the database cannot be used.
        ScoringError: the champion's bundle does not verify.
    """
    access = open_auth(settings)
    champion, challenger = load_champion(settings), load_challenger(settings)
    receipts = open_ring(settings, Use.RECEIPTS)
    engine, ledger = open_ledger(settings)
    # one that was promoted would score everything twice
    beside = challenger is not None and challenger.bundle.digest != champion.bundle.digest
    shadow = ShadowScorer(challenger, engine) if challenger is not None and beside else None
    batches = RequestBatcher()
    try:
        vectors = VectorStore(settings.vectors_path)
        idempotency = IdempotencyKeys(ledger.master, timedelta(days=settings.idempotency_days))
        told = (DegradedConditions(), counted, SentCheckpoints())
        parts = (vectors, engine, access, ledger, batches, receipts, idempotency)
        yield Services(settings, champion, shadow, *parts, *told)
    finally:
        batches.close()
        if shadow is not None:
            shadow.close()
        engine.dispose()


async def _services(request: Request) -> Services:
    # here, since every endpoint asks for the parts and a look of its own would cost each request as much as its route
    reject_duplicate_parameters(request)
    services: Services = request.app.state.services
    return services


Wired = Annotated[Services, Depends(_services)]
"""The type by which an endpoint asks for the parts."""

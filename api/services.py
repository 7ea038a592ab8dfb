"""What a running service holds: opened once at start, closed at the end, and given to each endpoint."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy import Engine

from api.access.parts import Access, open_access
from api.batches import Batches
from api.idempotency.keys import Keys
from api.keyring import KeyRing
from api.keys.rings import Use, opened
from api.ledger.checkpoints import Sent
from api.ledger.opening import open_ledger
from api.ledger.service import Ledger
from api.metrics.counted import Counted
from api.model_store import Served, load_challenger, load_champion
from api.settings import Settings
from api.shadow.service import Shadow
from api.strict import once
from api.troubles import Troubles
from features.store.vectors import VectorStore


@dataclass(frozen=True)
class Services:
    """The parts that endpoints work with; `shadow` is there where a challenger is.

    While the service runs, `api.watch` puts others with another model or key in their place, whole: a request ends with
    those that it began with.
    """

    settings: Settings
    champion: Served
    shadow: Shadow | None
    vectors: VectorStore
    engine: Engine
    access: Access
    ledger: Ledger
    batches: Batches
    receipts: KeyRing
    idempotency: Keys
    troubles: Troubles
    counted: Counted
    sent: Sent


@contextmanager
def open_services(settings: Settings, counted: Counted) -> Iterator[Services]:
    """Open everything, or nothing: each part that cannot be opened says why in one sentence.

    A bundle is proved and what explains a row compiled as it is loaded, so the first request is as fast as any.

    Raises:
        StartError: a key, the model or the database cannot be used.
        ScoringError: the champion's bundle does not verify.
    """
    access = open_access(settings)
    champion, challenger = load_champion(settings), load_challenger(settings)
    receipts = opened(settings, Use.RECEIPTS)
    engine, ledger = open_ledger(settings)
    # one that was promoted would score everything twice
    beside = challenger is not None and challenger.bundle.digest != champion.bundle.digest
    shadow = Shadow(challenger, engine) if challenger is not None and beside else None
    batches = Batches()
    try:
        vectors = VectorStore(settings.vectors_path)
        idempotency = Keys(ledger.master, timedelta(days=settings.idempotency_days))
        told = (Troubles(), counted, Sent())
        parts = (vectors, engine, access, ledger, batches, receipts, idempotency)
        yield Services(settings, champion, shadow, *parts, *told)
    finally:
        batches.close()
        if shadow is not None:
            shadow.close()
        engine.dispose()


async def _services(request: Request) -> Services:
    # here, since every endpoint asks for the parts and a look of its own would cost each request as much as its route
    once(request)
    services: Services = request.app.state.services
    return services


Wired = Annotated[Services, Depends(_services)]
"""The type by which an endpoint asks for the parts."""

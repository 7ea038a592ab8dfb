"""The container of all services: opened at start, closed at shutdown, passed to endpoints as a dependency."""

from dataclasses import dataclass
from typing import Annotated, Protocol

from fastapi import Depends, Request
from sqlalchemy import Engine

from api.auth.oidc import OidcLogins
from api.auth.signing_keys import KeyRing
from api.auth.tokens import Auth
from api.kit.background import DegradedConditions
from api.kit.batching import RequestBatcher
from api.kit.idempotency import IdempotencyKeys
from api.kit.middleware import RequestMetrics
from api.kit.write_check import WriteCheck
from api.ledger.checkpoints import SentCheckpoints
from api.ledger.store import Ledger
from api.models.bundle_store import ServedModel
from api.settings import Settings
from features.store.vectors import VectorStore
from scoring import Vector


class ShadowScorer(Protocol):
    """Scores requests with the challenger in the background."""

    @property
    def challenger(self) -> ServedModel:
        """The challenger."""

    @property
    def waiting(self) -> int:
        """Number of requests that wait for their shadow score."""

    def offer(self, score_id: str, vector: Vector) -> None:
        """Queue a request that the champion scored."""

    def close(self) -> None:
        """Score the queued requests and stop."""


@dataclass(frozen=True)
class Services:
    """The services that endpoints use. `shadow` is None without a challenger, `oidc` without a login provider.

    `api.operations.model_reloader` replaces the whole container if a model or key changes. A request keeps the
    container that it started with.
    """

    settings: Settings
    champion: ServedModel
    shadow: ShadowScorer | None
    vectors: VectorStore
    engine: Engine
    auth: Auth
    ledger: Ledger
    batcher: RequestBatcher
    idempotency: IdempotencyKeys
    write_check: WriteCheck
    degraded: DegradedConditions
    metrics: RequestMetrics
    sent_checkpoints: SentCheckpoints
    oidc: OidcLogins | None

    @property
    def receipts(self) -> KeyRing:
        """The keys of receipts and checkpoints."""
        return self.auth.receipts


async def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


ServicesDep = Annotated[Services, Depends(_services)]
"""The type of the parameter by which an endpoint receives the services."""

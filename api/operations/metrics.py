"""What is measured when it is asked for: the model in force, the age of the data, the ledger, what waits.

`GET /metrics`, for whoever runs the service: an operator's token, which Prometheus fetches by itself (`oauth2`).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, time
from typing import Annotated, Any, Final

from fastapi import APIRouter, Response
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from api import errors
from api.auth.callers import RATE_HEADERS, REFUSALS, AuthenticatedRoute, Operator, require_scope
from api.auth.scopes import Scope
from api.errors import DatabaseUnavailable
from api.kit.database import transaction
from api.kit.openapi import problem_responses
from api.ledger import store
from api.services import Services, Wired
from features.errors import StoreError


class _ServiceCollector(Collector):
    """Everything of one service at one moment, as the library asks for it."""

    def __init__(self, services: Services, now: datetime) -> None:
        self._services, self._now = services, now

    def collect(self) -> Iterator[Metric]:
        """Yield what is counted and what is measured."""
        yield from self._services.counted.families()
        yield from _measure(self._services, self._now)


def render_metrics(services: Services, now: datetime) -> bytes:
    """Return everything that is counted and measured; what cannot be read at the moment is left out."""
    registry = CollectorRegistry()
    registry.register(_ServiceCollector(services, now))
    return generate_latest(registry)


def _measure(services: Services, now: datetime) -> Iterator[Metric]:
    yield _model(services)
    yield from _data(services, now)
    yield from _ledger(services, now)
    waiting = 0 if services.shadow is None else services.shadow.waiting
    yield GaugeMetricFamily("sellerscore_shadow_waiting", "Requests that a challenger has yet to score.", waiting)
    about = "1 for each part with a trouble that does not stop scoring."
    troubles = GaugeMetricFamily("sellerscore_trouble", about, labels=("part",))
    for part in services.troubles.parts:
        troubles.add_metric((part,), 1)
    yield troubles


def _model(services: Services) -> Metric:
    champion = services.champion
    named = ("model", "version", "bundle")
    model = GaugeMetricFamily("sellerscore_model_info", "The model in force; always 1.", labels=named)
    model.add_metric((champion.model_name, champion.version, champion.bundle.digest), 1)
    return model


def _data(services: Services, now: datetime) -> Iterator[Metric]:
    try:
        stored = next(services.vectors.all_latest(), None)
    except StoreError:
        stored = None
    if stored is not None:
        midnight = datetime.combine(stored.snapshot.as_of, time(), UTC)
        age = (now - midnight).total_seconds()
        about = "Seconds since the midnight up to which vectors use data."
        yield GaugeMetricFamily("sellerscore_data_age_seconds", about, age)


def _ledger(services: Services, now: datetime) -> Iterator[Metric]:
    try:
        with transaction(services.engine) as connection:
            rows = sum(tip.position for tip in store.tips(connection).values())
    except DatabaseUnavailable:
        return
    yield GaugeMetricFamily("sellerscore_ledger_rows", "Rows in all chains of the ledger.", rows)
    sent = services.sent.latest
    if services.settings.checkpoint_url is None:
        return
    uncovered = rows - (0 if sent is None else sent.rows)
    about = "Rows that no checkpoint covers of those sent since the start."
    yield GaugeMetricFamily("sellerscore_ledger_uncovered_rows", about, uncovered)
    if sent is not None:
        age = (now - sent.at).total_seconds()
        about = "Seconds since a checkpoint was sent and taken."
        yield GaugeMetricFamily("sellerscore_checkpoint_age_seconds", about, age)


router = APIRouter(tags=["health"], route_class=AuthenticatedRoute)


_PAGE: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "Counts since the start, and what is measured now.",
        "headers": RATE_HEADERS,
        "content": {"text/plain": {"schema": {"type": "string"}, "example": "sellerscore_ledger_rows 4812.0\n"}},
    }
}


@router.get(
    "/metrics",
    operation_id="getMetrics",
    summary="What the service counts of itself",
    response_class=Response,
    responses=_PAGE | problem_responses(*REFUSALS, errors.InternalError, errors.DatabaseUnavailable),
)
def get_metrics(_: Annotated[Operator, require_scope(Scope.METRICS_READ)], services: Wired) -> Response:
    """Return requests by route and status, latency, scores by outcome, age of the data, ledger and checkpoints.

    No seller and no client is named, but for the kind of the caller.
    """
    return Response(
        render_metrics(services, datetime.now(UTC)), 200, {"Cache-Control": "no-store"}, CONTENT_TYPE_PLAIN_0_0_4
    )

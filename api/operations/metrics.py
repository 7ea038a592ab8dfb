"""`GET /metrics` for Prometheus: request counts, and gauges of the model, the data, the ledger and degraded conditions.

It needs a token of an operator, which Prometheus gets itself (`oauth2`).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, time
from typing import Annotated

from fastapi import APIRouter, Response
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from api.auth.callers import AuthenticatedRoute, Operator, require_scope
from api.auth.scopes import Scope
from api.errors import DatabaseUnavailable, InvalidRequest
from api.kit.database import transaction
from api.kit.openapi import NO_STORE, responses
from api.ledger import store
from api.operations.health import read_vector
from api.services import Services, ServicesDep


class _ServiceCollector(Collector):
    """All metrics of one service at one time."""

    def __init__(self, services: Services, now: datetime) -> None:
        self._services, self._now = services, now

    def collect(self) -> Iterator[Metric]:
        """Yield the counters and the gauges."""
        yield from self._services.metrics.families()
        yield from _measure(self._services, self._now)


def render_metrics(services: Services, now: datetime) -> bytes:
    """Return all metrics in the text format. Values that cannot be read are left out."""
    registry = CollectorRegistry()
    registry.register(_ServiceCollector(services, now))
    return generate_latest(registry)


def _measure(services: Services, now: datetime) -> Iterator[Metric]:
    yield _model(services)
    yield from _data(services, now)
    yield from _ledger(services, now)
    waiting = 0 if services.shadow is None else services.shadow.waiting
    yield GaugeMetricFamily("sellerscore_shadow_waiting", "Requests waiting for their shadow score.", waiting)
    about = "1 for each component with a problem that does not stop scoring."
    degraded = GaugeMetricFamily("sellerscore_degraded", about, labels=("part",))
    for part in services.degraded.parts:
        degraded.add_metric((part,), 1)
    yield degraded


def _model(services: Services) -> Metric:
    champion = services.champion
    named = ("model", "version", "bundle")
    model = GaugeMetricFamily("sellerscore_model_info", "The current model; always 1.", labels=named)
    model.add_metric((champion.model_name, champion.version, champion.bundle.digest), 1)
    return model


def _data(services: Services, now: datetime) -> Iterator[Metric]:
    vector = read_vector(services)
    if vector is not None:
        midnight = datetime.combine(vector.snapshot.as_of, time(), UTC)
        age = (now - midnight).total_seconds()
        about = "Seconds since the midnight through which the vectors use data."
        yield GaugeMetricFamily("sellerscore_data_age_seconds", about, age)


def _ledger(services: Services, now: datetime) -> Iterator[Metric]:
    try:
        with transaction(services.engine) as connection:
            rows = sum(tip.position for tip in store.tips(connection).values())
    except DatabaseUnavailable:
        return
    yield GaugeMetricFamily("sellerscore_ledger_rows", "Rows in all chains of the ledger.", rows)
    sent = services.sent_checkpoints.latest
    if services.settings.checkpoint_url is None:
        return
    uncovered = rows - (0 if sent is None else sent.rows)
    about = "Rows that no checkpoint sent since the start covers."
    yield GaugeMetricFamily("sellerscore_ledger_uncovered_rows", about, uncovered)
    if sent is not None:
        age = (now - sent.at).total_seconds()
        about = "Seconds since the last accepted checkpoint."
        yield GaugeMetricFamily("sellerscore_checkpoint_age_seconds", about, age)


router = APIRouter(tags=["health"], route_class=AuthenticatedRoute)


@router.get(
    "/metrics",
    operation_id="getMetrics",
    summary="Metrics of the service",
    response_class=Response,
    responses=responses(
        200,
        "Counters since the start, and current gauges.",
        InvalidRequest,
        content={"text/plain": {"schema": {"type": "string"}, "example": "sellerscore_ledger_rows 4812.0\n"}},
    ),
)
def get_metrics(_: Annotated[Operator, require_scope(Scope.METRICS_READ)], services: ServicesDep) -> Response:
    """Return requests by route and status, latency, scores by outcome, age of the data, ledger and checkpoints.

    Metrics name no seller and no client, only the kind of caller.
    """
    return Response(render_metrics(services, datetime.now(UTC)), 200, NO_STORE, CONTENT_TYPE_PLAIN_0_0_4)

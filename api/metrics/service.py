"""What is measured when it is asked for: the model in force, the age of the data, the ledger, what waits."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, time

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from api.database import transaction
from api.errors import DatabaseUnavailable
from api.ledger import repository
from api.services import Services
from features.errors import StoreError


class _Told(Collector):
    """Everything of one service at one moment, as the library asks for it."""

    def __init__(self, services: Services, now: datetime) -> None:
        self._services, self._now = services, now

    def collect(self) -> Iterator[Metric]:
        """Yield what is counted and what is measured."""
        yield from self._services.counted.families()
        yield from _measured(self._services, self._now)


def page(services: Services, now: datetime) -> bytes:
    """Return everything that is counted and measured; what cannot be read at the moment is left out."""
    registry = CollectorRegistry()
    registry.register(_Told(services, now))
    return generate_latest(registry)


def _measured(services: Services, now: datetime) -> Iterator[Metric]:
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
            rows = sum(tip.position for tip in repository.tips(connection).values())
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

"""What is measured when it is asked for: the model in force, the age of the data, the ledger, what waits."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, time

from api.database import transaction
from api.errors import DatabaseUnavailable
from api.ledger import repository
from api.metrics.written import Family, Sample, gauge, written
from api.services import Services
from features.errors import StoreError


def page(services: Services, now: datetime) -> str:
    """Return everything that is counted and measured; what cannot be read at the moment is left out."""
    return written([*services.counted.families(), *_measured(services, now)])


def _measured(services: Services, now: datetime) -> Iterator[Family]:
    yield _model(services)
    yield from _data(services, now)
    yield from _ledger(services, now)
    waiting = 0 if services.shadow is None else services.shadow.waiting
    yield gauge("sellerscore_shadow_waiting", "Requests that a challenger has yet to score.", waiting)
    parts = tuple(Sample("", (("part", part),), 1) for part in services.troubles.parts)
    yield Family("sellerscore_trouble", "gauge", "1 for each part with a trouble that does not stop scoring.", parts)


def _model(services: Services) -> Family:
    champion = services.champion
    named = (("model", champion.model_name), ("version", champion.version), ("bundle", champion.bundle.digest))
    return gauge("sellerscore_model_info", "The model in force; always 1.", 1, named)


def _data(services: Services, now: datetime) -> Iterator[Family]:
    try:
        stored = next(services.vectors.all_latest(), None)
    except StoreError:
        stored = None
    if stored is not None:
        midnight = datetime.combine(stored.snapshot.as_of, time(), UTC)
        age = (now - midnight).total_seconds()
        yield gauge("sellerscore_data_age_seconds", "Seconds since the midnight up to which vectors use data.", age)


def _ledger(services: Services, now: datetime) -> Iterator[Family]:
    try:
        with transaction(services.engine) as connection:
            rows = sum(tip.position for tip in repository.tips(connection).values())
    except DatabaseUnavailable:
        return
    yield gauge("sellerscore_ledger_rows", "Rows in all chains of the ledger.", rows)
    sent = services.sent.latest
    if services.settings.checkpoint_url is None:
        return
    uncovered = rows - (0 if sent is None else sent.rows)
    about = "Rows that no checkpoint covers of those sent since the start."
    yield gauge("sellerscore_ledger_uncovered_rows", about, uncovered)
    if sent is not None:
        age = (now - sent.at).total_seconds()
        yield gauge("sellerscore_checkpoint_age_seconds", "Seconds since a checkpoint was sent and taken.", age)

"""What readiness means: the database answers, vectors are there, and the model in force can assess one."""

from collections.abc import Iterator
from datetime import date

from sqlalchemy import text

from api.database import transaction
from api.errors import DatabaseUnavailable, NotReady
from api.health.schemas import Ready
from api.services import Services
from api.vectors import to_vector
from features.errors import StoreError
from features.store.vectors import StoredVector
from scoring import ScoringError, assess
from scoring.freshness import optional_gaps, required_gaps


def readiness(services: Services, today: date) -> Ready:
    """Try each part once.

    Example: vectors as of 2026-01-31 have a `data_age_days` of 1 where `today` is 2026-02-01.

    Raises:
        NotReady: its detail names every part that failed, and never a seller.
    """
    vector, vectors = _vectors(services)
    parts = (_database(services), vectors, _model(services, vector), _data(services, vector, today))
    failed = [part for part in parts if part]
    if failed or vector is None:
        raise NotReady(" ".join(failed))
    champion, as_of = services.champion, vector.snapshot.as_of
    return Ready(
        status="ready",
        model=f"{champion.model_name}/{champion.version}",
        bundle=champion.bundle.digest,
        troubles=[*services.troubles.all, *_lagging(services, vector, today)],
        data_through=as_of.isoformat(),
        data_age_days=(today - as_of).days,
    )


def _data(services: Services, vector: StoredVector | None, today: date) -> str | None:
    if vector is None:
        return None
    sheet = services.champion.bundle.sheet
    gaps = required_gaps(sheet, to_vector(vector, today))
    if not gaps:
        return None
    found = ", ".join(
        f"{gap.table} end on {gap.data_through}" if gap.data_through else f"{gap.table} were not delivered"
        for gap in gaps
    )
    return (
        f"data: too old for a score, or missing ({found}; allowed is at most {sheet.max_age_days} days before "
        f"{today}); ingest a newer delivery."
    )


def _lagging(services: Services, vector: StoredVector, today: date) -> Iterator[str]:
    """Yield what is to be said of optional tables that scores do without, since they are too old."""
    for gap in optional_gaps(services.champion.bundle.sheet, to_vector(vector, today)):
        if gap.data_through:
            yield f"data: {gap.table} end on {gap.data_through}, too long ago; what rests on them counts as missing."


def _database(services: Services) -> str | None:
    try:
        with transaction(services.engine) as connection:
            connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
    except DatabaseUnavailable:
        return "database: the database does not answer."
    return None


def _vectors(services: Services) -> tuple[StoredVector | None, str | None]:
    try:
        first = next(services.vectors.all_latest(), None)
    except StoreError:
        first = None
    return first, None if first else "vectors: none can be read; run `sellerscore features` after an ingest."


def _model(services: Services, vector: StoredVector | None) -> str | None:
    if vector is None:
        return None
    try:
        # on the day of its values, so that the model is tried however old they are
        assess(services.champion.bundle, [to_vector(vector)])
    except ScoringError:
        return (
            "model: it cannot assess the stored vectors; run `sellerscore features`, or train and promote a model, "
            "and restart the service."
        )
    return None

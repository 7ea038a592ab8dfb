"""`GET /health/live` and `GET /health/ready`, without a token.

The service is ready if the database responds, vectors are stored, and the current model can assess one of them.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Literal

from fastapi import APIRouter
from pydantic import Field
from sqlalchemy import text

from api.errors import DatabaseUnavailable, NotReady
from api.kit.database import transaction
from api.kit.fields import ResponseModel
from api.kit.openapi import problem_responses
from api.scores.inputs import to_vector
from api.services import Services, ServicesDep
from features.errors import StoreError
from features.store.vectors import StoredVector
from scoring import ScoringError, assess
from scoring.freshness import optional_gaps, required_gaps


class LiveStatus(ResponseModel):
    """The process responds."""

    status: Literal["live"] = Field(description="Always `live`.", examples=["live"])


class ReadyStatus(ResponseModel):
    """All components that scoring needs are available."""

    status: Literal["ready"] = Field(description="Always `ready`; otherwise the response is a problem.")
    model: str = Field(description="Name and version of the current model.", examples=["sellerscore/3"])
    bundle: str = Field(description="Digest of its bundle.", examples=["sha256:9b02"])
    degraded: list[str] = Field(
        description="Problems that do not stop scoring, one sentence per component. The log states the causes.",
        examples=[["model: the champion of the registry cannot be used; version 3 stays active."]],
    )
    data_through: str = Field(
        description="The midnight (UTC) through which the latest vectors use data.", examples=["2026-01-31"]
    )
    data_age_days: int = Field(
        description="Days from data_through to today (UTC). If the data are older than the model allows, the service "
        "is not ready, because every score would be `stale_data`.",
        examples=[1],
    )


def readiness(services: Services, today: date) -> ReadyStatus:
    """Check each component once.

    Example: vectors as of 2026-01-31 have a `data_age_days` of 1 where `today` is 2026-02-01.

    Raises:
        NotReady: The detail names every component that failed, and no seller.
    """
    vector, vectors = _vectors(services)
    results = (_database(services), vectors, _model(services, vector), _data(services, vector, today))
    failed = [result for result in results if result]
    if failed or vector is None:
        raise NotReady(" ".join(failed))
    champion, as_of = services.champion, vector.snapshot.as_of
    return ReadyStatus(
        status="ready",
        model=f"{champion.model_name}/{champion.version}",
        bundle=champion.bundle.digest,
        degraded=[*services.degraded.all, *_is_lagging(services, vector, today)],
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
        f"data: too old or missing ({found}). The model allows at most {sheet.max_age_days} days before {today}. "
        "Ingest a newer delivery."
    )


def _is_lagging(services: Services, vector: StoredVector, today: date) -> Iterator[str]:
    """Yield the optional tables that scores ignore because they are too old."""
    for gap in optional_gaps(services.champion.bundle.sheet, to_vector(vector, today)):
        if gap.data_through:
            yield f"data: {gap.table} end on {gap.data_through}, which is too old; its features count as missing."


def _database(services: Services) -> str | None:
    try:
        with transaction(services.engine) as connection:
            connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
    except DatabaseUnavailable:
        return "database: the database does not respond."
    return None


def _vectors(services: Services) -> tuple[StoredVector | None, str | None]:
    try:
        first = next(services.vectors.all_latest(), None)
    except StoreError:
        first = None
    return (
        first,
        None if first else "vectors: there are no readable vectors. Run `sellerscore features` after an ingest.",
    )


def _model(services: Services, vector: StoredVector | None) -> str | None:
    if vector is None:
        return None
    try:
        # as of the day of its values, so that the age of the data does not matter
        assess(services.champion.bundle, [to_vector(vector)])
    except ScoringError:
        return (
            "model: it cannot assess the stored vectors. Run `sellerscore features`, or train and promote a model, "
            "and restart the service."
        )
    return None


router = APIRouter(prefix="/health", tags=["health"])


@router.head("/live", include_in_schema=False)
@router.get("/live", operation_id="getLive", summary="Liveness")
async def get_live() -> LiveStatus:
    """Respond without any check, so that only a stuck process fails."""
    return LiveStatus(status="live")


@router.head("/ready", include_in_schema=False)
@router.get("/ready", operation_id="getReady", summary="Readiness", responses=problem_responses(NotReady))
def get_ready(services: ServicesDep) -> ReadyStatus:
    """Check the database, the stored vectors and the model, and return the age of the data.

    If the data are too old for a score, the service is not ready.
    """
    return readiness(services, datetime.now(UTC).date())

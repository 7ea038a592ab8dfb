"""What the health endpoints answer.

What readiness means: the database answers, vectors are there, and the model in force can assess one.

`GET /health/live` and `GET /health/ready`, for whoever keeps the service running; they need no token.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import text

from api.errors import DatabaseUnavailable, NotReady
from api.kit.database import transaction
from api.kit.openapi import problem_responses
from api.scores.inputs import to_vector
from api.services import Services, Wired
from features.errors import StoreError
from features.store.vectors import StoredVector
from scoring import ScoringError, assess
from scoring.freshness import optional_gaps, required_gaps


class LiveStatus(BaseModel):
    """The process answers."""

    model_config = ConfigDict(extra="forbid")

    status: Literal["live"] = Field(description="Always `live`.", examples=["live"])


class ReadyStatus(BaseModel):
    """Every part that scoring needs is there."""

    model_config = ConfigDict(extra="forbid")

    status: Literal["ready"] = Field(description="Always `ready`; otherwise the answer is a problem.")
    model: str = Field(description="Name and version of the model in force.", examples=["sellerscore/3"])
    bundle: str = Field(description="Digest of its bundle.", examples=["sha256:9b02"])
    troubles: list[str] = Field(
        description="What is wrong and does not stop scoring, each in a sentence that names the part; empty where all "
        "is well. The log says more.",
        examples=[["model: the registry's champion cannot be taken; version 3 serves on."]],
    )
    data_through: str = Field(
        description="The midnight (UTC) up to which the latest vectors use data.", examples=["2026-01-31"]
    )
    data_age_days: int = Field(
        description="Days from data_through to today (UTC). Where the data are older than the model allows, the "
        "service is not ready: every score would be `stale_data`.",
        examples=[1],
    )


def readiness(services: Services, today: date) -> ReadyStatus:
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
    return ReadyStatus(
        status="ready",
        model=f"{champion.model_name}/{champion.version}",
        bundle=champion.bundle.digest,
        troubles=[*services.troubles.all, *_is_lagging(services, vector, today)],
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


def _is_lagging(services: Services, vector: StoredVector, today: date) -> Iterator[str]:
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


router = APIRouter(prefix="/health", tags=["health"])


@router.head("/live", include_in_schema=False)
@router.get("/live", operation_id="getLive", summary="Whether the process answers")
async def get_live() -> LiveStatus:
    """Answer without touching anything, so that only a stuck process fails."""
    return LiveStatus(status="live")


@router.head("/ready", include_in_schema=False)
@router.get("/ready", operation_id="getReady", summary="Whether it could score", responses=problem_responses(NotReady))
def get_ready(services: Wired) -> ReadyStatus:
    """Try the database, the stored vectors and the model, each once, and return how old the data are.

    Data that are too old for a score make the service not ready.
    """
    return readiness(services, datetime.now(UTC).date())

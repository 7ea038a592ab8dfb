"""`GET /health/live` and `GET /health/ready`, without a token.

The service is ready if the database stores a row, the clock is not wrong, vectors are stored, and the
current model can assess one of them.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Literal

from fastapi import APIRouter
from pydantic import Field

from api.errors import DatabaseUnavailable, NotReady
from api.kit.clock_watch import watch
from api.kit.database import transaction
from api.kit.fields import Day, ResponseModel, format_timestamp
from api.kit.openapi import problem_responses
from api.ledger.chain import is_earlier
from api.ledger.store import newest_time
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
    data_through: Day = Field(
        description="The midnight (UTC) through which the latest vectors use data.", examples=["2026-01-31"]
    )
    data_age_days: int = Field(
        description="Days from data_through to today (UTC). If the data are older than the model allows, the service "
        "is not ready, because every score would be `stale_data`.",
        examples=[1],
    )


def readiness(services: Services, now: datetime) -> ReadyStatus:
    """Check each component once.

    Example: vectors as of 2026-01-31 have a `data_age_days` of 1 where `now` is on 2026-02-01.

    Raises:
        NotReady: The detail names every component that failed, and no seller.
    """
    today, vector = now.date(), read_vector(services)
    failed = [*_database_failures(services, now), *_failures(services, vector, today)]
    if failed or vector is None:
        raise NotReady(" ".join(failed))
    champion, as_of = services.champion, vector.snapshot.as_of
    ignored = (
        f"data: {gap.table} end on {gap.data_through}, which is too old; its features count as missing."
        for gap in optional_gaps(champion.bundle.sheet, to_vector(vector, today))
        if gap.data_through
    )
    return ReadyStatus(
        status="ready",
        model=f"{champion.model_name}/{champion.version}",
        bundle=champion.bundle.digest,
        degraded=[*services.degraded.all, *ignored],
        data_through=as_of.isoformat(),
        data_age_days=(today - as_of).days,
    )


def read_vector(services: Services) -> StoredVector | None:
    """Return a vector with the newest data; None if there is none or they cannot be read."""
    try:
        return services.vectors.newest()
    except StoreError:
        return None


def _database_failures(services: Services, now: datetime) -> Iterator[str]:
    unavailable = (
        "database: nothing can be stored. The database does not respond, is locked or read-only, or its disk is full; "
        "the log states the cause."
    )
    if not services.write_check.passes():
        yield unavailable
        return
    try:
        with transaction(services.engine) as connection:
            latest = newest_time(connection)
    except DatabaseUnavailable:
        yield unavailable
        return
    if step := watch.step():
        yield (
            f"clock: it was set forward by {step:.0f} seconds while the service runs. Correct it, or restart the "
            "service if it is right now."
        )
    if is_earlier(now, latest):
        yield f"clock: {format_timestamp(now)} is earlier than the last entry of the ledger ({latest}). Set the clock."


def _failures(services: Services, vector: StoredVector | None, today: date) -> Iterator[str]:
    if vector is None:
        yield "vectors: there are no readable vectors. Run `sellerscore features` after an ingest."
        return
    bundle = services.champion.bundle
    try:
        # as of the day of its values, so that the age of the data does not matter
        assess(bundle, [to_vector(vector)])
    except ScoringError:
        yield (
            "model: it cannot assess the stored vectors. Run `sellerscore features`, or train and promote a model, "
            "and restart the service."
        )
    gaps = ", ".join(
        f"{gap.table} end on {gap.data_through}" if gap.data_through else f"{gap.table} were not delivered"
        for gap in required_gaps(bundle.sheet, to_vector(vector, today))
    )
    if gaps:
        yield (
            f"data: too old or missing ({gaps}). The model allows at most {bundle.sheet.max_age_days} days before "
            f"{today}. Ingest a newer delivery."
        )


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
    return readiness(services, datetime.now(UTC))

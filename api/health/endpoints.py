"""`GET /health/live` and `GET /health/ready`, for whoever keeps the service running; they need no token."""

from datetime import UTC, datetime

from fastapi import APIRouter

from api.errors import NotReady
from api.health import service
from api.health.schemas import Alive, Ready
from api.problems import problem_responses
from api.services import Wired

router = APIRouter(prefix="/health", tags=["health"])


@router.head("/live", include_in_schema=False)
@router.get("/live", operation_id="getLive", summary="Whether the process answers")
async def get_live() -> Alive:
    """Answer without touching anything, so that only a stuck process fails."""
    return Alive(status="live")


@router.head("/ready", include_in_schema=False)
@router.get("/ready", operation_id="getReady", summary="Whether it could score", responses=problem_responses(NotReady))
def get_ready(services: Wired) -> Ready:
    """Try the database, the stored vectors and the model, each once, and return how old the data are.

    Data that are too old for a score make the service not ready.
    """
    return service.readiness(services, datetime.now(UTC).date())

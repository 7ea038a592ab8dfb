"""`POST /v1/seller-sessions`: the platform logs its seller in."""

from datetime import UTC, datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Response
from sqlalchemy import Engine

from api import errors
from api.access.callers import RATE_HEADERS, REFUSALS, CallerFirst, Platform, needs
from api.access.rights import Scope
from api.ledger.chain import written
from api.problems import problem_responses
from api.seller_sessions import service
from api.seller_sessions.repository import Person
from api.seller_sessions.schemas import SessionLink, SessionWanted
from api.services import Wired

router = APIRouter(prefix="/v1/seller-sessions", tags=["sellers"], route_class=CallerFirst)

LOGIN_PATH: Final = "/seller/login"
_MADE: Final[dict[int | str, dict[str, Any]]] = {
    201: {"description": "The link, which nobody can show again.", "headers": RATE_HEADERS}
}


@router.post(
    "",
    status_code=201,
    operation_id="createSellerSession",
    summary="Log a seller in to their pages",
    response_model=SessionLink,
    responses=_MADE
    | problem_responses(
        *REFUSALS,
        errors.MalformedJson,
        errors.BodyTooLarge,
        errors.UnsupportedMediaType,
        errors.InvalidRequest,
        errors.InternalError,
        errors.DatabaseUnavailable,
    ),
)
def create_seller_session(
    platform: Annotated[Platform, needs(Scope.SELLER_SESSIONS_WRITE)],
    services: Wired,
    wanted: SessionWanted,
    response: Response,
) -> SessionLink:
    """Make a link for a seller whom the platform has logged in; it works once, within ten minutes.

    It opens a page with a button, since what looks at links beforehand must not use them up. The session ends after 30
    minutes without use and after 8 hours at the latest. A seller of whom there are no data yet may log in too.
    """
    now, seller_id = datetime.now(UTC), wanted.seller_id
    made = service.make_link(
        services.engine, Person.SELLER, seller_id, by=platform.id, now=now, language=wanted.language
    )
    response.headers["Cache-Control"] = "no-store"
    url = f"{services.settings.issuer}{LOGIN_PATH}/{made.token}"
    return SessionLink(url=url, expires_at=written(made.expires_at))


def login_page(engine: Engine, kind: Person, subject: str, address: str, *, by: str) -> str:
    """Return the address of a page that logs a person in once, for a command to print.

    Args:
        engine: of the database.
        kind: who is to be logged in.
        subject: the seller, or the client of the operator.
        address: where the service is reached.
        by: what asks.
    """
    made = service.make_link(engine, kind, subject, by=by, now=datetime.now(UTC))
    return f"{address}{LOGIN_PATH}/{made.token}"

"""Errors on the wire: RFC 9457 problem details, the handlers that make them, and their place in OpenAPI.

Nothing of a request is repeated in an answer but the names of its fields.
"""

import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPMethod, HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match

from api import errors

logger = logging.getLogger(__name__)


MEDIA_TYPE: Final = "application/problem+json"


_LONGEST_NAME: Final = 64


_REFERENCE: Final = "#/components/schemas/{model}"


_BY_STATUS: Final[Mapping[int, type[errors.Problem]]] = {
    HTTPStatus.BAD_REQUEST: errors.MalformedJson,
    HTTPStatus.NOT_FOUND: errors.RouteUnknown,
    HTTPStatus.METHOD_NOT_ALLOWED: errors.MethodNotAllowed,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: errors.BodyTooLarge,
}
"""What the framework raises itself, as our problems."""


ErrorRenderer = Callable[[Request, errors.Problem], Awaitable[Response]]
"""Answers a request that no endpoint took: as problem details, or as a page where people look."""


_HEADERS: Final[Mapping[str, str]] = {
    "Retry-After": "Seconds to wait before the next try.",
    "WWW-Authenticate": "What kind of token is needed, and what is wrong with the one that was sent (RFC 6750).",
}
"""Headers that problems carry, in words."""


class ProblemDetails(BaseModel):
    """An error as RFC 9457 describes it; `type` is stable, so a program may act on it."""

    model_config = ConfigDict(extra="forbid")

    type: str = Field(description="What kind of problem; stable.", examples=["/problems/unknown-seller"])
    title: str = Field(description="The kind in words.", examples=["The seller is not known"])
    status: int = Field(description="The HTTP status.", examples=[404])
    detail: str = Field(description="What was found, what is allowed, what to do.", examples=["Check the seller_id."])
    request_id: str = Field(description="Names this request in the service's log.", examples=["5f0c6f3e"])


class InvalidField(BaseModel):
    """One value that is not allowed."""

    model_config = ConfigDict(extra="forbid")

    where: str = Field(description="Part of the request and path of the field.", examples=["body/purpose"])
    rule: str = Field(description="The rule that it breaks; stable.", examples=["enum"])
    message: str = Field(
        description="What is allowed.", examples=["Input should be 'credit_application' or 'account_review'"]
    )


class InvalidRequestDetails(ProblemDetails):
    """A problem that lists each value that is not allowed."""

    errors: list[InvalidField] = Field(description="Every value that is not allowed.")


def request_id_of(request: Request) -> str:
    """Return the id that the middleware gave this request."""
    return str(request.state.request_id)


def respond(problem: errors.Problem, request_id: str, invalid: Sequence[Mapping[str, str]] | None = None) -> Response:
    """Write a problem as a response; `invalid` lists the values that are not allowed, where that is the problem."""
    content: dict[str, Any] = {
        "type": f"/problems/{problem.slug}",
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
        "request_id": request_id,
    }
    if invalid is not None:
        content["errors"] = invalid
    # escaped to ASCII, since the name of a field may hold what UTF-8 cannot
    body = json.dumps(content, separators=(",", ":"))
    headers = {**problem.headers, "X-Request-Id": request_id, "Cache-Control": "no-store"}
    return Response(body, problem.status, headers, MEDIA_TYPE)


def problem_of(request: Request, error: HTTPException) -> errors.Problem:
    """Return what the framework raises itself, or lets through of ours, as one of our problems."""
    if isinstance(error.__cause__, errors.Problem):
        return error.__cause__
    kind = _BY_STATUS.get(error.status_code, errors.InternalError)
    return kind(headers={"Allow": _allowed(request)} if kind is errors.MethodNotAllowed else error.headers)


def install_handlers(app: FastAPI, told: ErrorRenderer) -> None:
    """Make every error of the app a problem; `told` answers what no endpoint took."""

    async def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - what the handler is registered for
        return await told(request, problem_of(request, error))

    app.add_exception_handler(errors.Problem, _on_problem)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(Exception, _on_unforeseen)


async def _on_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, errors.Problem)  # noqa: S101 - what the handler is registered for
    invalid = error.invalid if isinstance(error, errors.InvalidRequest) else None
    return respond(error, request_id_of(request), invalid)


async def _on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - what the handler is registered for
    found = error.errors()
    request_id = request_id_of(request)
    if any(item["type"] == "json_invalid" for item in found):
        return respond(errors.MalformedJson(), request_id)
    if any(item["loc"] == ("body",) for item in found) and not _says_json(request):
        return respond(errors.UnsupportedMediaType(), request_id)
    invalid = [{"where": _where(item["loc"]), "rule": item["type"], "message": item["msg"]} for item in found]
    return respond(errors.InvalidRequest(), request_id, invalid)


async def _on_unforeseen(request: Request, error: Exception) -> Response:
    request_id = request_id_of(request)
    logger.error("request %s failed with %s", request_id, type(error).__name__)
    return respond(errors.InternalError(), request_id)


def _allowed(request: Request) -> str:
    """Return every method of a path; the framework knows those alone that were declared together."""
    tried = ({**request.scope, "method": each} for each in HTTPMethod)
    routes: Sequence[BaseRoute] = request.app.routes
    return ", ".join(one["method"] for one in tried if any(each.matches(one)[0] is Match.FULL for each in routes))


def _says_json(request: Request) -> bool:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return media_type == "application/json"


def _where(location: Sequence[str | int]) -> str:
    return "/".join(str(part)[:_LONGEST_NAME] for part in location)

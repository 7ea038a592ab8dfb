"""Problem details (RFC 9457): the response models, and the exception handlers that build them.

A response repeats nothing of the request except the names of its fields.
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

MAX_NAME: Final = 64
"""Characters of a field name that a response repeats."""

ErrorRenderer = Callable[[Request, errors.Problem], Awaitable[Response]]
"""Builds the response to a request that no endpoint handled: problem details, or a page for the browser."""

_BY_STATUS: Final[Mapping[int, type[errors.Problem]]] = {
    HTTPStatus.BAD_REQUEST: errors.MalformedJson,
    HTTPStatus.NOT_FOUND: errors.RouteUnknown,
    HTTPStatus.METHOD_NOT_ALLOWED: errors.MethodNotAllowed,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: errors.BodyTooLarge,
}
"""Our problems for the exceptions of the framework."""


class ProblemDetails(BaseModel):
    """An error as RFC 9457 describes it. The `type` is stable, so programs can rely on it."""

    model_config = ConfigDict(extra="forbid")

    type: str = Field(description="Type of the problem; stable.", examples=["/problems/unknown-seller"])
    title: str = Field(description="Short description of the type.", examples=["Unknown seller"])
    status: int = Field(description="HTTP status.", examples=[404])
    detail: str = Field(description="What is wrong, what is allowed, what to do.", examples=["Check the seller_id."])
    request_id: str = Field(description="ID of this request in the log of the service.", examples=["5f0c6f3e"])


class InvalidField(BaseModel):
    """One value that is not allowed."""

    model_config = ConfigDict(extra="forbid")

    where: str = Field(description="Part of the request and path of the field.", examples=["body/purpose"])
    rule: str = Field(description="Name of the violated rule; stable.", examples=["enum"])
    message: str = Field(
        description="What is allowed.", examples=["Input should be 'credit_application' or 'account_review'"]
    )


class InvalidRequestDetails(ProblemDetails):
    """A problem that lists each value that is not allowed."""

    errors: list[InvalidField] = Field(description="Every value that is not allowed.")


def request_id_of(request: Request) -> str:
    """Return the ID that the middleware assigned to this request."""
    return str(request.state.request_id)


def respond(problem: errors.Problem, request_id: str, invalid: Sequence[Mapping[str, str]] | None = None) -> Response:
    """Return a problem as a response. `invalid` lists the values that are not allowed, if that is the problem."""
    content: dict[str, Any] = {
        "type": f"/problems/{problem.slug}",
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
        "request_id": request_id,
    }
    if invalid is not None:
        content["errors"] = invalid
    # escaped to ASCII, because a field name may hold characters that UTF-8 cannot encode
    body = json.dumps(content, separators=(",", ":"))
    headers = {**problem.headers, "X-Request-Id": request_id, "Cache-Control": "no-store"}
    return Response(body, problem.status, headers, MEDIA_TYPE)


def problem_of(request: Request, error: HTTPException) -> errors.Problem:
    """Return the problem for an exception of the framework; if a problem caused it, return that one."""
    if isinstance(error.__cause__, errors.Problem):
        return error.__cause__
    kind = _BY_STATUS.get(error.status_code, errors.InternalError)
    return kind(headers={"Allow": _allowed_methods(request)} if kind is errors.MethodNotAllowed else error.headers)


def install_handlers(app: FastAPI, render_error: ErrorRenderer) -> None:
    """Turn every exception of the app into a problem. `render_error` handles those that no endpoint raised."""

    async def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - the type that the handler is registered for
        return await render_error(request, problem_of(request, error))

    app.add_exception_handler(errors.Problem, _on_problem)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(Exception, _on_unexpected)


async def _on_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, errors.Problem)  # noqa: S101 - the type that the handler is registered for
    invalid = error.invalid if isinstance(error, errors.InvalidRequest) else None
    return respond(error, request_id_of(request), invalid)


async def _on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - the type that the handler is registered for
    items = error.errors()
    request_id = request_id_of(request)
    if any(item["type"] == "json_invalid" for item in items):
        return respond(errors.MalformedJson(), request_id)
    if any(item["loc"] == ("body",) for item in items) and not _declares_json(request):
        return respond(errors.UnsupportedMediaType(), request_id)
    invalid = [{"where": _path(item["loc"]), "rule": item["type"], "message": item["msg"]} for item in items]
    return respond(errors.InvalidRequest(), request_id, invalid)


async def _on_unexpected(request: Request, error: Exception) -> Response:
    request_id = request_id_of(request)
    logger.error("request %s failed with %s", request_id, type(error).__name__)
    return respond(errors.InternalError(), request_id)


def _allowed_methods(request: Request) -> str:
    # the framework lists only the methods that were declared together
    scopes = ({**request.scope, "method": method} for method in HTTPMethod)
    routes: Sequence[BaseRoute] = request.app.routes
    return ", ".join(
        scope["method"] for scope in scopes if any(route.matches(scope)[0] is Match.FULL for route in routes)
    )


def _declares_json(request: Request) -> bool:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return media_type == "application/json"


def _path(location: Sequence[str | int]) -> str:
    return "/".join(str(part)[:MAX_NAME] for part in location)

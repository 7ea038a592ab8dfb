"""Counts of what the service answered, kept in memory from its start: requests, how long they took, scores.

What happens to every request before any endpoint: it gets an id, a line in the log and a limit to its body.

What later parts leave as `answer_headers` in the request's state goes with every answer, problems included.

A log line names the route, never the path or the body, so that no seller id or token is in it.

Nothing is taken in two ways: a JSON body is UTF-8 and names each field once, and so does a query its parameters.

Readers differ on what the second of two equal names means, so that one who checks a request and one who acts on it
could see two requests. Both are looked at behind the token, so that a stranger is told nothing of them.
"""

from __future__ import annotations

import collections
import json
import logging
import random
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fastapi import Request
from prometheus_client import Counter, Histogram, Metric
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import MAX_BODY_BYTES, BodyTooLarge, InvalidRequest, MalformedJson
from api.kit.problems import ErrorRenderer

BOUNDS: Final = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Seconds up to which answers are counted together; a score takes some milliseconds."""


_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


@dataclass(frozen=True)
class CompletedRequest:
    """One request: `route` is the path as the service declares it, `caller` a kind of client or `none`."""

    method: str
    route: str
    status: int
    caller: str
    seconds: float


class RequestMetrics:
    """All counts of one running service.

    Example: `counted.answered(Answered("POST", "/v1/scores", 201, "bank", 0.004))`, then `list(counted.families())`.
    """

    def __init__(self) -> None:
        # in no registry, since the library's own is one for all services of a process
        self._requests = Counter(
            "sellerscore_requests",
            "Requests answered, by kind of caller.",
            ("method", "route", "status", "caller"),
            registry=None,
        )
        self._took = Histogram(
            "sellerscore_request_seconds",
            "Seconds from a request to the end of its answer.",
            ("method", "route"),
            registry=None,
            buckets=BOUNDS,
        )
        self._scores = Counter(
            "sellerscore_scores", "Scores stored and answered, by outcome.", ("outcome",), registry=None
        )

    def answered(self, each: CompletedRequest) -> None:
        """Count one request; a method that nobody knows counts as `other`, or strangers could make any number."""
        method = each.method if each.method in _METHODS else "other"
        self._requests.labels(method, each.route, each.status, each.caller).inc()
        self._took.labels(method, each.route).observe(each.seconds)

    def scored(self, outcome: str) -> None:
        """Count one score that was stored."""
        self._scores.labels(outcome).inc()

    def families(self) -> Iterator[Metric]:
        """Yield what was counted so far, without the moments from which each was."""
        for counted in (self._requests, self._took, self._scores):
            for family in counted.collect():
                family.samples = [each for each in family.samples if each.name != f"{family.name}_created"]
                yield family


access = logging.getLogger("api.access")


_HEADER: Final = "X-Request-Id"


_ALLOWED_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")


class RequestContext:
    """Give each request an id, the caller's own where it is 1 to 64 of `A-Z a-z 0-9 . _ -`; log and count its end."""

    def __init__(self, app: ASGIApp, counted: RequestMetrics) -> None:
        self._app = app
        self._counted = counted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = scope.setdefault("state", {})["request_id"] = _id_of(scope)
        began, status = time.perf_counter(), 500

        async def send_named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers[_HEADER] = request_id
                headers.update(scope["state"].get("answer_headers", {}))
            await send(message)

        try:
            await self._app(scope, receive, send_named)
        finally:
            route = getattr(scope.get("route"), "path", "-")
            took = time.perf_counter() - began
            caller = scope["state"].get("caller")
            kind = "none" if caller is None else str(caller.kind)
            self._counted.answered(CompletedRequest(scope["method"], route, status, kind, took))
            access.info("%s %s %d %.1f ms %s", scope["method"], route, status, 1000 * took, request_id)


class BodyLimit:
    """Turn away a body over the limit: by its declared length before it is read, else when it has grown too long.

    `told` makes the answer, as problem details or as a page.
    """

    def __init__(self, app: ASGIApp, told: ErrorRenderer) -> None:
        self._app = app
        self._told = told

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "0")
        if declared.isdecimal() and int(declared) > MAX_BODY_BYTES:
            answer = await self._told(Request(scope), BodyTooLarge())
            await answer(scope, receive, send)
            return
        read = 0

        async def receive_counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > MAX_BODY_BYTES:
                # the framework lets its own exception through while a body is read, and hides every other
                raise HTTPException(BodyTooLarge.status)
            return message

        await self._app(scope, receive_counted, send)


def _id_of(scope: Scope) -> str:
    given = Headers(scope=scope).get(_HEADER, "")
    # names a request in the log and is no secret; the system's randomness would let other threads go first
    return given if _ALLOWED_ID.fullmatch(given) else f"{random.getrandbits(128):032x}"


_LONGEST_NAME: Final = 64


class StrictJson:
    """Refuse a body that is declared as JSON and is none in UTF-8, or holds a name twice."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; its body is looked at when the endpoint has it read."""
        if scope["type"] != "http" or not _says_json(scope):
            await self._app(scope, receive, send)
            return
        parts: list[bytes] = []

        async def receive_checked() -> Message:
            message = await receive()
            if message["type"] == "http.request":
                parts.append(message.get("body", b""))
                if not message.get("more_body", False):
                    _check_whole(b"".join(parts))
            return message

        await self._app(scope, receive_checked, send)


def check_json_body(body: bytes) -> None:
    """Look at a JSON body.

    Example: `check(b'{"a": 1, "a": 2}')` says that the name 'a' stands twice in one object.

    Raises:
        MalformedJson: it is not JSON in UTF-8, or can be read in more than one way; its detail says which.
    """
    try:
        _DECODER.decode(body.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise MalformedJson from error


def reject_duplicate_parameters(request: Request) -> None:
    """Refuse a query that gives a parameter of the endpoint more than once; what no endpoint reads is let be.

    Raises:
        InvalidRequest: it lists each parameter that it does.
    """
    if b"&" not in request.scope["query_string"]:
        return
    known = {each.alias for each in request.scope["route"].dependant.query_params}
    given = collections.Counter(name for name, _ in request.query_params.multi_items())
    twice = [
        {"where": f"query/{name}", "rule": "once", "message": f"Give it once; it was given {count} times"}
        for name, count in given.items()
        if count > 1 and name in known
    ]
    if twice:
        raise InvalidRequest(twice)


def _check_whole(body: bytes) -> None:
    try:
        if body:
            check_json_body(body)
    except MalformedJson as problem:
        # the framework lets its own exception through while a body is read, and hides every other
        raise HTTPException(problem.status) from problem


def _says_json(scope: Scope) -> bool:
    declared = next((value for name, value in scope["headers"] if name == b"content-type"), b"")
    return b"json" in declared.lower()


def _each_once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        name = next(name for name, count in collections.Counter(name for name, _ in pairs).items() if count > 1)
        raise MalformedJson(f"The name {name[:_LONGEST_NAME]!r} stands twice in one object; send each name once.")
    return found


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_each_once)

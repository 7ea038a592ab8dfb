"""Middleware and request checks: request IDs, access log, request metrics, body limit, strict JSON.

Headers that a handler stores as `response_headers` in the state of the request are added to its response, problems
included. A log line names the route, not the path, so that it holds no seller ID and no token.

A body with a repeated name is rejected: parsers differ in which value they use, so two programs could interpret one
request differently. The check runs after the token was verified.
"""

from __future__ import annotations

import collections
import json
import logging
import os
import random
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fastapi import Request
from prometheus_client import Counter, Histogram, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import MAX_BODY_BYTES, BodyTooLarge, ClientGone, MalformedJson
from api.kit.problems import MAX_NAME, ErrorRenderer

access = logging.getLogger("api.access")

COUNTS_FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
"""Variable of the metrics library: if it is set when a process starts, counts are stored in files of this folder."""

BUCKETS: Final = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Upper bounds of the latency histogram in seconds. A score takes a few milliseconds."""

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_HEADER: Final = "X-Request-Id"
_ALLOWED_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True)
class CompletedRequest:
    """One request. `route` is the path as declared; `caller` is the kind of client, or `none`."""

    method: str
    route: str
    status: int
    caller: str
    seconds: float


class RequestMetrics:
    """Counts of one running service since its start: requests, their duration, and scores.

    If it has several worker processes, `families` yields the sums of all.

    Example: `metrics.record_request(CompletedRequest("POST", "/v1/scores", 201, "bank", 0.004))`, then
    `list(metrics.families())`.
    """

    def __init__(self) -> None:
        # in no registry: the default registry is shared by all services of a process
        self._requests = Counter(
            "sellerscore_requests",
            "Requests completed, by kind of client.",
            ("method", "route", "status", "caller"),
            registry=None,
        )
        self._seconds = Histogram(
            "sellerscore_request_seconds",
            "Seconds from a request to the end of its response.",
            ("method", "route"),
            registry=None,
            buckets=BUCKETS,
        )
        self._scores = Counter("sellerscore_scores", "Scores issued, by outcome.", ("outcome",), registry=None)

    def record_request(self, request: CompletedRequest) -> None:
        """Count one request. Unknown methods count as `other`, so that callers cannot create time series."""
        method = request.method if request.method in _METHODS else "other"
        self._requests.labels(method, request.route, request.status, request.caller).inc()
        self._seconds.labels(method, request.route).observe(request.seconds)

    def record_score(self, outcome: str) -> None:
        """Count one score."""
        self._scores.labels(outcome).inc()

    def families(self) -> Iterator[Metric]:
        """Yield the metrics, without the `_created` timestamps that the library adds."""
        if COUNTS_FOLDER in os.environ:
            # the sums of all worker processes
            yield from MultiProcessCollector(None).collect()  # type: ignore[no-untyped-call]
            return
        for metric in (self._requests, self._seconds, self._scores):
            for family in metric.collect():
                family.samples = [each for each in family.samples if each.name != f"{family.name}_created"]
                yield family


class RequestContext:
    """Middleware that assigns the request ID, logs the request, and counts it.

    No browser may guess the type of a response.

    The ID is the `X-Request-Id` of the caller if that is 1 to 64 characters of `A-Z a-z 0-9 . _ -`.
    """

    def __init__(self, app: ASGIApp, metrics: RequestMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = scope.setdefault("state", {})["request_id"] = _request_id(scope)
        started, status = time.perf_counter(), 500

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers[_HEADER] = request_id
                headers["X-Content-Type-Options"] = "nosniff"
                headers.update(scope["state"].get("response_headers", {}))
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        finally:
            route = getattr(scope.get("route"), "path", "-")
            seconds = time.perf_counter() - started
            caller = scope["state"].get("caller")
            kind = "none" if caller is None else str(caller.kind)
            self._metrics.record_request(CompletedRequest(scope["method"], route, status, kind, seconds))
            access.info("%s %s %d %.1f ms %s", scope["method"], route, status, 1000 * seconds, request_id)


def _request_id(scope: Scope) -> str:
    requested = Headers(scope=scope).get(_HEADER, "")
    # the ID is no secret; reading the system's randomness would let other threads run first
    return requested if _ALLOWED_ID.fullmatch(requested) else f"{random.getrandbits(128):032x}"


class BodyChecks:
    """Middleware that rejects a body over the size limit, and a JSON body that is not UTF-8 or repeats a name.

    The declared length is checked at once, with a response that `render_error` builds as problem details or as a page;
    the body itself when the endpoint reads it.
    """

    def __init__(self, app: ASGIApp, render_error: ErrorRenderer) -> None:
        self._app = app
        self._render_error = render_error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        declared, is_json = headers.get("content-length", "0"), "json" in headers.get("content-type", "").lower()
        if declared.isdecimal() and int(declared) > MAX_BODY_BYTES:
            response = await self._render_error(Request(scope), BodyTooLarge())
            await response(scope, receive, send)
            return
        body, is_complete = bytearray(), declared == "0" and "transfer-encoding" not in headers

        async def receive_checked() -> Message:
            nonlocal is_complete
            message = await receive()
            body.extend(message.get("body", b""))
            try:
                if message["type"] == "http.disconnect" and not is_complete:
                    raise ClientGone
                if len(body) > MAX_BODY_BYTES:
                    raise BodyTooLarge
                is_complete = not message.get("more_body", False)
                if is_json and body and message["type"] == "http.request" and is_complete:
                    check_json_body(bytes(body))
            except (BodyTooLarge, ClientGone, MalformedJson) as problem:
                # while a body is read, the framework passes on only its own exception
                raise HTTPException(problem.status) from problem
            return message

        await self._app(scope, receive_checked, send)


def check_json_body(body: bytes) -> None:
    """Check that a body is JSON in UTF-8 without repeated names.

    Example: `check_json_body(b'{"a": 1, "a": 2}')` raises, because the name 'a' occurs twice.

    Raises:
        MalformedJson: It is not; the detail names a repeated name.
    """
    try:
        _DECODER.decode(body.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise MalformedJson from error


def _unique_names(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    unique = dict(pairs)
    if len(unique) < len(pairs):
        name = next(name for name, count in collections.Counter(name for name, _ in pairs).items() if count > 1)
        raise MalformedJson(f"The name {name[:MAX_NAME]!r} occurs twice in one object. Send each name once.")
    return unique


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_unique_names)

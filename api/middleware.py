"""What happens to every request before any endpoint: it gets an id, a line in the log and a limit to its body.

What later parts leave as `answer_headers` in the request's state goes with every answer, problems included.

A log line names the route, never the path or the body, so that no seller id or token is in it.
"""

import logging
import random
import re
import time
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import MAX_BODY_BYTES, BodyTooLarge
from api.metrics.counted import Answered, Counted
from api.problems import Told

access = logging.getLogger("api.access")

_HEADER: Final = "X-Request-Id"
_ALLOWED_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")


class RequestContext:
    """Give each request an id, the caller's own where it is 1 to 64 of `A-Z a-z 0-9 . _ -`; log and count its end."""

    def __init__(self, app: ASGIApp, counted: Counted) -> None:
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
            self._counted.answered(Answered(scope["method"], route, status, kind, took))
            access.info("%s %s %d %.1f ms %s", scope["method"], route, status, 1000 * took, request_id)


class BodyLimit:
    """Turn away a body over the limit: by its declared length before it is read, else when it has grown too long.

    `told` makes the answer, as problem details or as a page.
    """

    def __init__(self, app: ASGIApp, told: Told) -> None:
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

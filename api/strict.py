"""Nothing is taken in two ways: a JSON body is UTF-8 and names each field once, and so does a query its parameters.

Readers differ on what the second of two equal names means, so that one who checks a request and one who acts on it
could see two requests. Both are looked at behind the token, so that a stranger is told nothing of them.
"""

from __future__ import annotations

import collections
import json
from collections.abc import Sequence
from typing import Any, Final

from fastapi import Request
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import InvalidRequest, MalformedJson

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


def check(body: bytes) -> None:
    """Look at a JSON body.

    Example: `check(b'{"a": 1, "a": 2}')` says that the name 'a' stands twice in one object.

    Raises:
        MalformedJson: it is not JSON in UTF-8, or can be read in more than one way; its detail says which.
    """
    try:
        _DECODER.decode(body.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise MalformedJson from error


def once(request: Request) -> None:
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
            check(body)
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

"""What the OpenAPI document says beside its operations: where the service is, what its parts are for, real examples.

The examples are calls that were made (`openapi_examples.json`); a test makes them again and holds the file to them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema

from api import errors
from api.kit.problems import _HEADERS, _REFERENCE, MEDIA_TYPE, InvalidRequestDetails, ProblemDetails, respond

_EXAMPLES: Final = "openapi_examples.json"


TAGS: Final = (
    ("access", "Tokens: client credentials, by secret or by a signed assertion. Begin here."),
    ("scores", "Score a seller, read what was scored, prove it, print it, and see why it changed."),
    ("consents", "What sellers agreed to: the platform records it, a bank asks for it and sees what it was granted."),
    ("sellers", "The picture of a seller who consented, and the link that logs a seller in."),
    ("reviews", "Figures that sellers dispute and scores that they want a person to look at, for operators."),
    ("products", "A bank's financing products, and what each asks of a seller."),
    ("model", "The model and the reasons in force, as whoever relies on a score may know them."),
    ("receipts", "The public keys by which receipts are checked without this service."),
    ("health", "For whoever keeps the service running; only `/metrics` needs a token."),
)
"""The parts in the order in which a bank's engineer meets them."""


CONTACT: Final = {"name": "The operator of this service, who gave you its credentials"}


def tags() -> list[dict[str, Any]]:
    """Return the tags as OpenAPI writes them."""
    return [{"name": name, "description": said} for name, said in TAGS]


def servers(address: str) -> list[dict[str, Any]]:
    """Return where the service is reached, as OpenAPI writes it."""
    return [{"url": address.rstrip("/"), "description": "This service."}]


def describe_examples(app: FastAPI) -> None:
    """Add to each operation an example of what is sent and of what is answered, from calls that were made."""
    described = app.openapi

    def openapi() -> dict[str, Any]:
        document = described()
        for item in document["paths"].values():
            for operation in item.values():
                _exemplify(operation, _examples().get(operation["operationId"], {}))
        return document

    # the framework's documented way to extend the document
    app.openapi = openapi  # type: ignore[method-assign]


def _exemplify(operation: dict[str, Any], made: dict[str, Any]) -> None:
    for parameter in operation.get("parameters", ()):
        if parameter["name"] in made.get("parameters", {}):
            parameter["example"] = made["parameters"][parameter["name"]]
    if "body" in made:
        for content in operation["requestBody"]["content"].values():
            content["example"] = made["body"]
    for status, response in operation["responses"].items():
        if status.startswith("2") and "answer" in made:
            for content in response["content"].values():
                content["example"] = made["answer"]


@cache
def _examples() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((files("api.kit") / _EXAMPLES).read_text(encoding="utf-8"))
    return found


NO_STORE: Final[Mapping[str, str]] = {"Cache-Control": "no-store"}
"""Headers of every response that holds data of a seller or a bank."""

LOCATION: Final[dict[str, Any]] = {"Location": {"description": "Path of the resource.", "schema": {"type": "string"}}}
"""The description of the `Location` header, for `responses`."""

RATE_HEADERS: Final[dict[str, Any]] = {
    "RateLimit-Policy": {"description": "The rate limit of this client.", "schema": {"type": "string"}},
    "RateLimit": {
        "description": "Remaining calls, and seconds until all are available again. On every response to a client.",
        "schema": {"type": "string"},
    },
}
"""The descriptions of the headers of every response to an authenticated client."""

BODY_PROBLEMS: Final = (errors.MalformedJson, errors.BodyTooLarge, errors.UnsupportedMediaType)
"""The problems of every endpoint with a JSON body."""

CALLER_PROBLEMS: Final = (
    errors.NotAuthenticated,
    errors.InvalidToken,
    errors.WrongCaller,
    errors.InsufficientScope,
    errors.TooManyRequests,
)
"""The problems of every endpoint that needs a token."""


def responses(
    status: int,
    description: str,
    *problems: type[errors.Problem],
    headers: Mapping[str, Any] | None = None,
    **fields: Any,
) -> dict[int | str, dict[str, Any]]:
    """Describe the responses of an endpoint that needs a token, for the `responses` parameter of its route.

    The rate limit headers, the problems of callers and those of a failing service are added.

    Example: `responses(201, "The stored consent.", *BODY_PROBLEMS, errors.BankUnknown, headers=LOCATION)`.

    Args:
        status: Status of the successful response.
        description: Its description.
        problems: Further problems of the endpoint.
        headers: Descriptions of further headers of the successful response.
        fields: Further fields of its OpenAPI description, such as `model` or `content`.
    """
    success = {"description": description, **fields, "headers": {**(headers or {}), **RATE_HEADERS}}
    return {status: success} | problem_responses(
        *CALLER_PROBLEMS, errors.InternalError, errors.DatabaseUnavailable, *problems
    )


def problem_responses(*kinds: type[errors.Problem]) -> dict[int | str, dict[str, Any]]:
    """Describe problems for OpenAPI, those of one status together, each with its example.

    Example: `problem_responses(SellerUnknown)` is `{404: {"description": ..., "content": ...}}`.
    """
    described: dict[int | str, dict[str, Any]] = {}
    for kind in kinds:
        model = InvalidRequestDetails if kind is errors.InvalidRequest else ProblemDetails
        schema = {"$ref": _REFERENCE.format(model=model.__name__)}
        entry = described.setdefault(
            kind.status,
            {"description": kind.title, "content": {MEDIA_TYPE: {"schema": schema, "examples": {}}}},
        )
        if schema != (other := entry["content"][MEDIA_TYPE]["schema"]):
            entry["content"][MEDIA_TYPE]["schema"] = {"anyOf": [other, schema]}
        if kind.title not in entry["description"]:
            entry["description"] += f"; or: {kind.title}"
        for name in kind.usual_headers:
            said = {"description": _HEADERS[name], "schema": {"type": "string"}}
            entry.setdefault("headers", {})[name] = said
        entry["content"][MEDIA_TYPE]["examples"][kind.slug] = {"value": _example(kind)}
    return described


def describe_problems(app: FastAPI) -> None:
    """Add the schemas that `problem_responses` refers to; given as models they would count as plain JSON."""
    described = app.openapi

    def openapi() -> dict[str, Any]:
        document = described()
        both = models_json_schema(
            [(ProblemDetails, "serialization"), (InvalidRequestDetails, "serialization")], ref_template=_REFERENCE
        )
        document["components"]["schemas"] |= both[1]["$defs"]
        return document

    # the framework's documented way to extend the document
    app.openapi = openapi  # type: ignore[method-assign]


def _example(kind: type[errors.Problem]) -> dict[str, Any]:
    invalid = [{"where": "body/purpose", "rule": "missing", "message": "Field required"}]
    listed = invalid if kind is errors.InvalidRequest else None
    value: dict[str, Any] = json.loads(bytes(respond(kind(), "5f0c6f3e0f0b4d0f", listed).body))
    return value

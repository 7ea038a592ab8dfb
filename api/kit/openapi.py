"""The OpenAPI document: tags, response and problem descriptions of endpoints, and recorded examples.

The examples are recorded calls (`openapi_examples.json`). A test repeats the calls and compares the shape of
the responses.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema

from api import errors
from api.kit.problems import MEDIA_TYPE, InvalidRequestDetails, ProblemDetails, respond

_EXAMPLES: Final = "openapi_examples.json"

TAGS: Final[list[dict[str, Any]]] = [
    {"name": name, "description": description}
    for name, description in {
        "access": "Tokens: client credentials with a secret or a signed assertion. Start here.",
        "scores": "Score a seller; read, list, replay, compare and print scores.",
        "consents": "Consents of sellers: the platform records them, a bank requests them and reads its own.",
        "sellers": "The profile of a seller who gave consent, and the link that logs a seller in.",
        "reviews": "Reviews that sellers requested of feature values and scores, for operators.",
        "products": "Financing products of a bank, and their criteria.",
        "model": "The current model and reason catalogue.",
        "receipts": "The public keys that verify receipts without this service.",
        "health": "Operations; only `/metrics` needs a token.",
    }.items()
]
"""In the order in which a bank integrates them."""

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

_HEADERS: Final[Mapping[str, str]] = {
    "Retry-After": "Seconds to wait before the next attempt.",
    "WWW-Authenticate": "The required kind of token, and the fault of the one that was sent (RFC 6750).",
}
_REFERENCE: Final = "#/components/schemas/{model}"


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
    """Describe problems, grouped by status, each with an example.

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
        content = entry["content"][MEDIA_TYPE]
        if content["schema"] != schema:
            content["schema"] = {"anyOf": [content["schema"], schema]}
        if kind.title not in entry["description"]:
            entry["description"] += f"; or: {kind.title}"
        for name in kind.default_headers:
            entry.setdefault("headers", {})[name] = {"description": _HEADERS[name], "schema": {"type": "string"}}
        content["examples"][kind.slug] = {"value": _problem_example(kind)}
    return described


def _problem_example(kind: type[errors.Problem]) -> dict[str, Any]:
    invalid = [{"where": "body/purpose", "rule": "missing", "message": "Field required"}]
    listed = invalid if kind is errors.InvalidRequest else None
    value: dict[str, Any] = json.loads(bytes(respond(kind(), "5f0c6f3e0f0b4d0f", listed).body))
    return value


def extend_document(app: FastAPI) -> None:
    """Add the schemas of problems and the recorded examples to the OpenAPI document of an app.

    Schemas of problems given as response models would be declared as `application/json`.
    """
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = generate()
        schemas = models_json_schema(
            [(ProblemDetails, "serialization"), (InvalidRequestDetails, "serialization")], ref_template=_REFERENCE
        )
        document["components"]["schemas"] |= schemas[1]["$defs"]
        for schema in document["components"]["schemas"].values():
            _drop_titles(schema.get("properties", {}).values())
        for item in document["paths"].values():
            for operation in item.values():
                _drop_titles(parameter["schema"] for parameter in operation.get("parameters", ()))
                _add_examples(operation, _examples().get(operation["operationId"], {}))
        return document

    # the framework's documented way to extend the document
    app.openapi = openapi  # type: ignore[method-assign]


def _drop_titles(schemas: Iterable[dict[str, Any]]) -> None:
    """Remove the titles that the framework gives to fields.

    Some generators name a class after the title of a field, so the field `score` would collide with the model `Score`,
    and two fields `side` with each other. They then leave out the models that use them.
    """
    for schema in schemas:
        schema.pop("title", None)
        items, others = schema.get("items"), schema.get("additionalProperties")
        _drop_titles([each for each in (*schema.get("anyOf", ()), items, others) if isinstance(each, dict)])


def _add_examples(operation: dict[str, Any], recorded: dict[str, Any]) -> None:
    for parameter in operation.get("parameters", ()):
        if parameter["name"] in recorded.get("parameters", {}):
            parameter["example"] = recorded["parameters"][parameter["name"]]
    if "body" in recorded:
        for content in operation["requestBody"]["content"].values():
            content["example"] = recorded["body"]
    for status, response in operation["responses"].items():
        if status.startswith("2") and "answer" in recorded:
            for content in response["content"].values():
                content["example"] = recorded["answer"]


@cache
def _examples() -> dict[str, Any]:
    recorded: dict[str, Any] = json.loads((files("api.kit") / _EXAMPLES).read_text(encoding="utf-8"))
    return recorded

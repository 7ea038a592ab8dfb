"""`GET /docs` and `GET /openapi.json`: the API reference, which loads nothing else, and the OpenAPI document."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from markupsafe import Markup, escape

from api.kit.etags import etag_of, matches_any
from api.web.documents import render_document

PATH: Final = "/docs"
DOCUMENT_PATH: Final = "/openapi.json"
_CACHING: Final = "public, max-age=300"
_MODEL: Final = "#/components/schemas/"

router: Final = APIRouter(include_in_schema=False)


@router.api_route(PATH, methods=["GET", "HEAD"])
def get_reference(request: Request) -> Response:
    """Return every call with its scope, parameters, body, responses and an example, and every model with its fields."""
    return _public(request, "reference", lambda: _render(request.app.openapi()))


@router.api_route(DOCUMENT_PATH, methods=["GET", "HEAD"])
def get_document(request: Request) -> Response:
    """Return the OpenAPI document."""
    return _public(request, "document", lambda: JSONResponse(request.app.openapi()))


def _public(request: Request, name: str, render: Callable[[], Response]) -> Response:
    """Return a response that is rendered once and that caches may store, or 304 if the caller has it."""
    state = request.app.state
    if not hasattr(state, name):
        rendered = render()
        rendered.headers["ETag"] = etag_of(bytes(rendered.body))
        rendered.headers["Cache-Control"] = _CACHING
        setattr(state, name, rendered)
    response: Response = getattr(state, name)
    if matches_any(request.headers.get("if-none-match", ""), response.headers["ETag"]):
        return Response(None, 304, {"ETag": response.headers["ETag"], "Cache-Control": _CACHING})
    return response


def _render(document: dict[str, Any]) -> Response:
    operations = [
        {"method": method.upper(), "path": path, "scope": _scope(operation), **operation}
        for path, item in document["paths"].items()
        for method, operation in item.items()
    ]
    return render_document(
        "reference.html",
        info=document["info"],
        server=document["servers"][0]["url"],
        sections=[(tag, [each for each in operations if tag["name"] in each["tags"]]) for tag in document["tags"]],
        models=document["components"]["schemas"],
        type_of=type_of,
        prose=_prose,
        first=lambda content: next(iter((content or {}).items()), (None, {})),
        as_json=lambda value: json.dumps(value, indent=2, ensure_ascii=False),
    )


def _prose(text: str) -> Markup:
    """Return a text of the document with its code in `code` elements."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text)))  # noqa: S704 - the text is escaped


def _scope(operation: dict[str, Any]) -> str | None:
    schemes = operation.get("security", ())
    return next((scope for scheme in schemes for scope in scheme.get("oauth2", ())), None)


def type_of(schema: dict[str, Any]) -> Markup:
    """Return the type of a schema in words, with links to the models that it names.

    Example: `type_of({"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}]})` is "string (date) or null".
    """
    match schema:
        case {"$ref": name}:
            words = Markup('<a href="#{0}">{0}</a>').format(name.removeprefix(_MODEL))
        case {"anyOf": options}:
            words = Markup(" or ").join(type_of(each) for each in options)
        case {"enum": values}:
            words = Markup(" | ").join(Markup("<code>{}</code>").format(value) for value in values)
        case {"const": value}:
            words = Markup("<code>{}</code>").format(value)
        case {"items": items}:
            words = Markup("list of ") + type_of(items)
        case {"additionalProperties": dict(others)}:
            words = Markup("object of ") + type_of(others)
        case {"type": kind, "format": form}:
            words = Markup("{} ({})").format(kind, form)
        case _:
            words = escape(schema.get("type", "any value"))
    return words

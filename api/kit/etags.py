"""Entity tags (RFC 9110): the ETag of a response, and conditional requests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import Header

from api.errors import PreconditionFailed
from api.kit.openapi import RATE_HEADERS
from scoring.canonical import sha256

ETAG_HEADER: Final[dict[str, Any]] = {
    "ETag": {"description": "Identifies the content, for If-None-Match and If-Match.", "schema": {"type": "string"}}
}
"""The description of the header, for `responses`."""

IfNoneMatch = Annotated[
    str | None,
    Header(description="ETags that the caller has. If one of them is current, the response is 304 without a body."),
]
IfMatch = Annotated[
    str | None,
    Header(
        description="The ETag that the change is based on. If it is not the current one, nothing is changed (412).",
        examples=['"sha256:9b02"'],
    ),
]


def not_modified(headers: Mapping[str, Any]) -> dict[int | str, dict[str, Any]]:
    """Describe the response 304 with its headers, for the `responses` parameter of a route."""
    return {304: {"description": "The ETag still identifies the content.", "headers": {**headers, **RATE_HEADERS}}}


def etag_of(body: bytes) -> str:
    """Return the strong ETag of a body."""
    return f'"{sha256(body)}"'


def matches_any(if_none_match: str, tag: str) -> bool:
    """Return whether a header If-None-Match has a tag. Weak tags match too (section 13.1.2)."""
    tags = {each.removeprefix("W/") for each in _split(if_none_match)}
    return tags == {"*"} or tag in tags


def require_match(if_match: str | None, tag: str) -> None:
    """Require that a header If-Match, if any, has the current tag. Weak tags do not match (section 13.1.1).

    Raises:
        PreconditionFailed: It does not.
    """
    if if_match is not None and not {"*", tag} & _split(if_match):
        raise PreconditionFailed


def _split(header: str) -> set[str]:
    return {each.strip() for each in header.split(",")}

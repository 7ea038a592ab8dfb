"""The API reference at `/docs`: complete, and without anything from other hosts."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest

from api.web.reference import type_of
from tests.docs.api_page import DOCUMENT, OPERATIONS

if TYPE_CHECKING:
    from starlette.testclient import TestClient


class ReferenceReader(HTMLParser):
    """Collects the IDs, links and loaded addresses of the page."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: set[str] = set()
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.ids += [values["id"] or ""] if "id" in values else []
        if tag == "a":
            self.links.add(values["href"] or "")
        self.loaded += [tag] if tag in {"script", "link", "img", "iframe"} else []


def test_the_reference_shows_every_call_and_model_and_loads_nothing(shared_client: TestClient) -> None:
    response = shared_client.get("/docs", headers={"Authorization": ""})
    assert (response.status_code, response.headers["content-type"]) == (200, "text/html; charset=utf-8")
    policy = response.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "script-src" not in policy
    reader = ReferenceReader()
    reader.feed(response.text)
    assert reader.loaded == []
    assert len(set(reader.ids)) == len(reader.ids)
    assert {*OPERATIONS, *DOCUMENT["components"]["schemas"]} <= set(reader.ids)
    assert {link.removeprefix("#") for link in reader.links - {"/openapi.json"}} <= set(reader.ids)
    for operation in OPERATIONS.values():
        assert operation["call"] in response.text
    for schema in DOCUMENT["components"]["schemas"].values():
        assert all(f"<code>{name}</code>" in response.text for name in schema.get("properties", ()))
    assert "needs the scope" in response.text
    assert shared_client.get("/docs").content == response.content


@pytest.mark.parametrize("path", ["/docs", "/openapi.json"])
def test_the_reference_and_the_document_are_rendered_once_and_cached(
    shared_client: TestClient, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    response = shared_client.get(path, headers={"Authorization": ""})
    assert response.headers["cache-control"] == "public, max-age=300"
    tag = response.headers["etag"]

    def fail() -> None:
        raise AssertionError("the document is generated again")

    monkeypatch.setattr(shared_client.app, "openapi", fail)
    unchanged = shared_client.get(path, headers={"If-None-Match": f'"other", W/{tag}'})
    assert (unchanged.status_code, unchanged.content, unchanged.headers["etag"]) == (304, b"", tag)
    assert shared_client.get(path, headers={"If-None-Match": '"other"'}).content == response.content
    head = shared_client.head(path)
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(len(response.content)))


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}]}, "string (date) or null"),
        ({"type": "array", "items": {"$ref": "#/components/schemas/Score"}}, "list of Score"),
        ({"type": "object", "additionalProperties": {"type": "number"}}, "object of number"),
        ({"enum": ["a", "b"]}, "a | b"),
        ({"const": "ready", "type": "string"}, "ready"),
        ({}, "any value"),
    ],
)
def test_a_type_is_in_words(schema: dict[str, object], words: str) -> None:
    assert re.sub(r"<[^>]+>", "", type_of(schema)) == words


def test_a_name_in_a_type_is_escaped() -> None:
    assert "<script>" not in type_of({"enum": ["<script>"]})

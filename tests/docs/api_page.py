"""The examples in docs/api.md: which there are, and their text as the API answers today.

Each JSON example begins with a fence such as "```json createScore", which names its operation, or "```json problem
consent-required", which names a problem type. Examples of problems and of the operations in
`api/kit/openapi_examples.json` are written from there by `updated`; all others were recorded from a running service.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from api.app import create_app
from api.settings import Settings

PAGE: Final = Path(__file__).parents[2] / "docs" / "api.md"
DOCUMENT: Final[dict[str, Any]] = create_app(Settings(home=Path("not-there"))).openapi()
OPERATIONS: Final[dict[str, dict[str, Any]]] = {
    operation["operationId"]: {**operation, "call": f"{method.upper()} {path}"}
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
}
PROBLEM: Final = "problem "
_FENCE: Final = re.compile(r"```json (?P<name>[^\n]+)\n(?P<body>.*?)```", re.DOTALL)
_WIDTH: Final = 116
_LONGEST: Final = 64
"""Characters that are shown of a receipt, a token or a cursor."""


@dataclass(frozen=True)
class Example:
    """An example in the page: the operation or problem type that it belongs to, and its value."""

    name: str
    value: Any


def examples(page: str) -> list[Example]:
    """Return every named JSON example of the page, in order."""
    return [Example(found["name"], json.loads(found["body"])) for found in _FENCE.finditer(page)]


def updated(page: str) -> str:
    """Return the page with today's examples of problems and of operations with a stored call."""
    stored = json.loads(
        (Path(__file__).parents[2] / "api" / "kit" / "openapi_examples.json").read_text(encoding="utf-8")
    )
    current = {f"{PROBLEM}{slug}": value for slug, value in problem_examples().items()}
    current |= {name: call["answer"] for name, call in stored.items()}

    def replaced(found: re.Match[str]) -> str:
        if found["name"] not in current:
            return found[0]
        return f"```json {found['name']}\n{format_json(shorten(current[found['name']]))}\n```"

    return _FENCE.sub(replaced, page)


def problem_examples() -> dict[str, Any]:
    """Return the example of each problem in the OpenAPI document, by the end of its type."""
    contents = [
        response["content"]["application/problem+json"]["examples"]
        for operation in OPERATIONS.values()
        for response in operation["responses"].values()
        if "application/problem+json" in response.get("content", {})
    ]
    return {slug: example["value"] for content in contents for slug, example in content.items()}


def shorten(value: Any) -> Any:
    """Return a value in which long texts such as receipts end with "…"."""
    if isinstance(value, dict):
        return {name: shorten(each) for name, each in value.items()}
    if isinstance(value, list):
        return [shorten(each) for each in value]
    is_coded = isinstance(value, str) and len(value) > 2 * _LONGEST and " " not in value
    return f"{value[:_LONGEST]}…" if is_coded else value


def format_json(value: Any, indent: int = 0) -> str:
    """Return JSON in which each object or list that fits into a line has one line.

    Example: `format_json({"status": "live"})` is '{"status": "live"}'.
    """
    line = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, dict | list) or not value or indent + len(line) <= _WIDTH:
        return line
    inner = " " * (indent + 2)
    if isinstance(value, dict):
        parts = [f"{json.dumps(name)}: {format_json(each, indent + 2)}" for name, each in value.items()]
        return "{\n" + ",\n".join(inner + part for part in parts) + "\n" + " " * indent + "}"
    parts = [format_json(each, indent + 2) for each in value]
    return "[\n" + ",\n".join(inner + part for part in parts) + "\n" + " " * indent + "]"

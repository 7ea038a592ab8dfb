"""docs/api.md lists every call and every problem of the API, and its examples obey the OpenAPI document.

`make docs` updates the examples that are stored elsewhere; see `tests.docs.api_page`.
"""

from __future__ import annotations

import re
from typing import Any

import jsonschema_rs
import pytest

from api import errors
from tests.docs.api_page import DOCUMENT, OPERATIONS, PAGE, PROBLEM, Example, examples, problem_examples, updated

TEXT = PAGE.read_text(encoding="utf-8")
EXAMPLES = [example for example in examples(TEXT) if not example.name.startswith(PROBLEM)]


def schema_of(name: str) -> dict[str, Any]:
    """Return the schema of an example such as `createScore`, `createToken 401` or `createScore assessment`."""
    operation, _, part = name.partition(" ")
    responses = OPERATIONS[operation]["responses"]
    status = part if part.isdigit() else min(responses)
    schema: dict[str, Any] = responses[status]["content"]["application/json"]["schema"]
    if not part or part.isdigit():
        return schema
    whole = schema.get("anyOf", [schema])[0]
    component = whole["$ref"].rpartition("/")[2]
    part_schema: dict[str, Any] = DOCUMENT["components"]["schemas"][component]["properties"][part]
    return part_schema


def test_stored_examples_are_up_to_date() -> None:
    assert updated(TEXT) == TEXT, "run make docs, and review the difference"


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_an_example_obeys_its_schema(example: Example) -> None:
    schema = {**schema_of(example.name), "components": DOCUMENT["components"]}
    jsonschema_rs.validator_for(schema).validate(example.value)


def test_the_points_of_the_example_score_add_up() -> None:
    (score,) = (example.value for example in EXAMPLES if example.name == "createScore")
    explanation = score["assessment"]["explanation"]
    for part in ("groups", "contributions"):
        points = explanation["base_points"] + sum(item["points"] for item in explanation[part])
        assert points == score["assessment"]["score"]


def test_every_call_is_listed_with_its_scope() -> None:
    listed = dict(re.findall(r"^\| `([A-Z]+ /[^`]+)` \| (?:`([a-z:-]+)`)? \|", TEXT, re.MULTILINE))
    scopes = {
        operation["call"]: next(
            (scope for scheme in operation.get("security", ()) for scope in scheme.get("oauth2", ())), ""
        )
        for operation in OPERATIONS.values()
    }
    assert listed == scopes


def test_every_problem_is_listed_with_its_status() -> None:
    rows = re.findall(r"^\| (\d{3}) \| ([^|]+) \|", TEXT, re.MULTILINE)
    listed = {(int(status), slug) for status, slugs in rows for slug in re.findall(r"`([a-z-]+)`", slugs)}
    of_all_paths = (errors.RouteUnknown, errors.MethodNotAllowed, errors.ClockSetBack, errors.ClockSetForward)
    described = {(value["status"], slug) for slug, value in problem_examples().items()}
    assert listed == described | {(problem.status, problem.slug) for problem in of_all_paths}


def test_every_request_calls_an_operation() -> None:
    paths = [call.partition(" ")[2] for call in (operation["call"] for operation in OPERATIONS.values())]
    patterns = [re.compile(re.sub(r"\{\w+\}", "[^/?]+", path) + r"(?=[?\s\"]|$)") for path in paths]
    requests = re.findall(r"\$BASE(/[^\s\"]+)", TEXT)
    assert len(requests) > 10
    assert not [path for path in requests if not any(pattern.match(path) for pattern in patterns)]

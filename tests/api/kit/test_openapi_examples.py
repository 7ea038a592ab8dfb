"""The examples of the OpenAPI document are calls as they are answered today.

`SELLERSCORE_WRITE_EXAMPLES=1` writes the file anew: do so when an answer has another form, look at the difference, and
run this again, since the document was read before.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema_rs
import pytest

from api.app import create_app
from api.ledger.receipts import verify_receipt
from api.settings import Settings
from tests.api import example_calls
from tests.api.conftest import Opener, register
from tests.api.models.records import RECORD
from tests.api.started import demo_credentials

if TYPE_CHECKING:
    from tests.api.example_calls import Made

FILE = Path(__file__).parents[3] / "api" / "kit" / "openapi_examples.json"
DOCUMENT: dict[str, Any] = create_app(Settings(home=Path("not-there"))).openapi()
OPERATIONS: dict[str, dict[str, Any]] = {
    operation["operationId"]: operation for item in DOCUMENT["paths"].values() for operation in item.values()
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, open_client: Opener) -> dict[str, Made]:
    folder = tmp_path_factory.mktemp("examples")
    uri, home = f"sqlite:///{folder}/mlflow.db", folder / "home"
    register(uri, example_calls.bundle_files(), folder, RECORD)
    home.mkdir(mode=0o700)
    example_calls.fill(home, example_calls.SNAPSHOT, 0.137)
    settings = Settings(home=home, MLFLOW_TRACKING_URI=uri)
    with open_client(settings) as client:
        found = example_calls.calls(client, home, demo_credentials(settings))
    if os.environ.get("SELLERSCORE_WRITE_EXAMPLES"):
        shown = {name: call.shown() for name, call in found.items()}
        FILE.write_text(json.dumps(shown, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return found


def form(value: Any) -> Any:
    """Return what a value looks like: names and kinds, not what they are today."""
    if isinstance(value, dict):
        return {name: form(each) for name, each in value.items()}
    if isinstance(value, list):
        return [form(value[0])] if value else []
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__


def test_examples_have_the_form_of_what_is_answered_today(made: dict[str, Made]) -> None:
    kept = json.loads(FILE.read_text(encoding="utf-8"))
    assert {name: form(each) for name, each in kept.items()} == {
        name: form(call.shown()) for name, call in made.items()
    }


def test_every_operation_that_has_a_call_here_shows_it(made: dict[str, Made]) -> None:
    kept = json.loads(FILE.read_text(encoding="utf-8"))
    for name, call in kept.items():
        operation = OPERATIONS[name]
        (answer,) = (each for status, each in operation["responses"].items() if status.startswith("2"))
        assert [content["example"] for content in answer["content"].values()] == [call["answer"]]
        shown = {each["name"]: each["example"] for each in operation.get("parameters", ()) if "example" in each}
        assert shown == call.get("parameters", {})
        if "body" in call:
            assert [content["example"] for content in operation["requestBody"]["content"].values()] == [call["body"]]
    assert set(made) == set(kept)


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_every_example_obeys_its_schema(name: str) -> None:
    def valid(schema: dict[str, Any], value: Any) -> None:
        jsonschema_rs.validator_for({**schema, "components": DOCUMENT["components"]}).validate(value)

    operation = OPERATIONS[name]
    contents = [content for each in operation["responses"].values() for content in each.get("content", {}).values()]
    contents += list(operation.get("requestBody", {}).get("content", {}).values())
    contents += operation.get("parameters", ())
    seen = 0
    for content in contents:
        given = [each["value"] for each in content.get("examples", {}).values()]
        for value in [*given, *([content["example"]] if "example" in content else [])]:
            valid(content["schema"], value)
            seen += 1
    assert seen


def test_the_example_score_is_genuine_and_adds_up() -> None:
    kept = json.loads(FILE.read_text(encoding="utf-8"))
    score = kept["getScore"]["answer"]
    verify_receipt(json.dumps(score).encode(), {"keys": kept["getKeys"]["answer"]["keys"]})
    explanation = score["assessment"]["explanation"]
    for part in ("groups", "contributions"):
        assert (
            explanation["base_points"] + sum(each["points"] for each in explanation[part])
            == score["assessment"]["score"]
        )
    codes = {each["code"] for each in kept["getReasons"]["answer"]["reasons"]}
    assert {each["code"] for each in explanation["reasons"]} & codes
    changes = kept["getScoreChanges"]["answer"]
    points = sum(each["points"] for each in changes["features"])
    assert changes["by_model"] + points == changes["difference"] != 0
    assert changes["now"]["id"] == score["id"]


def test_the_document_says_where_and_what_its_parts_are() -> None:
    assert DOCUMENT["servers"][0]["url"] == Settings(home=Path("not-there")).issuer
    assert DOCUMENT["info"]["contact"]["name"]
    described = [tag["name"] for tag in DOCUMENT["tags"] if tag["description"]]
    used = {tag for operation in OPERATIONS.values() for tag in operation["tags"]}
    assert described[0] == "access"
    assert used <= set(described)
    for name, operation in OPERATIONS.items():
        assert operation["summary"], name
        assert operation["description"], name

"""The OpenAPI document: calls, statuses, problems, descriptions, and examples that are current responses.

`make docs` updates the file of examples, and docs/api.md from it. It replaces an example only if its fields or their
types changed. To renew the values of an example, remove it from the file first.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema_rs
import pytest

from api.app import create_app
from api.auth.scopes import Scope
from api.consents.schemas import ConsentCreate, ConsentRequestCreate
from api.ledger.receipts import verify_receipt
from api.scores.schemas import ScoreRequest
from api.settings import Settings
from tests.api import example_calls
from tests.api.conftest import Opener, register
from tests.api.models.records import RECORD
from tests.api.started import demo_credentials
from tests.docs.api_page import DOCUMENT, OPERATIONS, PAGE, updated

if TYPE_CHECKING:
    from tests.api.example_calls import ExampleCall

FILE = Path(__file__).parents[3] / "api" / "kit" / "openapi_examples.json"
OPTIONAL = {
    "ConsentCreate": {"granted_at", "ends_at", "days"},
    "SessionCreate": {"language"},
    "DecisionCreate": {"feature", "value", "confirm_band", "confirm_value"},
    "PreviewCreate": {"feature"},
    "ReversalCreate": {"confirm_band"},
}
"""Optional fields of requests. A response has all its fields."""

CALLS = """
POST /v1/scores                                createScore           201 400 401 403 404 409 410 413 415 422 429 500 503
GET /v1/scores                                 listScores            200 401 403 422 429 500 503
GET /v1/scores/{score_id}                      getScore              200 304 401 403 404 410 422 429 500 503
GET /v1/scores/{score_id}/changes              getScoreChanges       200 401 403 404 409 410 422 429 500 503
GET /v1/scores/{score_id}/report               getScoreReport        200 401 403 404 410 422 429 500 503
POST /v1/scores/{score_id}/replay              replayScore           200 401 403 404 409 410 422 429 500 503
GET /v1/model                                  getModel              200 304 401 403 422 429 500 503
GET /v1/reasons                                getReasons            200 304 401 403 422 429 500 503
PUT /v1/products                               replaceProducts       200 400 401 403 412 413 415 422 429 500 503
GET /v1/products                               listProducts          200 401 403 422 429 500 503
GET /v1/scores/{score_id}/eligibility          getEligibility        200 401 403 404 409 410 422 429 500 503
GET /v1/sellers/{seller_id}/profile            getProfile            200 401 403 404 422 429 500 503
GET /v1/sellers/{seller_id}/profile.html       getProfilePage        200 401 403 404 422 429 500 503
POST /v1/consents                              createConsent         201 400 401 403 404 413 415 422 429 500 503
GET /v1/consents                               listConsents          200 401 403 422 429 500 503
GET /v1/consents/{consent_id}                  getConsent            200 401 403 404 422 429 500 503
DELETE /v1/consents/{consent_id}               revokeConsent         200 401 403 404 422 429 500 503
POST /v1/consent-requests                      createConsentRequest  202 400 401 403 413 415 422 429 500 503
GET /v1/consent-requests                       listConsentRequests   200 401 403 422 429 500 503
GET /v1/consent-requests/{request_id}          getConsentRequest     200 401 403 404 422 429 500 503
POST /v1/consent-requests/{request_id}/decline declineConsentRequest 200 401 403 404 409 422 429 500 503
POST /v1/seller-sessions                       createSellerSession   201 400 401 403 413 415 422 429 500 503
GET /v1/reviews                                listReviews           200 401 403 422 429 500 503
GET /v1/reviews/{review_id}                    getReview             200 401 403 404 422 429 500 503
POST /v1/reviews/{review_id}/take              takeReview            200 401 403 404 409 422 429 500 503
POST /v1/reviews/{review_id}/preview           previewCorrection     200 400 401 403 404 413 415 422 429 500 503
POST /v1/reviews/{review_id}/reversal          reverseCorrection     201 400 401 403 404 409 413 415 422 429 500 503
POST /v1/reviews/{review_id}/decision          decideReview          200 400 401 403 404 409 413 415 422 429 500 503
GET /.well-known/jwks.json                     getKeys               200 500
POST /oauth/token                              createToken           200 400 401 413 429 500 503
GET /health/live                               getLive               200
GET /health/ready                              getReady              200 503
GET /metrics                                   getMetrics            200 401 403 422 429 500 503
"""
"""Every call with its operation ID and statuses. Clients are generated from them, so they never change."""


def test_these_calls_are_described_with_these_statuses() -> None:
    described = {(each["call"], name, *sorted(each["responses"])) for name, each in OPERATIONS.items()}
    assert described == {
        (f"{method} {path}", *rest) for method, path, *rest in map(str.split, CALLS.strip().split("\n"))
    }


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_error_is_a_problem_with_an_example(name: str) -> None:
    for status, response in OPERATIONS[name]["responses"].items():
        # token errors are those of RFC 6749
        if status < "400" or (name == "createToken" and status in {"400", "401"}):
            continue
        ((media_type, content),) = response["content"].items()
        assert media_type == "application/problem+json"
        schema = content["schema"]
        assert all(option["$ref"].endswith("Details") for option in schema.get("anyOf", [schema]))
        types = {
            (example["value"]["status"], example["value"]["type"][:10]) for example in content["examples"].values()
        }
        assert types == {(int(status), "/problems/")}


def test_token_requests_and_errors_are_those_of_the_rfc() -> None:
    token = OPERATIONS["createToken"]
    ((media_type, form),) = token["requestBody"]["content"].items()
    assert (media_type, form["schema"]["required"]) == ("application/x-www-form-urlencoded", ["grant_type"])
    assert all(field["description"] for field in form["schema"]["properties"].values())
    errors = set()
    for status in ("400", "401"):
        ((media_type, content),) = token["responses"][status]["content"].items()
        assert (media_type, content["schema"]["$ref"].rpartition("/")[2]) == ("application/json", "TokenError")
        errors |= {(status, name, example["value"]["error"]) for name, example in content["examples"].items()}
    assert errors == {
        ("400", "invalid_request", "invalid_request"),
        ("400", "unsupported_grant_type", "unsupported_grant_type"),
        ("400", "invalid_scope", "invalid_scope"),
        ("401", "invalid_client", "invalid_client"),
    }


def test_scopes_and_headers_are_described() -> None:
    flow = DOCUMENT["components"]["securitySchemes"]["oauth2"]["flows"]["clientCredentials"]
    assert flow["tokenUrl"] == "/oauth/token"
    assert (set(flow["scopes"]), all(flow["scopes"].values())) == ({str(scope) for scope in Scope}, True)
    responses = OPERATIONS["createScore"]["responses"]
    assert responses["429"]["headers"]["Retry-After"]["description"]
    assert responses["401"]["headers"]["WWW-Authenticate"]["description"]
    assert {"RateLimit", "RateLimit-Policy", "Location"} <= set(responses["201"]["headers"])


def test_every_field_is_described_and_responses_have_no_defaults() -> None:
    for name, schema in DOCUMENT["components"]["schemas"].items():
        for field, description in schema.get("properties", {}).items():
            assert description.get("description"), f"{name}.{field}"
            if field not in OPTIONAL.get(name, ()):
                assert "default" not in description, f"{name}.{field}"
                assert field in schema["required"], f"{name}.{field}"


def test_the_document_describes_its_operations_tags_and_server() -> None:
    # imported late, because it warns before the filter of the package is active
    from starlette.testclient import TestClient

    settings = Settings(home=Path("not-there"))
    assert TestClient(create_app(settings)).get("/openapi.json").json() == DOCUMENT
    assert DOCUMENT["servers"][0]["url"] == settings.issuer
    assert DOCUMENT["info"]["contact"]["name"]
    tags = [tag["name"] for tag in DOCUMENT["tags"] if tag["description"]]
    assert tags[0] == "access"
    for name, operation in OPERATIONS.items():
        assert operation["summary"], name
        assert operation["description"], name
        assert set(operation["tags"]) <= set(tags), name


@pytest.mark.parametrize("model", [ScoreRequest, ConsentCreate, ConsentRequestCreate])
def test_the_example_of_a_request_is_valid(model: type[Any]) -> None:
    (example,) = DOCUMENT["components"]["schemas"][model.__name__]["examples"]
    assert model.model_validate(example).model_dump(mode="json", exclude_unset=True) == example


OF_ONE_SCORE = {"createScore", "listScores", "getScore", "getScoreChanges", "getScoreReport", "replayScore", "getKeys"}


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory, open_client: Opener) -> dict[str, ExampleCall]:
    folder = tmp_path_factory.mktemp("examples")
    uri, home = f"sqlite:///{folder}/mlflow.db", folder / "home"
    register(uri, example_calls.bundle_files(), folder, RECORD)
    home.mkdir(mode=0o700)
    example_calls.fill(home, example_calls.SNAPSHOT, 0.137)
    settings = Settings(home=home, MLFLOW_TRACKING_URI=uri)
    with open_client(settings) as client:
        calls = example_calls.calls(client, home, demo_credentials(settings))
    if os.environ.get("SELLERSCORE_WRITE_EXAMPLES"):
        content = with_changes(stored_examples(), {name: call.as_json() for name, call in calls.items()})
        FILE.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        PAGE.write_text(updated(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    return calls


def with_changes(stored: dict[str, Any], current: dict[str, Any]) -> dict[str, Any]:
    """Return the stored examples, and the current ones instead of those whose shape changed.

    Examples of one score and the key that signed it belong together, so a change of one replaces all of them.
    """
    changed = {name for name, call in current.items() if shape_of(stored.get(name)) != shape_of(call)}
    if changed & OF_ONE_SCORE:
        changed |= OF_ONE_SCORE
    return {name: call if name in changed else stored[name] for name, call in current.items()}


def stored_examples() -> dict[str, Any]:
    stored: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return stored


def shape_of(value: Any) -> Any:
    """Return the names and types of a value."""
    if isinstance(value, dict):
        return {name: shape_of(item) for name, item in value.items()}
    if isinstance(value, list):
        return [shape_of(value[0])] if value else []
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__


def test_stored_examples_have_the_shape_of_current_responses(calls: dict[str, ExampleCall]) -> None:
    current = {name: shape_of(call.as_json()) for name, call in calls.items()}
    assert shape_of(stored_examples()) == current, "run make docs, and review the difference"


def test_only_examples_with_another_shape_are_replaced() -> None:
    names = (*OF_ONE_SCORE, "getLive", "getReady")
    stored = {name: {"answer": {"id": "old"}} for name in (*names, "removed")}
    current: dict[str, Any] = {name: {"answer": {"id": "new"}} for name in (*names, "added")}
    current["getReady"] = {"answer": {"id": "new", "conditions": []}}
    assert with_changes(stored, current) == {
        **{name: stored[name] for name in (*OF_ONE_SCORE, "getLive")},
        "getReady": current["getReady"],
        "added": current["added"],
    }
    current["getScore"] = {"answer": {"id": 4711}}
    assert with_changes(stored, current) == {**current, "getLive": stored["getLive"]}


def test_the_document_shows_the_stored_examples() -> None:
    for name, call in stored_examples().items():
        operation = OPERATIONS[name]
        (success,) = (response for status, response in operation["responses"].items() if status.startswith("2"))
        assert [content["example"] for content in success["content"].values()] == [call["answer"]]
        parameters = {each["name"]: each["example"] for each in operation.get("parameters", ()) if "example" in each}
        assert parameters == call.get("parameters", {})
        if "body" in call:
            assert [content["example"] for content in operation["requestBody"]["content"].values()] == [call["body"]]


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_example_obeys_its_schema(name: str) -> None:
    operation = OPERATIONS[name]
    contents = [content for each in operation["responses"].values() for content in each.get("content", {}).values()]
    contents += [*operation.get("requestBody", {}).get("content", {}).values(), *operation.get("parameters", ())]
    examples = [
        (content["schema"], value)
        for content in contents
        for value in (
            *(each["value"] for each in content.get("examples", {}).values()),
            *([content["example"]] if "example" in content else ()),
        )
    ]
    assert examples
    for schema, value in examples:
        jsonschema_rs.validator_for({**schema, "components": DOCUMENT["components"]}).validate(value)


def test_the_example_score_is_signed_and_adds_up() -> None:
    stored = stored_examples()
    score, changes = stored["getScore"]["answer"], stored["getScoreChanges"]["answer"]
    verify_receipt(json.dumps(score).encode(), {"keys": stored["getKeys"]["answer"]["keys"]})
    explanation = score["assessment"]["explanation"]
    for part in ("groups", "contributions"):
        points = explanation["base_points"] + sum(item["points"] for item in explanation[part])
        assert points == score["assessment"]["score"]
    codes = {reason["code"] for reason in stored["getReasons"]["answer"]["reasons"]}
    assert {reason["code"] for reason in explanation["reasons"]} & codes
    points = sum(feature["points"] for feature in changes["features"])
    assert changes["by_model"] + points == changes["difference"] != 0
    assert changes["now"]["id"] == score["id"]

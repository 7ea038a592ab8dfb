"""The OpenAPI document says all that a caller meets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from api.scores.schemas import ScoreRequest

if TYPE_CHECKING:
    from starlette.testclient import TestClient


@pytest.fixture
def document(client: TestClient) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/openapi.json").json()
    return found


def test_exactly_these_calls_are_described(document: dict[str, Any]) -> None:
    found = {
        (method.upper(), path): operation["operationId"]
        for path, item in document["paths"].items()
        for method, operation in item.items()
    }
    assert found == {
        ("POST", "/v1/scores"): "createScore",
        ("GET", "/v1/scores/{score_id}"): "getScore",
        ("POST", "/v1/scores/{score_id}/replay"): "replayScore",
        ("GET", "/.well-known/jwks.json"): "getKeys",
        ("GET", "/health/live"): "getLive",
        ("GET", "/health/ready"): "getReady",
    }


@pytest.mark.parametrize(
    ("method", "path", "statuses"),
    [
        ("post", "/v1/scores", {"201", "400", "401", "404", "413", "415", "422", "500", "503"}),
        ("get", "/v1/scores/{score_id}", {"200", "401", "404", "410", "422", "500", "503"}),
        ("post", "/v1/scores/{score_id}/replay", {"200", "401", "404", "409", "410", "422", "500", "503"}),
        ("get", "/.well-known/jwks.json", {"200", "500"}),
        ("get", "/health/ready", {"200", "503"}),
        ("get", "/health/live", {"200"}),
    ],
)
def test_every_refusal_is_a_problem_with_an_example(
    document: dict[str, Any], method: str, path: str, statuses: set[str]
) -> None:
    responses = document["paths"][path][method]["responses"]
    assert set(responses) == statuses
    for status in statuses - {"200", "201"}:
        assert list(responses[status]["content"]) == ["application/problem+json"]
        content = responses[status]["content"]["application/problem+json"]
        assert content["schema"]["$ref"].endswith("Details")
        examples = [example["value"] for example in content["examples"].values()]
        assert examples
        assert all(
            example["status"] == int(status) and example["type"].startswith("/problems/") for example in examples
        )


def test_answers_are_described_as_json_alone(document: dict[str, Any]) -> None:
    for method, path, status in (("post", "/v1/scores", "201"), ("get", "/v1/scores/{score_id}", "200")):
        content = document["paths"][path][method]["responses"][status]["content"]
        assert list(content) == ["application/json"]
        assert content["application/json"]["schema"]["$ref"].endswith("/Score")


def test_scores_need_the_token_and_health_does_not(document: dict[str, Any]) -> None:
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    needing = {
        path for path, item in document["paths"].items() for operation in item.values() if operation.get("security")
    }
    assert needing == {"/v1/scores", "/v1/scores/{score_id}", "/v1/scores/{score_id}/replay"}


def test_every_field_is_described_and_no_answer_has_a_default(document: dict[str, Any]) -> None:
    for name, schema in document["components"]["schemas"].items():
        for field, about in schema.get("properties", {}).items():
            assert about.get("description"), f"{name}.{field}"
            assert "default" not in about, f"{name}.{field}"
            assert field in schema["required"], f"{name}.{field}"


def test_the_example_of_a_request_is_one(document: dict[str, Any]) -> None:
    (example,) = document["components"]["schemas"]["ScoreRequest"]["examples"]
    assert ScoreRequest.model_validate(example).model_dump(mode="json") == example

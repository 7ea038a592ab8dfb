"""The OpenAPI document says all that a caller meets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from api.app import create_app
from api.auth.scopes import Scope
from api.consents.schemas import ConsentCreate, ConsentRequestCreate
from api.scores.schemas import ScoreRequest
from api.settings import Settings

MAY_BE_LEFT_OUT = {
    "ConsentCreate": {"granted_at", "ends_at", "days"},
    "SessionCreate": {"language"},
    "DecisionCreate": {"feature", "value"},
}
"""Fields of requests; an answer has them all."""


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    # the document needs no running service
    from starlette.testclient import TestClient

    client = TestClient(create_app(Settings(home=Path("not-there"))))
    found: dict[str, Any] = client.get("/openapi.json").json()
    return found


def test_exactly_these_calls_are_described(document: dict[str, Any]) -> None:
    found = {
        (method.upper(), path): operation["operationId"]
        for path, item in document["paths"].items()
        for method, operation in item.items()
    }
    assert found == {
        ("POST", "/oauth/token"): "createToken",
        ("POST", "/v1/scores"): "createScore",
        ("GET", "/v1/scores"): "listScores",
        ("GET", "/v1/scores/{score_id}"): "getScore",
        ("GET", "/v1/scores/{score_id}/changes"): "getScoreChanges",
        ("GET", "/v1/scores/{score_id}/report"): "getScoreReport",
        ("GET", "/v1/model"): "getModel",
        ("GET", "/v1/reasons"): "getReasons",
        ("POST", "/v1/scores/{score_id}/replay"): "replayScore",
        ("GET", "/v1/sellers/{seller_id}/profile"): "getProfile",
        ("GET", "/v1/sellers/{seller_id}/profile.html"): "getProfilePage",
        ("POST", "/v1/seller-sessions"): "createSellerSession",
        ("GET", "/v1/reviews"): "listReviews",
        ("GET", "/v1/reviews/{review_id}"): "getReview",
        ("POST", "/v1/reviews/{review_id}/take"): "takeReview",
        ("POST", "/v1/reviews/{review_id}/decision"): "decideReview",
        ("PUT", "/v1/products"): "replaceProducts",
        ("GET", "/v1/products"): "listProducts",
        ("GET", "/v1/scores/{score_id}/eligibility"): "getEligibility",
        ("POST", "/v1/consents"): "createConsent",
        ("GET", "/v1/consents"): "listConsents",
        ("GET", "/v1/consents/{consent_id}"): "getConsent",
        ("DELETE", "/v1/consents/{consent_id}"): "revokeConsent",
        ("POST", "/v1/consent-requests"): "createConsentRequest",
        ("GET", "/v1/consent-requests"): "listConsentRequests",
        ("GET", "/v1/consent-requests/{request_id}"): "getConsentRequest",
        ("POST", "/v1/consent-requests/{request_id}/decline"): "declineConsentRequest",
        ("GET", "/.well-known/jwks.json"): "getKeys",
        ("GET", "/health/live"): "getLive",
        ("GET", "/health/ready"): "getReady",
        ("GET", "/metrics"): "getMetrics",
    }


@pytest.mark.parametrize(
    ("method", "path", "statuses"),
    [
        (
            "post",
            "/v1/scores",
            {"201", "400", "401", "403", "404", "409", "410", "413", "415", "422", "429", "500", "503"},
        ),
        ("get", "/v1/scores/{score_id}", {"200", "401", "403", "404", "410", "422", "429", "500", "503"}),
        (
            "post",
            "/v1/scores/{score_id}/replay",
            {"200", "401", "403", "404", "409", "410", "422", "429", "500", "503"},
        ),
        ("post", "/v1/seller-sessions", {"201", "400", "401", "403", "413", "415", "422", "429", "500", "503"}),
        ("get", "/v1/reviews", {"200", "401", "403", "422", "429", "500", "503"}),
        ("get", "/v1/reviews/{review_id}", {"200", "401", "403", "404", "422", "429", "500", "503"}),
        ("post", "/v1/reviews/{review_id}/take", {"200", "401", "403", "404", "409", "422", "429", "500", "503"}),
        (
            "post",
            "/v1/reviews/{review_id}/decision",
            {"200", "400", "401", "403", "404", "409", "413", "415", "422", "429", "500", "503"},
        ),
        ("put", "/v1/products", {"200", "400", "401", "403", "413", "415", "422", "429", "500", "503"}),
        ("get", "/v1/products", {"200", "401", "403", "422", "429", "500", "503"}),
        (
            "get",
            "/v1/scores/{score_id}/eligibility",
            {"200", "401", "403", "404", "409", "410", "422", "429", "500", "503"},
        ),
        ("post", "/v1/consents", {"201", "400", "401", "403", "404", "413", "415", "422", "429", "500", "503"}),
        ("get", "/v1/consents", {"200", "401", "403", "422", "429", "500", "503"}),
        ("delete", "/v1/consents/{consent_id}", {"200", "401", "403", "404", "422", "429", "500", "503"}),
        ("post", "/v1/consent-requests", {"202", "400", "401", "403", "413", "415", "422", "429", "500", "503"}),
        (
            "post",
            "/v1/consent-requests/{request_id}/decline",
            {"200", "401", "403", "404", "409", "422", "429", "500", "503"},
        ),
        ("get", "/v1/scores", {"200", "401", "403", "422", "429", "500", "503"}),
        (
            "get",
            "/v1/scores/{score_id}/changes",
            {"200", "401", "403", "404", "409", "410", "422", "429", "500", "503"},
        ),
        ("get", "/v1/scores/{score_id}/report", {"200", "401", "403", "404", "410", "422", "429", "500", "503"}),
        ("get", "/v1/model", {"200", "304", "401", "403", "422", "429", "500", "503"}),
        ("get", "/v1/reasons", {"200", "304", "401", "403", "422", "429", "500", "503"}),
        ("get", "/v1/sellers/{seller_id}/profile", {"200", "401", "403", "404", "422", "429", "500", "503"}),
        ("get", "/v1/sellers/{seller_id}/profile.html", {"200", "401", "403", "404", "422", "429", "500", "503"}),
        ("post", "/oauth/token", {"200", "400", "401", "413", "429", "500", "503"}),
        ("get", "/.well-known/jwks.json", {"200", "500"}),
        ("get", "/health/ready", {"200", "503"}),
        ("get", "/health/live", {"200"}),
        ("get", "/metrics", {"200", "401", "403", "429", "500", "503"}),
    ],
)
def test_every_refusal_is_a_problem_with_an_example(
    document: dict[str, Any], method: str, path: str, statuses: set[str]
) -> None:
    responses = document["paths"][path][method]["responses"]
    assert set(responses) == statuses
    # the token endpoint speaks as RFC 6749 has it where that says how
    for status in statuses - {"200", "201", "202", "304", *({"400", "401"} if path == "/oauth/token" else ())}:
        assert list(responses[status]["content"]) == ["application/problem+json"]
        content = responses[status]["content"]["application/problem+json"]
        assert all(each["$ref"].endswith("Details") for each in content["schema"].get("anyOf", [content["schema"]]))
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


def test_each_call_says_which_scope_it_needs(document: dict[str, Any]) -> None:
    flow = document["components"]["securitySchemes"]["oauth2"]["flows"]["clientCredentials"]
    assert flow["tokenUrl"] == "/oauth/token"
    assert set(flow["scopes"]) == {str(scope) for scope in Scope}
    assert all(flow["scopes"].values())
    needing = {
        (method, path): operation["security"]
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if "security" in operation
    }
    assert needing == {
        ("post", "/v1/scores"): [{"oauth2": ["scores:write"]}],
        ("get", "/v1/scores"): [{"oauth2": ["scores:read"]}],
        ("get", "/v1/scores/{score_id}"): [{"oauth2": ["scores:read"]}],
        ("get", "/v1/scores/{score_id}/changes"): [{"oauth2": ["scores:read"]}],
        ("get", "/v1/scores/{score_id}/report"): [{"oauth2": ["scores:read"]}],
        ("get", "/v1/model"): [{"oauth2": ["model:read"]}],
        ("get", "/v1/reasons"): [{"oauth2": ["model:read"]}],
        ("get", "/v1/sellers/{seller_id}/profile"): [{"oauth2": ["profiles:read"]}],
        ("get", "/v1/sellers/{seller_id}/profile.html"): [{"oauth2": ["profiles:read"]}],
        ("post", "/v1/scores/{score_id}/replay"): [{"oauth2": ["scores:read"]}],
        ("post", "/v1/seller-sessions"): [{"oauth2": ["seller-sessions:write"]}],
        ("get", "/v1/reviews"): [{"oauth2": ["reviews:read"]}],
        ("get", "/v1/reviews/{review_id}"): [{"oauth2": ["reviews:read"]}],
        ("post", "/v1/reviews/{review_id}/take"): [{"oauth2": ["reviews:write"]}],
        ("post", "/v1/reviews/{review_id}/decision"): [{"oauth2": ["reviews:write"]}],
        ("put", "/v1/products"): [{"oauth2": ["products:write"]}],
        ("get", "/v1/products"): [{"oauth2": ["products:read"]}],
        ("get", "/v1/scores/{score_id}/eligibility"): [{"oauth2": ["products:read"]}],
        ("post", "/v1/consents"): [{"oauth2": ["consents:write"]}],
        ("get", "/v1/consents"): [{"oauth2": ["consents:read"]}],
        ("get", "/v1/consents/{consent_id}"): [{"oauth2": ["consents:read"]}],
        ("delete", "/v1/consents/{consent_id}"): [{"oauth2": ["consents:write"]}],
        ("post", "/v1/consent-requests"): [{"oauth2": ["consent-requests:write"]}],
        ("get", "/v1/consent-requests"): [{"oauth2": ["consents:read"]}],
        ("get", "/v1/consent-requests/{request_id}"): [{"oauth2": ["consents:read"]}],
        ("post", "/v1/consent-requests/{request_id}/decline"): [{"oauth2": ["consents:write"]}],
        ("get", "/metrics"): [{"oauth2": ["metrics:read"]}],
        ("post", "/oauth/token"): [{"client": []}, {}],
    }


def test_the_refusals_of_a_token_are_those_of_the_rfc(document: dict[str, Any]) -> None:
    responses = document["paths"]["/oauth/token"]["post"]["responses"]
    said = {}
    for status in ("400", "401"):
        assert list(responses[status]["content"]) == ["application/json"]
        content = responses[status]["content"]["application/json"]
        assert content["schema"]["$ref"].endswith("/TokenError")
        said |= {name: (status, example["value"]["error"]) for name, example in content["examples"].items()}
    assert said == {
        "invalid_request": ("400", "invalid_request"),
        "unsupported_grant_type": ("400", "unsupported_grant_type"),
        "invalid_scope": ("400", "invalid_scope"),
        "invalid_client": ("401", "invalid_client"),
    }


def test_the_form_of_a_token_request_is_described(document: dict[str, Any]) -> None:
    content = document["paths"]["/oauth/token"]["post"]["requestBody"]["content"]
    assert list(content) == ["application/x-www-form-urlencoded"]
    schema = content["application/x-www-form-urlencoded"]["schema"]
    assert schema["required"] == ["grant_type"]
    assert all(field["description"] for field in schema["properties"].values())


def test_limits_and_proofs_are_said_in_headers_that_are_described(document: dict[str, Any]) -> None:
    responses = document["paths"]["/v1/scores"]["post"]["responses"]
    assert responses["429"]["headers"]["Retry-After"]["description"]
    assert responses["401"]["headers"]["WWW-Authenticate"]["description"]
    assert {"RateLimit", "RateLimit-Policy"} <= set(responses["201"]["headers"])


def test_every_field_is_described_and_no_answer_has_a_default(document: dict[str, Any]) -> None:
    for name, schema in document["components"]["schemas"].items():
        for field, about in schema.get("properties", {}).items():
            assert about.get("description"), f"{name}.{field}"
            if field in MAY_BE_LEFT_OUT.get(name, ()):
                continue
            assert "default" not in about, f"{name}.{field}"
            assert field in schema["required"], f"{name}.{field}"


def test_the_example_of_a_request_is_one(document: dict[str, Any]) -> None:
    for model in (ScoreRequest, ConsentCreate, ConsentRequestCreate):
        (example,) = document["components"]["schemas"][model.__name__]["examples"]
        assert model.model_validate(example).model_dump(mode="json", exclude_unset=True) == example

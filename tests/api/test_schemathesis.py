"""Schemathesis against the OpenAPI document, with every check it has: whatever a bank sends, the answer is documented.

`make test` sends one request to each operation, in one way; `make soak` shares out 5,000 over all operations and ways.
Operations that cannot be varied, such as a call without parameters, take fewer than their share.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.python.asgi import shutdown_lifespans
from schemathesis.specs.openapi.checks import positive_data_acceptance

from api.app import create_app
from api.auth import clients as service
from api.auth.scopes import ClientKind, scopes_of
from api.settings import Settings
from tests.api.conftest import NEWCOMER, SELLERS, fill
from tests.api.started import consent
from tests.counts import EXAMPLES

if TYPE_CHECKING:
    from schemathesis import APIOperation, BaseSchema, Case

pytestmark = pytest.mark.repeated

_PATHS = create_app(Settings(home=Path("not-there"))).openapi()["paths"]
OPERATIONS = sorted((method.upper(), path) for path, item in _PATHS.items() for method in item)
WAYS = ("valid", "invalid", "known")
"""As the document says; against it; and with sellers and scores that are there, so that more than refusals is seen."""

CASES = [
    # each operation in one way a day; the ways take turns
    pytest.param(method, path, way, marks=() if number % len(WAYS) == turn else pytest.mark.soak)
    for number, (method, path) in enumerate(OPERATIONS)
    for turn, way in enumerate(WAYS)
]
SHARE = max(EXAMPLES // len(CASES), 1)


@dataclass(frozen=True)
class Service:
    """A running service, as Schemathesis asks it: clients of all scopes, one a kind, and what is there."""

    schema: BaseSchema
    clients: dict[ClientKind, str]
    scores: list[str]
    consents: list[str]
    requests: list[str]
    app: Any

    def headers(self, method: str, path: str) -> dict[str, str]:
        """Return a token of a kind that may make the call; none where none is needed."""
        asked = _PATHS[path][method.lower()].get("security", [])
        scopes = {scope for each in asked for scope in each.get("oauth2", ())}
        kind = next((kind for kind in ClientKind if scopes & set(map(str, scopes_of(kind)))), None)
        if kind is None:
            return {}
        # a fresh token each time: a long run outlives one
        tokens = self.app.state.services.auth.tokens
        token = tokens.issue(self.clients[kind], kind, scopes_of(kind), datetime.now(UTC))
        return {"Authorization": f"Bearer {token}"}


@pytest.fixture(scope="module")
def running(registry: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    home = tmp_path_factory.mktemp("home")
    home.chmod(0o700)
    fill(home)
    many = {"rate_limit_calls": 1_000_000, "failed_logins": 1_000_000}
    app = create_app(Settings(home=home, MLFLOW_TRACKING_URI=registry, **many))
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)
    engine, now = app.state.services.engine, datetime.now(UTC)
    clients = {kind: service.create_client(engine, kind, f"A {kind}", now=now).client.id for kind in ClientKind}
    consents = consent(app.state.services, clients[ClientKind.BANK], *SELLERS, NEWCOMER)
    found = Service(schema, clients, [], consents, [], app)
    asking = found.headers("POST", "/v1/consent-requests")
    for seller_id in SELLERS[:2]:
        case = schema["/v1/consent-requests"]["POST"].Case(
            body={"seller_id": seller_id, "purpose": "account_review"}, media_type="application/json"
        )
        found.requests.append(case.call(headers=asking).json()["id"])
    for seller_id in (SELLERS[0], SELLERS[0], NEWCOMER):
        case = schema["/v1/scores"]["POST"].Case(
            body={"seller_id": seller_id, "purpose": "credit_application"}, media_type="application/json"
        )
        answer = case.call(headers=found.headers("POST", "/v1/scores"))
        assert answer.status_code == 201, answer.text
        found.scores.append(answer.json()["id"])
    yield found
    shutdown_lifespans()


def known(running: Service, operation: APIOperation) -> dict[str, Any]:
    """Return parts of a request that name what is there."""
    parts: dict[str, Any] = {}
    there = {
        "score_id": running.scores[1],
        # the sellers here have vectors of made-up features, so no picture: tests/api/sellers look at pictures
        "seller_id": "S-nobody",
        "consent_id": running.consents[-1],
        "request_id": running.requests[-1],
        "review_id": "4a6f0d62-9d3f-4d8e-8a57-4f1f6b0f3c11",
    }
    if named := [each.name for each in operation.path_parameters]:
        parts["path_parameters"] = {name: there[name] for name in named}
    if operation.label == "GET /v1/scores":
        parts["query"] = {"seller_id": SELLERS[0], "limit": 1}
    if operation.label == "GET /v1/scores/{score_id}/changes":
        parts["query"] = {"since": running.scores[0]}
    if operation.label == "POST /v1/consents":
        bank_id = running.clients[ClientKind.BANK]
        parts["body"] = {"seller_id": SELLERS[2], "bank_id": bank_id, "purpose": "account_review", "days": 30}
        parts["media_type"] = "application/json"
    if operation.label == "POST /v1/scores":
        parts["body"] = {"seller_id": SELLERS[0], "purpose": "credit_application"}
        parts["media_type"] = "application/json"
    return parts


def beyond_a_schema(case: Case) -> bool:
    """Say whether a request may be refused by what no schema says of it.

    Which cursors were given, which moments lie ahead, that blanks around a header are lost on the way, and rules
    between fields: of products, of a decision, and that a consent has one end.
    """
    decision = "POST /v1/reviews/{review_id}/decision"
    between = case.operation.label in {"PUT /v1/products", "POST /v1/consents", decision}
    return between or bool({"cursor", "at"} & set(case.query or {})) or "Idempotency-Key" in (case.headers or {})


@pytest.mark.parametrize(("method", "path", "way"), CASES)
def test_every_answer_is_documented(running: Service, method: str, path: str, way: str) -> None:
    operation = running.schema[path][method]
    parts = known(running, operation) if way == "known" else {}
    mode = GenerationMode.NEGATIVE if way == "invalid" else GenerationMode.POSITIVE

    @settings(
        max_examples=SHARE,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
    )
    @given(case=operation.as_strategy(mode, **parts))
    def asked(case: Case) -> None:
        headers = running.headers(method, path)
        excluded = [positive_data_acceptance] if beyond_a_schema(case) else []
        case.call_and_validate(headers=headers, excluded_checks=excluded)

    try:
        asked()
    except Unsatisfiable:
        # any text is a header that may be sent
        if way != "invalid":
            raise
        pytest.skip("nothing to say wrongly")

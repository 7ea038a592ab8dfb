"""Schemathesis with all its checks: whatever a client sends, the response is one that the OpenAPI document describes.

`make test` sends one request to each operation, in one mode; `make soak` shares 5,000 among all operations and modes.
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
from api.auth.scopes import ClientKind, Scope, scopes_of
from api.settings import Settings
from tests.api.conftest import NEWCOMER, SELLERS, fill
from tests.api.started import consent, register_of
from tests.counts import EXAMPLES

if TYPE_CHECKING:
    from schemathesis import APIOperation, BaseSchema, Case

pytestmark = pytest.mark.repeated

_PATHS = create_app(Settings(home=Path("not-there"))).openapi()["paths"]
OPERATIONS = sorted((method.upper(), path) for path, item in _PATHS.items() for method in item)
MODES = ("valid", "invalid", "stored")
"""Requests that obey the document, that break it, and that name stored sellers and scores, so that they succeed."""

CASES = [
    # the modes take turns, so that each run of `make test` uses all of them
    pytest.param(method, path, mode, marks=() if number % len(MODES) == turn else pytest.mark.soak)
    for number, (method, path) in enumerate(OPERATIONS)
    for turn, mode in enumerate(MODES)
]
SHARE = max(EXAMPLES // len(CASES), 1)


@dataclass(frozen=True)
class Service:
    """A running service, a client of each kind, and the parts of requests that name stored resources."""

    app: Any
    schema: BaseSchema
    clients: dict[ClientKind, str]
    parameters: dict[str, str]
    parts: dict[str, dict[str, Any]]

    def headers(self, method: str, path: str) -> dict[str, str]:
        """Return a new token of a kind of client that can make the call, because a long run outlives a token."""
        schemes = _PATHS[path][method.lower()].get("security", [])
        scopes = [Scope(name) for scheme in schemes for name in scheme.get("oauth2", ())]
        if not scopes:
            return {}
        kind = scopes[0].kinds[0]
        tokens = self.app.state.services.auth.tokens
        return {"Authorization": f"Bearer {tokens.issue(self.clients[kind], kind, scopes_of(kind), datetime.now(UTC))}"}

    def create(self, path: str, **body: str) -> str:
        """Create a resource and return its ID."""
        case = self.schema[path]["POST"].Case(body=body, media_type="application/json")
        return str(case.call(headers=self.headers("POST", path)).json()["id"])


@pytest.fixture(scope="module")
def service(registry: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    home = tmp_path_factory.mktemp("home")
    home.chmod(0o700)
    fill(home)
    unlimited = {"rate_limit_calls": 1_000_000, "failed_logins": 1_000_000}
    app = create_app(Settings(home=home, MLFLOW_TRACKING_URI=registry, **unlimited))
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)
    register, now = register_of(app.state.services), datetime.now(UTC)
    clients = {kind: register.create(kind, f"A {kind}", now=now).client.id for kind in ClientKind}
    consents = consent(app.state.services, clients[ClientKind.BANK], *SELLERS, NEWCOMER)
    service = Service(app, schema, clients, {}, {})
    review, application = (
        {"seller_id": SELLERS[0], "purpose": purpose} for purpose in ("account_review", "credit_application")
    )
    scores = [service.create("/v1/scores", **application) for _ in range(2)]
    service.parameters.update(
        score_id=scores[1],
        # the vectors here have no real features, hence no profile
        seller_id="S-nobody",
        consent_id=consents[-1],
        request_id=service.create("/v1/consent-requests", **review),
        review_id="4a6f0d62-9d3f-4d8e-8a57-4f1f6b0f3c11",
    )
    terms = {**review, "bank_id": clients[ClientKind.BANK], "days": 30}
    service.parts.update(
        {
            "GET /v1/scores": {"query": {"seller_id": SELLERS[0], "limit": 1}},
            "GET /v1/scores/{score_id}/changes": {"query": {"since": scores[0]}},
            "POST /v1/consents": {"body": terms, "media_type": "application/json"},
            "POST /v1/scores": {"body": application, "media_type": "application/json"},
        }
    )
    yield service
    shutdown_lifespans()


def stored_parts(service: Service, operation: APIOperation) -> dict[str, Any]:
    """Return the parts of a request that name stored resources."""
    parts = dict(service.parts.get(operation.label, {}))
    if names := [parameter.name for parameter in operation.path_parameters]:
        parts["path_parameters"] = {name: service.parameters[name] for name in names}
    return parts


def has_rules_beyond_the_schema(case: Case) -> bool:
    """Return whether a request that obeys its schema may be rejected.

    No schema states which cursors were issued, which times are in the future, that blanks around a header are lost, or
    the rules between fields of products, consents and decisions.
    """
    decision = "POST /v1/reviews/{review_id}/decision"
    between_fields = case.operation.label in {"PUT /v1/products", "POST /v1/consents", decision}
    return between_fields or bool({"cursor", "at"} & set(case.query or {})) or "Idempotency-Key" in (case.headers or {})


@pytest.mark.parametrize(("method", "path", "mode"), CASES)
def test_every_response_is_documented(service: Service, method: str, path: str, mode: str) -> None:
    operation = service.schema[path][method]
    parts = stored_parts(service, operation) if mode == "stored" else {}
    generation = GenerationMode.NEGATIVE if mode == "invalid" else GenerationMode.POSITIVE

    @settings(
        max_examples=SHARE,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
    )
    @given(case=operation.as_strategy(generation, **parts))
    def send(case: Case) -> None:
        excluded = [positive_data_acceptance] if has_rules_beyond_the_schema(case) else []
        case.call_and_validate(headers=service.headers(method, path), excluded_checks=excluded)

    try:
        send()
    except Unsatisfiable:
        # any text is a valid header
        if mode != "invalid":
            raise
        pytest.skip("every request to this operation is valid")

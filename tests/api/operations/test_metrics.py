"""What Prometheus reads: every count is of what was answered, and nobody is named."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from api.auth import clients
from api.auth.scopes import ClientKind
from api.errors import DatabaseUnavailable
from api.kit.middleware import BUCKETS, CompletedRequest, RequestMetrics
from api.ledger.checkpoints import SentCheckpoint
from api.operations.metrics import render_metrics
from api.settings import Settings
from scoring import Bundle
from tests.api.conftest import AS_OF, EVERYONE, NEWCOMER, SELLERS, Opener, bank_of

if TYPE_CHECKING:
    from starlette.testclient import TestClient

CONSENTS = 2 * len(EVERYONE)


@pytest.fixture
def client(stored_in: Settings, open_client: Opener) -> Iterator[TestClient]:
    settings = stored_in.model_copy(update={"checkpoint_url": "http://127.0.0.1:9/x"})
    with open_client(settings) as opened:
        yield opened


def operator_token(client: TestClient) -> str:
    made = clients.create_client(
        client.app.state.services.engine, ClientKind.OPERATOR, "Prometheus", now=datetime.now(UTC)
    )
    form = {"grant_type": "client_credentials", "scope": "metrics:read"}
    answer = client.post("/oauth/token", data=form, auth=(made.client.id, str(made.secret)))
    return str(answer.json()["access_token"])


def scraped(client: TestClient, token: str) -> str:
    answer = client.get("/metrics", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    return str(answer.text)


def samples(text: str) -> dict[str, float]:
    """Read a page as Prometheus does, labels in the order of their names."""
    found = {}
    for family in text_string_to_metric_families(text):
        for each in family.samples:
            inner = ",".join(f'{name}="{value}"' for name, value in sorted(each.labels.items()))
            name = each.name + (f"{{{inner}}}" if inner else "")
            assert name not in found, "each once"
            found[name] = each.value
    return found


@pytest.mark.databases
def test_requests_scores_and_the_ledger_are_counted(client: TestClient, bundle: Bundle) -> None:
    for seller in (*SELLERS[:3], NEWCOMER):
        client.post("/v1/scores", json={"seller_id": seller, "purpose": "credit_application"})
    client.post("/v1/scores", json={"seller_id": "nobody", "purpose": "credit_application"})
    client.get("/nowhere/S-000")
    client.request("BREW", "/v1/scores")
    token = operator_token(client)
    text = scraped(client, token)
    found = samples(text)
    of = 'sellerscore_requests_total{{caller="{3}",method="{0}",route="{1}",status="{2}"}}'.format
    assert found[of("POST", "/v1/scores", 201, "bank")] == 4
    assert found[of("POST", "/v1/scores", 403, "bank")] == 1
    assert found[of("GET", "-", 404, "none")] == 1
    assert found['sellerscore_scores_total{outcome="scored"}'] == 3
    assert found['sellerscore_scores_total{outcome="insufficient_history"}'] == 1
    assert found['sellerscore_request_seconds_count{method="POST",route="/v1/scores"}'] == 5
    assert found['sellerscore_request_seconds_bucket{le="+Inf",method="POST",route="/v1/scores"}'] == 5
    assert found["sellerscore_ledger_rows"] == found["sellerscore_ledger_uncovered_rows"] == CONSENTS + 4
    assert found[f'sellerscore_model_info{{bundle="{bundle.digest}",model="sellerscore",version="1"}}'] == 1
    assert found["sellerscore_shadow_waiting"] == 0
    assert found['sellerscore_degraded{part="checkpoints"}'] == 1
    days = (datetime.now(UTC).date() - AS_OF).days
    assert days <= found["sellerscore_data_age_seconds"] / 86_400 <= days + 1.1
    assert 'method="BREW"' not in text
    again = samples(scraped(client, token))
    assert again[of("GET", "/metrics", 200, "operator")] == 1


def test_nobody_is_named(client: TestClient) -> None:
    score = client.post("/v1/scores", json={"seller_id": SELLERS[0], "purpose": "credit_application"})
    client.get(score.headers["Location"])
    text = scraped(client, operator_token(client))
    for name in (SELLERS[0], bank_of(client), score.json()["id"], "Prometheus"):
        assert name not in text


def test_a_checkpoint_that_was_taken_covers_its_rows(client: TestClient) -> None:
    services, now = client.app.state.services, datetime.now(UTC)
    for seller in SELLERS[:3]:
        client.post("/v1/scores", json={"seller_id": seller, "purpose": "credit_application"})
    services.sent_checkpoints.latest = SentCheckpoint(now, CONSENTS + 2)
    found = samples(render_metrics(services, now + timedelta(minutes=5)).decode())
    assert found["sellerscore_ledger_uncovered_rows"] == 1
    assert found["sellerscore_checkpoint_age_seconds"] == 300


def test_what_cannot_be_read_is_left_out(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    services = client.app.state.services

    def away(*_: object) -> None:
        raise DatabaseUnavailable

    monkeypatch.setattr("api.operations.metrics.transaction", away)
    for file in services.settings.home.glob("vectors.db*"):
        file.unlink()
    found = samples(render_metrics(services, datetime.now(UTC)).decode())
    assert "sellerscore_ledger_rows" not in found
    assert "sellerscore_data_age_seconds" not in found
    assert found["sellerscore_shadow_waiting"] == 0


@given(st.lists(st.floats(0, 100), max_size=30))
def test_a_histogram_adds_up(seconds: list[float]) -> None:
    counted = RequestMetrics()
    for each in seconds:
        counted.record_request(CompletedRequest("GET", "/x", 200, "bank", each))
    found = {}
    for family in counted.families():
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}"] = sample.value
    if not seconds:
        assert found == {}
        return
    of = 'sellerscore_request_seconds_bucket{{le="{}",method="GET",route="/x"}}'.format
    for bound in BUCKETS:
        assert found[of(bound)] == sum(each <= bound for each in seconds)
    assert found[of("+Inf")] == len(seconds)
    assert found['sellerscore_request_seconds_sum{method="GET",route="/x"}'] == pytest.approx(sum(seconds))


NAMES = {
    "sellerscore_requests_total": "counter",
    "sellerscore_request_seconds": "histogram",
    "sellerscore_scores_total": "counter",
    "sellerscore_model_info": "gauge",
    "sellerscore_data_age_seconds": "gauge",
    "sellerscore_ledger_rows": "gauge",
    "sellerscore_ledger_uncovered_rows": "gauge",
    "sellerscore_shadow_waiting": "gauge",
    "sellerscore_degraded": "gauge",
}
"""What docs/operations.md lists, but for the age of a checkpoint, of which none was sent."""


def test_exactly_what_the_guide_lists_is_told(client: TestClient) -> None:
    text = scraped(client, operator_token(client))
    assert dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M)) == NAMES
    guide = (Path(__file__).parents[3] / "docs" / "operations.md").read_text()
    assert all(f"`{name}" in guide for name in NAMES)
    assert "process_" not in text, "of this service alone"

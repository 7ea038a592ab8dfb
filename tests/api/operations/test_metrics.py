"""The metrics for Prometheus: counts of responses, gauges, and no names of sellers or clients."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from api.auth.scopes import ClientKind
from api.errors import DatabaseUnavailable
from api.kit.middleware import BUCKETS, CompletedRequest, RequestMetrics
from api.ledger.checkpoints import SentCheckpoint
from api.operations.metrics import render_metrics
from api.settings import Settings
from scoring import Bundle
from tests.api.conftest import AS_OF, EVERYONE, NEWCOMER, SELLERS, Opener, bank_of
from tests.api.started import register_of

if TYPE_CHECKING:
    from starlette.testclient import TestClient

CONSENTS = 2 * len(EVERYONE)
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
"""The metrics of docs/operations.md without the age of a checkpoint, because none was sent."""


@pytest.fixture
def client(stored_in: Settings, open_client: Opener) -> Iterator[TestClient]:
    settings = stored_in.model_copy(update={"checkpoint_url": "http://127.0.0.1:9/x"})
    with open_client(settings) as opened:
        yield opened


def scrape(client: TestClient) -> str:
    """Return the metrics as Prometheus gets them."""
    services, now = client.app.state.services, datetime.now(UTC)
    secret = services.auth.secrets.new()
    operator = register_of(services).create(ClientKind.OPERATOR, "Prometheus", credential=secret, now=now)
    form = {"grant_type": "client_credentials", "scope": "metrics:read"}
    token = client.post("/oauth/token", data=form, auth=(operator.client.id, str(operator.secret))).json()
    response = client.get("/metrics", headers={"Authorization": f"Bearer {token['access_token']}"})
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert response.headers["cache-control"] == "no-store"
    return str(response.text)


def samples(families: Iterable[Metric]) -> dict[str, float]:
    """Return values by name and labels, with the labels in the order of their names."""
    values: dict[str, float] = {}
    for sample in (sample for family in families for sample in family.samples):
        labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
        name = sample.name + (f"{{{labels}}}" if labels else "")
        assert name not in values, "each once"
        values[name] = sample.value
    return values


def rendered(client: TestClient, now: datetime | None = None) -> dict[str, float]:
    text = render_metrics(client.app.state.services, now or datetime.now(UTC)).decode()
    return samples(text_string_to_metric_families(text))


def post_scores(client: TestClient, *sellers: str) -> None:
    for seller in sellers:
        client.post("/v1/scores", json={"seller_id": seller, "purpose": "credit_application"})


@pytest.mark.databases
def test_requests_scores_and_ledger_rows_are_counted(client: TestClient, bundle: Bundle) -> None:
    post_scores(client, *SELLERS[:3], NEWCOMER, "nobody")
    client.get("/nowhere/S-000")
    client.request("BREW", "/v1/scores")
    text = scrape(client)
    values = samples(text_string_to_metric_families(text))
    name = 'sellerscore_requests_total{{caller="{3}",method="{0}",route="{1}",status="{2}"}}'.format
    assert values[name("POST", "/v1/scores", 201, "bank")] == 4
    assert values[name("POST", "/v1/scores", 403, "bank")] == 1
    assert values[name("GET", "-", 404, "none")] == 1
    assert values['sellerscore_scores_total{outcome="scored"}'] == 3
    assert values['sellerscore_scores_total{outcome="insufficient_history"}'] == 1
    assert values['sellerscore_request_seconds_count{method="POST",route="/v1/scores"}'] == 5
    assert values['sellerscore_request_seconds_bucket{le="+Inf",method="POST",route="/v1/scores"}'] == 5
    # the demo bank, the operator, the consents and the scores
    rows = 2 + CONSENTS + 4
    assert values["sellerscore_ledger_rows"] == values["sellerscore_ledger_uncovered_rows"] == rows
    assert values[f'sellerscore_model_info{{bundle="{bundle.digest}",model="sellerscore",version="1"}}'] == 1
    assert values["sellerscore_shadow_waiting"] == 0
    assert values['sellerscore_degraded{part="checkpoints"}'] == 1
    days = (datetime.now(UTC).date() - AS_OF).days
    assert days <= values["sellerscore_data_age_seconds"] / 86_400 <= days + 1.1
    assert 'method="BREW"' not in text
    assert rendered(client)[name("GET", "/metrics", 200, "operator")] == 1


def test_metrics_are_those_of_the_guide_and_name_nobody(client: TestClient) -> None:
    score = client.post("/v1/scores", json={"seller_id": SELLERS[0], "purpose": "credit_application"})
    client.get(score.headers["Location"])
    text = scrape(client)
    for name in (SELLERS[0], bank_of(client), score.json()["id"], "Prometheus", "process_"):
        assert name not in text
    assert dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M)) == NAMES
    guide = (Path(__file__).parents[3] / "docs" / "operations.md").read_text()
    assert all(f"`{name}" in guide for name in NAMES)


def test_an_accepted_checkpoint_covers_its_rows(client: TestClient) -> None:
    now = datetime.now(UTC)
    post_scores(client, *SELLERS[:3])
    client.app.state.services.sent_checkpoints.latest = SentCheckpoint(now, 1 + CONSENTS + 2)
    values = rendered(client, now + timedelta(minutes=5))
    assert values["sellerscore_ledger_uncovered_rows"] == 1
    assert values["sellerscore_checkpoint_age_seconds"] == 300


def test_values_that_cannot_be_read_are_left_out(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise DatabaseUnavailable

    monkeypatch.setattr("api.operations.metrics.transaction", fail)
    for file in client.app.state.services.settings.home.glob("vectors.db*"):
        file.unlink()
    values = rendered(client)
    assert "sellerscore_ledger_rows" not in values
    assert "sellerscore_data_age_seconds" not in values
    assert values["sellerscore_shadow_waiting"] == 0


@given(st.lists(st.floats(0, 100), max_size=30))
def test_the_buckets_of_a_histogram_are_cumulative(seconds: list[float]) -> None:
    metrics = RequestMetrics()
    for duration in seconds:
        metrics.record_request(CompletedRequest("GET", "/x", 200, "bank", duration))
    values = samples(metrics.families())
    if not seconds:
        assert values == {}
        return
    bucket = 'sellerscore_request_seconds_bucket{{le="{}",method="GET",route="/x"}}'.format
    for bound in BUCKETS:
        assert values[bucket(bound)] == sum(duration <= bound for duration in seconds)
    assert values[bucket("+Inf")] == len(seconds)
    total = values['sellerscore_request_seconds_sum{method="GET",route="/x"}']
    assert total == pytest.approx(sum(seconds))

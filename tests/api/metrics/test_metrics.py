"""What Prometheus reads: every count is of what was answered, and nobody is named."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.access import service
from api.access.rights import Kind
from api.errors import DatabaseUnavailable
from api.ledger.checkpoints import Latest
from api.metrics.counted import BOUNDS, Answered, Counted
from api.metrics.service import page
from api.metrics.written import Family, Sample, written
from api.settings import Settings
from scoring import Bundle
from tests.api.conftest import AS_OF, EVERYONE, NEWCOMER, SELLERS, Opener, bank_of

if TYPE_CHECKING:
    from starlette.testclient import TestClient

CONSENTS = 2 * len(EVERYONE)
SAMPLE = re.compile(r'([a-z_]+)((?:\{(?:[a-z_]+="(?:[^"\\\n]|\\.)*",?)+\})?) (-?[0-9.e+-]+)')


@pytest.fixture
def client(stored_in: Settings, open_client: Opener) -> Iterator[TestClient]:
    settings = stored_in.model_copy(update={"checkpoint_url": "http://127.0.0.1:9/x"})
    with open_client(settings) as opened:
        yield opened


def operator_token(client: TestClient) -> str:
    made = service.create(client.app.state.services.engine, Kind.OPERATOR, "Prometheus", now=datetime.now(UTC))
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
    found = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            match = SAMPLE.fullmatch(line)
            assert match, line
            assert f"{match[1]}{match[2]}" not in found, "each once"
            found[f"{match[1]}{match[2]}"] = float(match[3])
    return found


def test_requests_scores_and_the_ledger_are_counted(client: TestClient, bundle: Bundle) -> None:
    for seller in (*SELLERS[:3], NEWCOMER):
        client.post("/v1/scores", json={"seller_id": seller, "purpose": "credit_application"})
    client.post("/v1/scores", json={"seller_id": "nobody", "purpose": "credit_application"})
    client.get("/nowhere/S-000")
    client.request("BREW", "/v1/scores")
    token = operator_token(client)
    text = scraped(client, token)
    found = samples(text)
    of = 'sellerscore_requests_total{{method="{}",route="{}",status="{}",caller="{}"}}'.format
    assert found[of("POST", "/v1/scores", 201, "bank")] == 4
    assert found[of("POST", "/v1/scores", 403, "bank")] == 1
    assert found[of("GET", "-", 404, "none")] == 1
    assert found['sellerscore_scores_total{outcome="scored"}'] == 3
    assert found['sellerscore_scores_total{outcome="insufficient_history"}'] == 1
    assert found['sellerscore_request_seconds_count{method="POST",route="/v1/scores"}'] == 5
    assert found['sellerscore_request_seconds_bucket{method="POST",route="/v1/scores",le="+Inf"}'] == 5
    assert found["sellerscore_ledger_rows"] == found["sellerscore_ledger_uncovered_rows"] == CONSENTS + 4
    assert found[f'sellerscore_model_info{{model="sellerscore",version="1",bundle="{bundle.digest}"}}'] == 1
    assert found["sellerscore_shadow_waiting"] == 0
    assert found['sellerscore_trouble{part="checkpoints"}'] == 1
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
    services.sent.latest = Latest(now, CONSENTS + 2)
    found = samples(page(services, now + timedelta(minutes=5)))
    assert found["sellerscore_ledger_uncovered_rows"] == 1
    assert found["sellerscore_checkpoint_age_seconds"] == 300


def test_what_cannot_be_read_is_left_out(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    services = client.app.state.services

    def away(*_: object) -> None:
        raise DatabaseUnavailable

    monkeypatch.setattr("api.metrics.service.transaction", away)
    for file in services.settings.home.glob("vectors.db*"):
        file.unlink()
    found = samples(page(services, datetime.now(UTC)))
    assert "sellerscore_ledger_rows" not in found
    assert "sellerscore_data_age_seconds" not in found
    assert found["sellerscore_shadow_waiting"] == 0


@given(st.lists(st.floats(0, 100), max_size=30))
def test_a_histogram_adds_up(seconds: list[float]) -> None:
    counted = Counted()
    for each in seconds:
        counted.answered(Answered("GET", "/x", 200, "bank", each))
    found = samples(written(counted.families()))
    if not seconds:
        assert found == {}
        return
    of = 'sellerscore_request_seconds_bucket{{method="GET",route="/x",le="{}"}}'.format
    for bound in BOUNDS:
        assert found[of(bound)] == sum(each <= bound for each in seconds)
    assert found[of("+Inf")] == len(seconds)
    assert found['sellerscore_request_seconds_sum{method="GET",route="/x"}'] == pytest.approx(sum(seconds))


@given(st.text(max_size=30))
def test_any_label_is_written_in_one_line(value: str) -> None:
    text = written([Family("x", "gauge", "About.", (Sample("", (("label", value),), 1),))])
    assert text.count("\n") == 3
    raw = text.split("\n")[2].removeprefix('x{label="').removesuffix('"} 1')
    assert re.sub(r"\\(.)", lambda found: "\n" if found[1] == "n" else found[1], raw) == value

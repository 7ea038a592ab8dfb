"""Rate limits: the number of calls that the policy states, exact to the second, per client and per address."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from fastapi import Request
from hypothesis import given
from hypothesis import strategies as st

import api.auth.rate_limits
from api.auth.rate_limits import Limiter, Policy, address_of
from api.auth.sessions import UserKind
from api.auth.tokens import open_auth
from api.clients.records import LedgerClients
from tests.api.auth.conftest import FORM, Known, Running
from tests.api.conftest import SELLERS
from tests.api.started import consent

if TYPE_CHECKING:
    from httpx import Response

UNKNOWN = "/v1/scores/0b8f3f0e-2f0c-4e0b-9d3c-8a2b6a1f7c55"
GOOD = {"seller_id": SELLERS[0], "purpose": "credit_application"}


class Clock:
    """A clock that a test moves."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def limiter(clock: Clock) -> Limiter:
    return Limiter(Policy("client", 4, 60), clock)


def test_a_bucket_empties_and_refills_evenly_as_the_headers_state(limiter: Limiter, clock: Clock) -> None:
    calls = [limiter.consume("a") for _ in range(5)]
    assert [call.allowed for call in calls] == [True] * 4 + [False]
    assert {call.headers["RateLimit-Policy"] for call in calls} == {'"client";q=4;w=60'}
    left = [(3, 15), (2, 30), (1, 45), (0, 60), (0, 60)]
    assert [call.headers["RateLimit"] for call in calls] == [f'"client";r={calls};t={time}' for calls, time in left]
    assert [call.headers.get("Retry-After") for call in calls] == [None] * 4 + ["15"]
    clock.now += 14.9
    assert limiter.consume("a").headers["Retry-After"] == "1"
    clock.now += 0.1
    assert [limiter.consume("a").allowed for _ in range(2)] == [True, False]
    clock.now += 3600
    assert [limiter.consume("a").allowed for _ in range(5)] == [True] * 4 + [False]


def test_each_caller_has_a_bucket_and_peeking_costs_nothing(limiter: Limiter) -> None:
    for _ in range(4):
        limiter.consume("a")
    assert not limiter.peek("a").allowed
    assert all(limiter.peek("b").allowed for _ in range(20))
    assert limiter.consume("b").left == 3


def test_the_least_recently_used_bucket_is_dropped_first(limiter: Limiter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api.auth.rate_limits, "_MAX_BUCKETS", 2)
    for caller in ("a", "b", "a", "c"):
        limiter.consume(caller)
    assert [limiter.peek(caller).left for caller in ("a", "c")] == [2, 3]
    assert limiter.peek("b").left == 4


@given(waits=st.lists(st.floats(0, 100), max_size=60), quota=st.integers(1, 20), window=st.integers(1, 120))
def test_no_sequence_of_calls_exceeds_the_policy(waits: list[float], quota: int, window: int) -> None:
    clock = Clock()
    limiter = Limiter(Policy("p", quota, window), clock)
    allowed = 0
    for wait in waits:
        clock.now += wait
        allowed += limiter.consume("a").allowed
    assert allowed <= quota + (clock.now - 1000) * quota / window + 1e-6


def test_threads_share_one_bucket(clock: Clock) -> None:
    limiter = Limiter(Policy("p", 100, 60), clock)
    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(lambda _: limiter.consume("a").allowed, range(400))) == 100


@pytest.fixture(scope="module")
def limited(start: Callable[..., Running]) -> Running:
    return start(rate_limit_calls=5, rate_limit_seconds=60, failed_logins=3, failed_logins_seconds=30)


@pytest.fixture
def strict(limited: Running, clock: Clock) -> Running:
    """The service with full buckets and the clock of the test."""
    services = limited.services
    limited.client.app.state.services = replace(
        services, auth=open_auth(services.settings, services.engine, services.batcher, LedgerClients, clock)
    )
    return limited


def read(running: Running, token: str) -> Response:
    return running.client.get(UNKNOWN, headers={"Authorization": f"Bearer {token}"})


def test_a_client_over_its_limit_waits_and_others_do_not(strict: Running, clock: Clock) -> None:
    bank, other = strict.new(), strict.new()
    token = strict.token(bank)
    assert [read(strict, token).status_code for _ in range(5)] == [404] * 4 + [429]
    rejected = read(strict, token)
    assert rejected.json()["type"] == "/problems/too-many-requests"
    assert (rejected.headers["Retry-After"], rejected.headers["RateLimit"]) == ("12", '"client";r=0;t=60')
    assert [strict.request_token(known).status_code for known in (bank, other)] == [429, 200]
    clock.now += 12
    assert [read(strict, token).status_code for _ in range(2)] == [404, 429]


def test_every_response_to_a_client_states_its_limit(strict: Running, clock: Clock) -> None:
    bank = strict.new()
    consent(strict.services, bank.id, SELLERS[0])
    headers = {"Authorization": f"Bearer {strict.token(bank)}"}
    clock.now += 60
    responses = [
        strict.client.post("/v1/scores", json=GOOD, headers=headers),
        strict.client.post("/v1/scores", json={}, headers=headers),
        strict.client.post("/v1/scores", content=b"{", headers={**headers, "Content-Type": "application/json"}),
        strict.client.get(UNKNOWN, headers=headers),
        strict.request_token(bank),
    ]
    assert [response.status_code for response in responses] == [201, 422, 400, 404, 200]
    left = [re.search(r"r=(\d+)", response.headers["RateLimit"]).group(1) for response in responses]
    assert left == ["4", "3", "2", "1", "0"]
    assert {response.headers["RateLimit-Policy"] for response in responses} == {'"client";q=5;w=60'}
    assert strict.request_token(strict.new(), scope="everything").headers["RateLimit"] == '"client";r=4;t=12'
    rejected = read(strict, strict.token(strict.new(), scope="scores:write"))
    assert (rejected.status_code, rejected.headers["RateLimit"]) == (403, '"client";r=3;t=24')
    for anonymous in (strict.client.get(UNKNOWN), strict.client.get("/health/live")):
        assert "RateLimit" not in anonymous.headers


def test_a_client_with_too_many_failures_waits_and_successes_do_not_count(strict: Running, clock: Clock) -> None:
    bank, other = strict.new(), strict.new()
    for _ in range(8):
        clock.now += 12
        assert strict.request_token(bank).status_code == 200
    wrong = Known(bank.id, other.secret, bank.kind)
    assert [strict.request_token(wrong).status_code for _ in range(4)] == [401, 401, 401, 429]
    rejected = strict.request_token(bank)
    assert (rejected.status_code, rejected.json()["type"]) == (429, "/problems/too-many-requests")
    assert rejected.headers["Retry-After"] == "10"
    assert strict.request_token(other).status_code == 200
    clock.now += 10
    assert strict.request_token(bank).status_code == 200


def fail_clients(running: Running, count: int) -> list[int]:
    ids = [f"bank-{number:016x}" for number in range(count)]
    return [running.client.post("/oauth/token", data=FORM, auth=(each, "x")).status_code for each in ids]


def fail_tokens(running: Running, count: int) -> list[int]:
    return [read(running, "wrong").status_code for _ in range(count)]


def fail_links(running: Running, count: int) -> list[int]:
    return [running.client.get(f"/seller/login/{number}").status_code for number in range(count)]


def fail_sessions(running: Running, count: int) -> list[int]:
    return [running.client.get("/seller").status_code for _ in range(count)]


@pytest.mark.parametrize(
    ("fail", "status"), [(fail_clients, 401), (fail_tokens, 401), (fail_links, 410), (fail_sessions, 401)]
)
def test_failures_at_an_address_do_not_lock_out_others_there(
    strict: Running, fail: Callable[[Running, int], list[int]], status: int
) -> None:
    bank = strict.new()
    token = strict.token(bank)
    link = strict.services.auth.sessions.login_url(UserKind.SELLER, SELLERS[0], "", by="tests")
    assert fail(strict, 32) == [status] * 30 + [429] * 2
    # valid proofs are accepted, and failures of another kind are not limited
    assert strict.request_token(bank).status_code == 200
    assert read(strict, token).status_code == 404
    assert strict.client.get(link).status_code == 200
    assert strict.client.get(UNKNOWN).status_code == 401
    assert [fail_clients(strict, 1), fail_tokens(strict, 1)].count([429]) == (
        status == 401 and fail is not fail_sessions
    )


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("testclient", "testclient"),
        ("", ""),
    ],
)
def test_a_network_of_ipv6_counts_as_one_address(host: str, address: str) -> None:
    assert address_of(Request({"type": "http", "client": (host, 1)})) == address

"""Limits: as many calls as the policy says, to the second, and each client's and address's own."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

import api.auth.rate_limits
from api.auth.rate_limits import Limiter, Policy
from api.auth.tokens import open_auth
from tests.api.auth.conftest import FORM, Known, Running
from tests.api.conftest import SELLERS
from tests.api.started import consent

if TYPE_CHECKING:
    from httpx import Response

UNKNOWN = "/v1/scores/0b8f3f0e-2f0c-4e0b-9d3c-8a2b6a1f7c55"
GOOD = {"seller_id": SELLERS[0], "purpose": "credit_application"}


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def limiter(clock: Clock) -> Limiter:
    return Limiter(Policy("client", 4, 60), clock)


def test_a_bucket_empties_and_fills_evenly(limiter: Limiter, clock: Clock) -> None:
    assert [limiter.consume("a").allowed for _ in range(5)] == [True] * 4 + [False]
    clock.now += 14.9
    assert not limiter.consume("a").allowed
    clock.now += 0.1
    assert [limiter.consume("a").allowed for _ in range(2)] == [True, False]
    clock.now += 3600
    assert [limiter.consume("a").allowed for _ in range(5)] == [True] * 4 + [False]


def test_headers_are_those_of_the_draft(limiter: Limiter, clock: Clock) -> None:
    said = [limiter.consume("a").headers for _ in range(5)]
    assert {each["RateLimit-Policy"] for each in said} == {'"client";q=4;w=60'}
    assert [each["RateLimit"] for each in said] == [
        '"client";r=3;t=15',
        '"client";r=2;t=30',
        '"client";r=1;t=45',
        '"client";r=0;t=60',
        '"client";r=0;t=60',
    ]
    assert [each.get("Retry-After") for each in said] == [None] * 4 + ["15"]
    clock.now += 14.5
    assert limiter.consume("a").headers["Retry-After"] == "1"


def test_each_has_a_bucket_of_its_own_and_looking_costs_nothing(limiter: Limiter) -> None:
    for _ in range(4):
        limiter.consume("a")
    assert not limiter.peek("a").allowed
    assert all(limiter.peek("b").allowed for _ in range(20))
    assert limiter.consume("b").left == 3


def test_those_unheard_of_for_longest_are_forgotten(limiter: Limiter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api.auth.rate_limits, "_MAX_BUCKETS", 2)
    for who in ("a", "b", "a", "c"):
        limiter.consume(who)
    assert [limiter.peek(who).left for who in ("a", "c")] == [2, 3]
    assert limiter.peek("b").left == 4


@given(waits=st.lists(st.floats(0, 100), max_size=60), quota=st.integers(1, 20), window=st.integers(1, 120))
def test_never_more_than_the_policy_allows(waits: list[float], quota: int, window: int) -> None:
    clock = Clock()
    limiter = Limiter(Policy("p", quota, window), clock)
    allowed = 0
    for wait in waits:
        clock.now += wait
        allowed += limiter.consume("a").allowed
    assert allowed <= quota + (clock.now - 1000) * quota / window + 1e-6


def test_many_threads_spend_no_more_than_there_is(clock: Clock) -> None:
    limiter = Limiter(Policy("p", 100, 60), clock)
    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(lambda _: limiter.consume("a").allowed, range(400))) == 100


@pytest.fixture(scope="module")
def limited(start: Callable[..., Running]) -> Running:
    return start(rate_limit_calls=5, rate_limit_seconds=60, failed_logins=3, failed_logins_seconds=30)


@pytest.fixture
def strict(limited: Running, clock: Clock) -> Running:
    """The service with full buckets and a clock that stands."""
    services = limited.services
    limited.client.app.state.services = replace(
        services, auth=open_auth(services.settings, services.engine, services.batcher, clock)
    )
    return limited


def read(running: Running, token: str) -> Response:
    return running.client.get(UNKNOWN, headers={"Authorization": f"Bearer {token}"})


def test_a_client_over_its_limit_waits_and_others_do_not(strict: Running, clock: Clock) -> None:
    bank, other = strict.new(), strict.new()
    token = strict.token(bank)
    assert [read(strict, token).status_code for _ in range(5)] == [404] * 4 + [429]
    refused = read(strict, token)
    assert refused.json()["type"] == "/problems/too-many-requests"
    assert (refused.headers["Retry-After"], refused.headers["RateLimit"]) == ("12", '"client";r=0;t=60')
    assert strict.asked(bank).status_code == 429
    assert strict.asked(other).status_code == 200
    clock.now += 12
    assert [read(strict, token).status_code for _ in range(2)] == [404, 429]


def test_every_answer_to_a_known_client_says_where_it_stands(strict: Running, clock: Clock) -> None:
    bank = strict.new()
    consent(strict.services, bank.id, SELLERS[0])
    headers = {"Authorization": f"Bearer {strict.token(bank)}"}
    clock.now += 60
    answers = [
        strict.client.post("/v1/scores", json=GOOD, headers=headers),
        strict.client.post("/v1/scores", json={}, headers=headers),
        strict.client.post("/v1/scores", content=b"{", headers={**headers, "Content-Type": "application/json"}),
        strict.client.get(UNKNOWN, headers=headers),
    ]
    assert [each.status_code for each in answers] == [201, 422, 400, 404]
    assert [int(re.search(r"r=(\d+)", each.headers["RateLimit"]).group(1)) for each in answers] == [4, 3, 2, 1]
    granted = strict.asked(bank)
    assert granted.headers["RateLimit-Policy"] == answers[0].headers["RateLimit-Policy"] == '"client";q=5;w=60'
    assert strict.asked(strict.new(), scope="everything").headers["RateLimit"] == '"client";r=4;t=12'
    refused = read(strict, strict.token(strict.new(), scope="scores:write"))
    assert (refused.status_code, refused.headers["RateLimit"]) == (403, '"client";r=3;t=24')
    for stranger in (strict.client.get(UNKNOWN), strict.client.get("/health/live")):
        assert "RateLimit" not in stranger.headers


def test_who_fails_too_often_is_refused_unseen_and_later_not(strict: Running, clock: Clock) -> None:
    bank, other = strict.new(), strict.new()
    wrong = Known(bank.id, other.secret, bank.kind)
    assert [strict.asked(wrong).status_code for _ in range(4)] == [401, 401, 401, 429]
    refused = strict.asked(bank)
    assert (refused.status_code, refused.json()["type"]) == (429, "/problems/too-many-requests")
    assert refused.headers["Retry-After"] == "10"
    assert strict.asked(other).status_code == 200
    clock.now += 10
    assert strict.asked(bank).status_code == 200


def test_success_costs_none_of_the_tries_that_may_fail(strict: Running, clock: Clock) -> None:
    bank = strict.new()
    for _ in range(8):
        clock.now += 12
        assert strict.asked(bank).status_code == 200


def test_an_address_that_fails_under_many_names_is_refused_and_its_banks_tokens_are_not(strict: Running) -> None:
    bank = strict.new()
    token = strict.token(bank)
    ids = [f"bank-{number:016x}" for number in range(31)]
    answers = [strict.client.post("/oauth/token", data=FORM, auth=(each, "x")).status_code for each in ids]
    assert answers == [401] * 30 + [429]
    assert strict.asked(bank).status_code == 429
    assert read(strict, token).status_code == 404
    assert read(strict, token + "x").status_code == 429


def test_tokens_that_are_none_count_as_failures_of_the_address(strict: Running) -> None:
    assert [read(strict, "wrong").status_code for _ in range(31)] == [401] * 30 + [429]
    assert strict.client.get(UNKNOWN).status_code == 401

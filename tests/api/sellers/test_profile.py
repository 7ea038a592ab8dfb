"""The profile for a bank: under a consent, recorded before the bank sees it, and equal as JSON and as a page."""

from __future__ import annotations

import hashlib
import html
import json
import re
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from api.consents import repository as consents
from api.consents import service as consenting
from api.kit.database import transaction
from api.ledger.chain import EntryKind
from api.ledger.encryption import sample_seller_keys
from api.ledger.store import read_content, rows_of
from api.ledger.verification import verify
from api.operations.ledger_checks import all_checks
from api.operations.retention import erase_seller
from api.sellers import service as sellers
from api.sellers.schemas import Profile
from features.profile.profile import build_profile
from tests.api.conftest import bank_of
from tests.api.sellers.conftest import AS_OF, EMPTY, SELLERS

if TYPE_CHECKING:
    from httpx import Response
    from starlette.testclient import TestClient

    from api.services import Services

FORMATS = ("profile", "profile.html")


def services_of(client: TestClient) -> Services:
    services: Services = client.app.state.services
    return services


def get(client: TestClient, seller: str, file_format: str = "profile") -> Response:
    return client.get(f"/v1/sellers/{quote(seller, safe='')}/{file_format}", headers={"X-Request-Id": "same"})


def read(client: TestClient, seller: str) -> Profile:
    response = get(client, seller)
    assert response.status_code == 200, response.text
    return Profile.model_validate_json(response.content)


def recorded_views(client: TestClient) -> list[dict[str, str]]:
    """Return the decrypted views of the ledger."""
    services = services_of(client)
    with transaction(services.engine) as connection:
        keys = {key.subject: services.ledger.unwrapped(key) for key in sample_seller_keys(connection)}
        rows = [row for row in rows_of(connection, bank_of(client)) if row.header.kind == EntryKind.VIEW]
        return [json.loads(read_content(row, keys.get(row.header.subject))) for row in rows]


def faults(client: TestClient) -> tuple[object, ...]:
    services = services_of(client)
    checks = all_checks(services.receipts.jwks)
    return tuple(verify(services.engine, services.ledger, services.receipts.jwks, checks).faults)


def revoke_all(services: Services, bank_id: str, seller_id: str) -> int:
    with transaction(services.engine) as connection:
        held = consents.unrevoked(connection, bank_id, [seller_id])[seller_id]
    for consent in held:
        with transaction(services.engine, writes=True) as connection:
            consenting.revoke_consent(connection, services.ledger, consent.id, "tests")
    return len(held)


def test_the_response_is_the_stored_profile_and_its_indexes_follow_from_it(client: TestClient) -> None:
    for seller in (SELLERS[0], SELLERS[7], EMPTY):
        profile = read(client, seller)
        stored = services_of(client).vectors.profile(seller)
        assert stored is not None
        expected = build_profile(*stored)
        assert (profile.seller_id, profile.as_of) == (seller, AS_OF.isoformat())
        assert [feature.value for feature in profile.features] == list(stored[0].values)
        assert [series.values for series in profile.series] == [list(series.values) for series in expected.series]
        assert {len(series.values) for series in profile.series} == {len(profile.steps)} == {12}
        for family in profile.families:
            ranks = [f.no_better for f in profile.features if f.family == family.family and f.no_better is not None]
            index = int(sum(ranks) / len(ranks) + 0.5) if ranks else None
            assert (family.index, family.counted) == (index, len(ranks)), family
        for flag in profile.flags:
            assert flag.raised == (None if flag.value is None else flag.value > flag.threshold)


def test_every_null_has_a_reason(client: TestClient) -> None:
    profile = read(client, SELLERS[0])
    for item in (*profile.features, *profile.flags):
        assert (item.value is None) <= (item.missing is not None), item
    for family in profile.families:
        assert (family.index is None) == (family.missing is not None), family
    for series in profile.series:
        assert (set(series.values) == {None}) == (series.missing is not None), series
    purchases = next(table for table in profile.coverage if table.table == "purchases")
    assert (purchases.covers_through, purchases.missing) == (None, "not_delivered")
    assert next(series for series in profile.series if series.series == "purchases").missing == "not_delivered"
    trend = next(feature for feature in profile.features if feature.feature == "purchase_trend_90d")
    assert trend.missing == "not_delivered"


def test_a_seller_without_rows_has_a_profile(client: TestClient) -> None:
    profile = read(client, EMPTY)
    assert {series.missing for series in profile.series} <= {"no_rows", "not_delivered"}
    assert {table.missing for table in profile.coverage} == {"no_rows", "not_delivered"}
    # without sales the seller is no peer of others, but has peers
    assert (profile.peers.scope, profile.peers.category, profile.peers.size) == ("category", "toys", None)
    assert all(flag.raised is None for flag in profile.flags if flag.missing)
    text = get(client, EMPTY, "profile.html").text
    assert "<b>" not in text.replace('<b class="n">', "")
    assert EMPTY in html.unescape(text)


@pytest.mark.parametrize("file_format", FORMATS)
def test_without_a_consent_the_response_is_the_same_for_an_unknown_seller(client: TestClient, file_format: str) -> None:
    assert revoke_all(services_of(client), bank_of(client), SELLERS[1])
    revoked, unknown = get(client, SELLERS[1], file_format), get(client, "nobody", file_format)
    assert (revoked.status_code, revoked.json()["type"]) == (403, "/problems/consent-required")
    assert (unknown.status_code, unknown.content) == (403, revoked.content)
    no_data = get(client, "unknown", file_format)
    score = client.post("/v1/scores", json={"seller_id": "unknown", "purpose": "account_review"})
    assert (no_data.status_code, no_data.json()["type"]) == (score.status_code, score.json()["type"])
    assert no_data.status_code == 404
    assert recorded_views(client) == []


@pytest.mark.databases
def test_a_revocation_waits_for_an_open_view(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the view would follow the revocation of its consent in the chain."""
    services, bank, view_entry = services_of(client), bank_of(client), sellers.view_entry
    revoking: list[Future[int]] = []
    with ThreadPoolExecutor(1) as pool:

        def slow_entry(*arguments: Any) -> bytes:
            revoking.append(pool.submit(revoke_all, services, bank, SELLERS[1]))
            time.sleep(0.3)
            assert not revoking[0].done()
            return view_entry(*arguments)

        monkeypatch.setattr(sellers, "view_entry", slow_entry)
        assert get(client, SELLERS[1]).status_code == 200
        revoked = revoking[0].result(30)
    with transaction(services.engine) as connection:
        kinds = [row.header.kind for row in rows_of(connection, bank)][-1 - revoked :]
    assert kinds == ["view", *["revocation"] * revoked]
    assert faults(client) == ()


@pytest.mark.databases
def test_each_view_is_recorded_with_the_digest_of_its_response(client: TestClient) -> None:
    responses = [get(client, SELLERS[2], file_format) for file_format in FORMATS]
    views = recorded_views(client)
    assert [view["response_digest"] for view in views] == [
        f"sha256:{hashlib.sha256(response.content).hexdigest()}" for response in responses
    ]
    assert {view["seller_id"] for view in views} == {SELLERS[2]}
    assert {view["consent_id"] for view in views} == {read(client, SELLERS[2]).consent_id}
    assert faults(client) == ()


def test_an_erased_seller_has_no_profile_and_the_ledger_is_whole(client: TestClient) -> None:
    services = services_of(client)
    assert get(client, SELLERS[3]).status_code == 200
    erase_seller(
        services.engine,
        services.receipts,
        services.vectors,
        seller_id=SELLERS[3],
        reason="requested",
        now=datetime.now(UTC),
    )
    assert get(client, SELLERS[3]).status_code in {403, 404}
    assert services.vectors.profile(SELLERS[3]) is None
    assert faults(client) == ()


def test_vectors_without_profiles_are_reported(client: TestClient) -> None:
    vectors = services_of(client).vectors
    stored = vectors.latest(SELLERS[0])
    assert stored is not None
    vectors.replace(replace(stored.snapshot, data_version="data-2"), [(SELLERS[0], stored.values)])
    response = get(client, SELLERS[0])
    assert (response.status_code, response.json()["type"]) == (503, "/problems/no-vectors")
    for invalid in ("x" * 201, "a\tb"):
        assert get(client, invalid).status_code == 422


def test_the_page_has_the_content_of_the_json_and_loads_nothing(client: TestClient) -> None:
    profile, page = read(client, SELLERS[0]), get(client, SELLERS[0], "profile.html")
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert page.headers["Cache-Control"] == "no-store"
    text = html.unescape(re.sub(r"<[^>]+>", "\n", page.text))
    for family in profile.families:
        assert f"{family.label}\n\n{'–' if family.index is None else family.index}\n" in text
    for item in (*profile.features, *profile.series, *profile.flags):
        assert item.label in text
    for flag in profile.flags:
        assert (flag.question in text) == (flag.raised is True)
    assert profile.consent_id in text
    assert not re.search(r"<script|<link|<img|<iframe|\bsrc=|\burl\(|\bstyle=|\bon\w+=|https?://", page.text)
    assert len(page.content) < 180_000

"""The picture to a bank: under consent, recorded before it is seen, the same as JSON and as a page."""

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
from api.consents.ledger_entries import ConsentCheck
from api.kit.database import transaction
from api.ledger import encryption
from api.ledger import store as ledger
from api.ledger.chain import EntryKind
from api.ledger.store import read_content
from api.ledger.verification import verify
from api.operations.retention import erase_seller
from api.scores.ledger_entries import ScoreIndexCheck
from api.sellers import service as looking
from api.sellers.schemas import Profile
from features.picture.picture import picture_of
from features.store import VectorStore
from tests.api.conftest import bank_of
from tests.api.sellers.conftest import AS_OF, SELLERS, TRICKY

if TYPE_CHECKING:
    from httpx import Response
    from starlette.testclient import TestClient

    from api.services import Services

FORMS = ("profile", "profile.html")


def services_of(client: TestClient) -> Services:
    found: Services = client.app.state.services
    return found


def asked(client: TestClient, seller: str, form: str = "profile") -> Response:
    return client.get(f"/v1/sellers/{quote(seller, safe='')}/{form}", headers={"X-Request-Id": "same"})


def read(client: TestClient, seller: str) -> Profile:
    answer = asked(client, seller)
    assert answer.status_code == 200, answer.text
    return Profile.model_validate_json(answer.content)


def looks(client: TestClient) -> list[dict[str, str]]:
    """Return what the ledger holds of looks, opened."""
    services, found = services_of(client), []
    with transaction(services.engine) as connection:
        for row in ledger.rows_of(connection, bank_of(client)):
            if row.header.kind == EntryKind.VIEW:
                known = [key for key in encryption.sample_seller_keys(connection) if key.subject == row.header.subject]
                key = services.ledger.unwrapped(known[0]) if known else None
                found.append(json.loads(read_content(row, key)))
    return found


def test_the_answer_is_the_stored_picture_and_its_indexes_can_be_worked_out_from_it(client: TestClient) -> None:
    for seller in (SELLERS[0], SELLERS[7], TRICKY):
        answer = read(client, seller)
        stored = services_of(client).vectors.picture(seller)
        assert stored is not None
        picture = picture_of(*stored)
        assert (answer.seller_id, answer.as_of) == (seller, AS_OF.isoformat())
        assert [each.value for each in answer.features] == list(stored[0].values)
        assert [each.values for each in answer.series] == [list(each.values) for each in picture.series]
        assert {len(each.values) for each in answer.series} == {len(answer.steps)} == {12}
        for family in answer.families:
            ranks = [f.no_better for f in answer.features if f.family == family.family and f.no_better is not None]
            expected = int(sum(ranks) / len(ranks) + 0.5) if ranks else None
            assert (family.index, family.counted) == (expected, len(ranks)), family
        for flag in answer.flags:
            assert flag.raised == (None if flag.value is None else flag.value > flag.threshold)


def test_what_is_null_says_why(client: TestClient) -> None:
    answer = read(client, SELLERS[0])
    for each in (*answer.features, *answer.flags):
        assert (each.value is None) <= (each.missing is not None), each
    for family in answer.families:
        assert (family.index is None) == (family.missing is not None), family
    for series in answer.series:
        assert (set(series.values) == {None}) == (series.missing is not None), series
    purchases = next(each for each in answer.coverage if each.table == "purchases")
    assert (purchases.covers_through, purchases.missing) == (None, "not_delivered")
    assert next(each for each in answer.series if each.series == "purchases").missing == "not_delivered"
    assert next(each for each in answer.features if each.feature == "purchase_trend_90d").missing == "not_delivered"


def test_a_seller_without_any_row_is_described_by_what_is_not_known(client: TestClient) -> None:
    answer = read(client, TRICKY)
    assert {each.missing for each in answer.series} <= {"no_rows", "not_delivered"}
    assert {each.missing for each in answer.coverage} == {"no_rows", "not_delivered"}
    # he is no peer of anybody, but there are those whom he can be compared with
    assert (answer.peers.scope, answer.peers.category, answer.peers.size) == ("category", "toys", None)
    assert all(each.raised is None for each in answer.flags if each.missing)
    assert asked(client, TRICKY, "profile.html").status_code == 200


@pytest.mark.parametrize("form", FORMS)
def test_without_consent_nobody_can_tell_whether_there_is_such_a_seller(client: TestClient, form: str) -> None:
    services = services_of(client)
    with transaction(services.engine, writes=True) as connection:
        wanted = consents.ConsentQuery(bank_of(client), SELLERS[1], None, None, 10)
        for each in consents.list_consents(connection, wanted, datetime.now(UTC)):
            consenting.revoke_consent(connection, services.ledger, each.id, "tests")
    revoked, nobody = asked(client, SELLERS[1], form), asked(client, "nobody", form)
    assert (revoked.status_code, revoked.json()["type"]) == (403, "/problems/consent-required")
    assert (nobody.status_code, nobody.content) == (403, revoked.content)
    assert looks(client) == []


@pytest.mark.parametrize("form", FORMS)
def test_a_consent_of_one_who_is_not_known_is_answered_as_by_the_score(client: TestClient, form: str) -> None:
    answer = asked(client, "unknown", form)
    scored = client.post("/v1/scores", json={"seller_id": "unknown", "purpose": "account_review"})
    assert (answer.status_code, answer.json()["type"]) == (scored.status_code, scored.json()["type"])
    assert (answer.status_code, looks(client)) == (404, [])


@pytest.mark.databases
def test_a_revocation_waits_for_a_look_that_was_begun_and_follows_it(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the look would stand behind the revocation of what it rests on, though both were in order."""
    services, bank, written = services_of(client), bank_of(client), looking.proof.of_view
    with transaction(services.engine) as connection:
        held = consents.unrevoked(connection, [SELLERS[1]])[SELLERS[1]]

    def revoke_all() -> None:
        for each in held:
            with transaction(services.engine, writes=True) as connection:
                consenting.revoke_consent(connection, services.ledger, each.id, "tests")

    with ThreadPoolExecutor(1) as pool:

        def slow(*given: Any) -> bytes:
            revoking.append(pool.submit(revoke_all))
            time.sleep(0.3)
            assert not revoking[0].done()
            return written(*given)

        revoking: list[Future[None]] = []
        monkeypatch.setattr(looking.proof, "of_view", slow)
        assert asked(client, SELLERS[1], FORMS[0]).status_code == 200
        revoking[0].result(30)
    with transaction(services.engine) as connection:
        kinds = [row.header.kind for row in ledger.rows_of(connection, bank)][-1 - len(held) :]
    assert kinds == ["view", *["revocation"] * len(held)]
    assert verify(services.engine, services.ledger, [ConsentCheck()]).faults == ()


@pytest.mark.databases
def test_each_look_is_on_the_ledger_with_the_digest_of_what_was_seen(client: TestClient) -> None:
    answers = [asked(client, SELLERS[2], form) for form in FORMS]
    found = looks(client)
    assert [each["answer"] for each in found] == [
        f"sha256:{hashlib.sha256(answer.content).hexdigest()}" for answer in answers
    ]
    assert {each["seller_id"] for each in found} == {SELLERS[2]}
    assert {each["consent_id"] for each in found} == {read(client, SELLERS[2]).consent_id}
    services = services_of(client)
    checks = [ScoreIndexCheck(services.receipts.jwks), ConsentCheck()]
    assert verify(services.engine, services.ledger, checks).faults == ()


def test_an_erased_seller_has_no_picture_and_the_ledger_stays_whole(client: TestClient) -> None:
    services = services_of(client)
    assert asked(client, SELLERS[3]).status_code == 200
    now = datetime.now(UTC)
    erase_seller(services.engine, services.vectors, seller_id=SELLERS[3], reason="asked for", now=now)
    assert asked(client, SELLERS[3]).status_code in {403, 404}
    assert services.vectors.picture(SELLERS[3]) is None
    assert (
        verify(services.engine, services.ledger, [ScoreIndexCheck(services.receipts.jwks), ConsentCheck()]).faults == ()
    )


def test_vectors_without_pictures_say_so(client: TestClient) -> None:
    services = services_of(client)
    stored = services.vectors.latest(SELLERS[0])
    assert stored is not None
    services.vectors.replace(replace(stored.snapshot, data_version="data-2"), [(SELLERS[0], stored.values)])
    answer = asked(client, SELLERS[0])
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/no-vectors")
    assert VectorStore(services.settings.vectors_path).latest(SELLERS[0]) is not None


def test_an_id_that_is_none_is_refused(client: TestClient) -> None:
    for seller in ("x" * 201, "a\tb"):
        assert asked(client, seller).status_code == 422


def test_the_page_says_what_the_json_says_and_loads_nothing(client: TestClient) -> None:
    answer, page = read(client, SELLERS[0]), asked(client, SELLERS[0], "profile.html")
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert page.headers["Cache-Control"] == "no-store"
    text = page.text
    words = html.unescape(re.sub(r"<[^>]+>", "\n", text))
    for family in answer.families:
        assert f"{family.label}\n\n{'–' if family.index is None else family.index}\n" in words
    for each in (*answer.features, *answer.series):
        assert each.label in words
    for flag in answer.flags:
        assert (flag.question in words) == (flag.raised is True)
        assert flag.label in words
    assert answer.consent_id in words
    assert not re.search(r"<script|<link|<img|<iframe|\bsrc=|\burl\(|\bstyle=|\bon\w+=|https?://", text)
    assert len(page.content) < 180_000


def test_no_name_becomes_markup(client: TestClient) -> None:
    text = asked(client, TRICKY, "profile.html").text
    assert "<b>" not in text.replace('<b class="n">', "")
    assert TRICKY in html.unescape(text)

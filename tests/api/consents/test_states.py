"""Consents, requests, scores, revoked banks and erasures in any order, compared with a simple model."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from api.auth.scopes import ClientKind
from api.errors import SellerUnknown
from api.ledger.verification import verify
from api.operations.ledger_checks import all_checks
from api.operations.retention import erase_seller
from tests.api.conftest import SELLERS, fill
from tests.api.consents.conftest import OTHER, PURPOSE, Desk
from tests.api.started import register_of
from tests.counts import STATES

if TYPE_CHECKING:
    from starlette.testclient import TestClient

pytestmark = pytest.mark.repeated

PEOPLE = st.sampled_from((SELLERS[0], SELLERS[1], "S-nobody"))
PURPOSES = st.sampled_from((PURPOSE, OTHER))
BANKS = st.integers(0, 1)
Key = tuple[str, int, str]
"""A seller, the number of a bank, and a purpose."""


class Consents(RuleBasedStateMachine):
    """The service, and the state that it should have."""

    client: ClassVar[TestClient]

    @initialize()
    def start(self) -> None:
        fill(self.client.app.state.services.settings.home)
        self.desk = Desk(self.client)
        self.services = self.desk.services
        self.banks = (self.desk.bank, self.desk.second)
        self.revoked: set[int] = set()
        self.has_data = {SELLERS[0], SELLERS[1]}
        self.in_force: dict[Key, str] = {}
        self.consents: dict[str, Key] = {}
        self.pending: dict[Key, str] = {}
        self.declined: dict[Key, str] = {}
        self.scores: dict[str, tuple[str, int, bytes]] = {}
        self.erased: set[str] = set()

    @rule(bank=BANKS, seller=PEOPLE, purpose=PURPOSES, days=st.integers(1, 366))
    def grant(self, bank: int, seller: str, purpose: str, days: int) -> None:
        response = self.desk.grant(seller, bank_id=self.banks[bank].id, purpose=purpose, days=days)
        if bank in self.revoked:
            assert response.status_code == 404
            return
        assert response.status_code == 201, response.text
        key, consent_id = (seller, bank, purpose), response.json()["id"]
        assert consent_id not in self.consents
        self.in_force[key] = consent_id
        self.consents[consent_id] = key
        self.pending.pop(key, None)

    @precondition(lambda self: self.consents)
    @rule(data=st.data())
    def revoke(self, data: st.DataObject) -> None:
        consent_id = data.draw(st.sampled_from(sorted(self.consents)))
        response = self.desk.call(self.desk.platform, "DELETE", f"/v1/consents/{consent_id}")
        assert (response.status_code, response.json()["state"]) == (200, "revoked")
        if self.in_force.get(self.consents[consent_id]) == consent_id:
            del self.in_force[self.consents[consent_id]]

    @rule(bank=BANKS, seller=PEOPLE, purpose=PURPOSES)
    def request(self, bank: int, seller: str, purpose: str) -> None:
        response, key = self.desk.request(seller, purpose, self.banks[bank]), (seller, bank, purpose)
        if bank in self.revoked:
            assert response.status_code == 401
            return
        assert response.status_code == 202
        assert response.json()["state"] == ("declined" if key in self.declined else "pending")
        open_request = self.pending.get(key) or self.declined.get(key)
        assert open_request in {None, response.json()["id"]}
        if open_request is None:
            self.pending[key] = response.json()["id"]

    @precondition(lambda self: self.pending)
    @rule(data=st.data())
    def decline(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.pending)))
        path = f"/v1/consent-requests/{self.pending[key]}/decline"
        response = self.desk.call(self.desk.platform, "POST", path)
        assert (response.status_code, response.json()["state"]) == (200, "declined")
        self.declined[key] = self.pending.pop(key)

    @rule(bank=BANKS, seller=PEOPLE, purpose=PURPOSES)
    def score(self, bank: int, seller: str, purpose: str) -> None:
        response = self.desk.score(seller, purpose, self.banks[bank])
        consent_id = self.in_force.get((seller, bank, purpose))
        if bank in self.revoked:
            assert response.status_code == 401
        elif consent_id is None:
            assert response.json()["type"] == "/problems/consent-required"
        elif seller not in self.has_data:
            assert response.json()["type"] == "/problems/unknown-seller"
        else:
            assert response.json()["consent_id"] == consent_id
            self.scores[response.json()["id"]] = (seller, bank, response.content)

    @precondition(lambda self: self.scores)
    @rule(data=st.data(), reader=BANKS)
    def read(self, data: st.DataObject, reader: int) -> None:
        score_id = data.draw(st.sampled_from(sorted(self.scores)))
        _, bank, content = self.scores[score_id]
        response = self.desk.call(self.banks[reader], "GET", f"/v1/scores/{score_id}")
        if reader in self.revoked:
            assert response.status_code == 401
        elif reader != bank:
            assert response.status_code == 404
        elif score_id in self.erased:
            assert response.status_code == 410
        else:
            assert response.content == content

    # rare, so that most of an example has two banks
    @precondition(lambda self: len(self.scores) >= 3 and not self.revoked)
    @rule(bank=BANKS)
    def revoke_bank(self, bank: int) -> None:
        register_of(self.services).revoke(ClientKind.BANK, self.banks[bank].id, datetime.now(UTC))
        self.revoked.add(bank)

    @rule(seller=PEOPLE)
    def erase(self, seller: str) -> None:
        services, now = self.services, datetime.now(UTC)
        known = seller in self.has_data or any(
            key[0] == seller for keys in (self.consents.values(), self.pending, self.declined) for key in keys
        )
        try:
            erase_seller(
                services.engine, services.receipts, services.vectors, seller_id=seller, reason="requested", now=now
            )
        except SellerUnknown:
            # data that another example left may be there, so the opposite does not hold
            assert not known
        self.has_data.discard(seller)
        self.erased |= {score_id for score_id, (scored, _, _) in self.scores.items() if scored == seller}
        self.consents = {consent_id: key for consent_id, key in self.consents.items() if key[0] != seller}
        for keys in (self.in_force, self.pending, self.declined):
            for key in [key for key in keys if key[0] == seller]:
                del keys[key]

    def teardown(self) -> None:
        if not hasattr(self, "banks"):
            return
        for number, bank in enumerate(self.banks):
            if number not in self.revoked:
                query = {"state": "in_force", "limit": 200}
                items = self.desk.call(bank, "GET", "/v1/consents", params=query).json()["items"]
                own = {consent_id for (_, owner, _), consent_id in self.in_force.items() if owner == number}
                assert {item["id"] for item in items} == own
        checks = all_checks(self.services.receipts.jwks)
        assert verify(self.services.engine, self.services.ledger, self.services.receipts.jwks, checks).faults == ()


def test_any_order_of_calls_gives_the_state_of_the_model(served: TestClient) -> None:
    Consents.client = served
    checks = [HealthCheck.too_slow, HealthCheck.filter_too_much]
    run_state_machine_as_test(
        Consents,
        settings=settings(max_examples=STATES, stateful_step_count=30, deadline=None, suppress_health_check=checks),
    )

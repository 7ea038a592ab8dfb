"""Consents, scores, rotations, revocations and erasures in any order, against a model in a few plain sets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from api.app import create_app
from api.auth import clients as access
from api.auth.scopes import ClientKind
from api.consents.ledger_entries import ConsentCheck
from api.errors import SellerUnknown
from api.ledger.verification import verify
from api.operations.retention import erase_seller
from api.scores.ledger_entries import ScoreIndexCheck
from api.settings import Settings
from tests.api.conftest import SELLERS, fill
from tests.counts import STATES

if TYPE_CHECKING:
    from starlette.testclient import TestClient

pytestmark = pytest.mark.repeated

PEOPLE = st.sampled_from((SELLERS[0], SELLERS[1], "S-nobody"))
PURPOSES = st.sampled_from(("credit_application", "account_review"))
BANKS = st.integers(0, 1)


@dataclass
class BankModel:
    """A bank as it should be: what proves it, and whether it still may call."""

    id: str
    secret: str
    token: str
    revoked: bool = False
    refused: list[str] = field(default_factory=list)


class Consents(RuleBasedStateMachine):
    """What is asked of the service beside what must come of it."""

    client: ClassVar[TestClient]

    @initialize()
    def begin(self) -> None:
        services = self.client.app.state.services
        fill(services.settings.home)
        self.services = services
        self.platform = self.new(ClientKind.PLATFORM)
        self.banks = [self.new(ClientKind.BANK), self.new(ClientKind.BANK)]
        self.has_data = {SELLERS[0], SELLERS[1]}
        self.in_force: dict[tuple[str, int, str], str] = {}
        self.consents: dict[str, tuple[str, int, str]] = {}
        self.pending: dict[tuple[str, int, str], str] = {}
        self.declined: dict[tuple[str, int, str], str] = {}
        self.scores: dict[str, tuple[str, int, bytes]] = {}
        self.erased: set[str] = set()

    def new(self, kind: ClientKind) -> BankModel:
        made = access.create_client(self.services.engine, kind, "A client", now=datetime.now(UTC))
        bank = BankModel(made.client.id, made.secret or "", "")
        bank.token = self.token(bank)
        return bank

    def asked(self, bank: BankModel, secret: str) -> Any:
        return self.client.post("/oauth/token", data={"grant_type": "client_credentials"}, auth=(bank.id, secret))

    def token(self, bank: BankModel) -> str:
        return str(self.asked(bank, bank.secret).json()["access_token"])

    def call(self, bank: BankModel, method: str, path: str, **given: Any) -> Any:
        headers = {"Authorization": f"Bearer {bank.token}"}
        return self.client.request(method, path, headers=headers, **given)

    @rule(bank=BANKS, seller=PEOPLE, purpose=PURPOSES, days=st.integers(1, 366))
    def agree(self, bank: int, seller: str, purpose: str, days: int) -> None:
        body = {"seller_id": seller, "bank_id": self.banks[bank].id, "purpose": purpose, "days": days}
        answer = self.call(self.platform, "POST", "/v1/consents", json=body)
        if self.banks[bank].revoked:
            assert answer.status_code == 404
            return
        assert answer.status_code == 201, answer.text
        key, consent_id = (seller, bank, purpose), answer.json()["id"]
        assert consent_id not in self.consents
        self.in_force[key] = consent_id
        self.consents[consent_id] = key
        self.pending.pop(key, None)

    @precondition(lambda self: self.consents)
    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        consent_id = data.draw(st.sampled_from(sorted(self.consents)))
        answer = self.call(self.platform, "DELETE", f"/v1/consents/{consent_id}")
        assert (answer.status_code, answer.json()["state"]) == (200, "revoked")
        if self.in_force.get(self.consents[consent_id]) == consent_id:
            del self.in_force[self.consents[consent_id]]

    @rule(bank=BANKS, seller=PEOPLE, purpose=PURPOSES)
    def ask(self, bank: int, seller: str, purpose: str) -> None:
        body, key = {"seller_id": seller, "purpose": purpose}, (seller, bank, purpose)
        answer = self.call(self.banks[bank], "POST", "/v1/consent-requests", json=body)
        if self.banks[bank].revoked:
            assert answer.status_code == 401
            return
        assert answer.status_code == 202
        open_one = self.pending.get(key) or self.declined.get(key)
        assert answer.json()["state"] == ("declined" if key in self.declined else "pending")
        assert open_one in {None, answer.json()["id"]}
        if open_one is None:
            self.pending[key] = answer.json()["id"]

    @precondition(lambda self: self.pending)
    @rule(data=st.data())
    def decline(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.pending)))
        answer = self.call(self.platform, "POST", f"/v1/consent-requests/{self.pending[key]}/decline")
        assert (answer.status_code, answer.json()["state"]) == (200, "declined")
        self.declined[key] = self.pending.pop(key)

    @rule(bank=BANKS, seller=PEOPLE, purpose=PURPOSES)
    def score(self, bank: int, seller: str, purpose: str) -> None:
        answer = self.call(self.banks[bank], "POST", "/v1/scores", json={"seller_id": seller, "purpose": purpose})
        consent_id = self.in_force.get((seller, bank, purpose))
        if self.banks[bank].revoked:
            assert answer.status_code == 401
        elif consent_id is None:
            assert answer.json()["type"] == "/problems/consent-required"
        elif seller not in self.has_data:
            assert answer.json()["type"] == "/problems/unknown-seller"
        else:
            assert answer.json()["consent_id"] == consent_id
            self.scores[answer.json()["id"]] = (seller, bank, answer.content)

    @precondition(lambda self: self.scores)
    @rule(data=st.data(), reader=BANKS)
    def read(self, data: st.DataObject, reader: int) -> None:
        score_id = data.draw(st.sampled_from(sorted(self.scores)))
        _, bank, content = self.scores[score_id]
        answer = self.call(self.banks[reader], "GET", f"/v1/scores/{score_id}")
        if self.banks[reader].revoked:
            assert answer.status_code == 401
        elif reader != bank:
            assert answer.status_code == 404
        elif score_id in self.erased:
            assert answer.status_code == 410
        else:
            assert answer.content == content

    @rule(bank=BANKS)
    def rotate(self, bank: int) -> None:
        known = self.banks[bank]
        if known.revoked:
            return
        now = datetime.now(UTC)
        made = access.rotate_credential(
            self.services.engine, ClientKind.BANK, known.id, key=None, overlap=timedelta(0), now=now
        )
        assert self.asked(known, known.secret).status_code == 401
        known.secret = made.secret or ""
        # the token of before is good for its ten minutes; now and then the new one is used
        known.token = self.token(known)

    @rule(bank=BANKS)
    def dismiss(self, bank: int) -> None:
        # so seldom that most of an example has two banks
        if len(self.scores) < 3 or any(each.revoked for each in self.banks):
            return
        access.revoke_client(self.services.engine, ClientKind.BANK, self.banks[bank].id, datetime.now(UTC))
        self.banks[bank].revoked = True
        assert self.asked(self.banks[bank], self.banks[bank].secret).status_code == 401

    @rule(seller=PEOPLE)
    def forget(self, seller: str) -> None:
        services, now = self.services, datetime.now(UTC)
        known = seller in self.has_data or any(
            key[0] == seller for keys in (self.consents.values(), self.pending, self.declined) for key in keys
        )
        try:
            erase_seller(services.engine, services.vectors, seller_id=seller, reason="asked", now=now)
        except SellerUnknown:
            # what another example left of them is erased by then, too
            assert not known
        self.has_data.discard(seller)
        self.erased |= {score_id for score_id, (of, _, _) in self.scores.items() if of == seller}
        self.consents = {each: key for each, key in self.consents.items() if key[0] != seller}
        for keys in (self.in_force, self.pending, self.declined):
            for key in [key for key in keys if key[0] == seller]:
                del keys[key]

    def teardown(self) -> None:
        if not hasattr(self, "banks"):
            return
        for number, bank in enumerate(self.banks):
            if not bank.revoked:
                shown = self.call(bank, "GET", "/v1/consents", params={"state": "in_force", "limit": 200}).json()
                mine = {each for (_, of, _), each in self.in_force.items() if of == number}
                assert {each["id"] for each in shown["items"]} == mine
        checks = [ScoreIndexCheck(self.services.receipts.jwks), ConsentCheck()]
        assert verify(self.services.engine, self.services.ledger, checks).faults == ()


@pytest.fixture(scope="module")
def served(registry: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    home = tmp_path_factory.mktemp("home")
    home.chmod(0o700)
    fill(home)
    with ExitStack() as stack:
        given = Settings(home=home, MLFLOW_TRACKING_URI=registry, rate_limit_calls=1_000_000, failed_logins=1_000_000)
        from starlette.testclient import TestClient

        yield stack.enter_context(TestClient(create_app(given), raise_server_exceptions=False))


def test_whatever_happens_in_whatever_order_is_as_the_model_says(served: TestClient) -> None:
    Consents.client = served
    checks = [HealthCheck.too_slow, HealthCheck.filter_too_much]
    run_state_machine_as_test(
        Consents,
        settings=settings(max_examples=STATES, stateful_step_count=30, deadline=None, suppress_health_check=checks),
    )

"""The consent of the demo bank: recorded by `demo` for the seller of the printed command, never after a revocation."""

from __future__ import annotations

import json
from dataclasses import replace

from api.consents import repository
from api.consents.repository import Consent
from api.consents.service import revoke_consent
from api.kit.database import transaction
from api.ledger.encryption import seller_key
from api.ledger.store import read_content, rows_of
from api.operations.demo import demo_consent
from api.server import _example_call
from api.services import Services
from api.settings import Settings
from tests.api.conftest import SELLERS, Opener, bank_of
from tests.api.consents.conftest import OTHER, PURPOSE

ADDRESS = "http://127.0.0.1:8000"


def latest(services: Services, bank_id: str) -> Consent | None:
    with transaction(services.engine) as connection:
        return repository.latest_consents(connection, SELLERS[0], bank_id, PURPOSE)


def test_the_printed_command_works_and_the_demo_records_its_consent_once(
    settings: Settings, open_client: Opener
) -> None:
    with open_client(settings, consenting=()) as client:
        services = client.app.state.services
        body = {"seller_id": SELLERS[0], "purpose": PURPOSE}
        assert client.post("/v1/scores", json=body).status_code == 403
        for _ in range(2):
            assert json.dumps(body) in _example_call(services, ADDRESS)
        assert client.post("/v1/scores", json=body).status_code == 201
        assert client.post("/v1/scores", json={**body, "purpose": OTHER}).status_code == 403
        with transaction(services.engine) as connection:
            rows = list(rows_of(connection, bank_of(client)))
            key = services.ledger.unwrapped(seller_key(connection, SELLERS[0]))
    assert [row.header.kind for row in rows] == ["products", "consent", "score"]
    assert json.loads(read_content(rows[1], key))["recorded_by"] == "demo"


def test_a_revoked_consent_is_not_granted_again_and_no_command_is_printed(
    settings: Settings, open_client: Opener
) -> None:
    with open_client(settings, consenting=()) as client:
        services, bank_id = client.app.state.services, bank_of(client)
        _example_call(services, ADDRESS)
        granted = latest(services, bank_id)
        assert granted is not None
        with transaction(services.engine, writes=True) as connection:
            revoked = revoke_consent(connection, services.ledger, granted.id, "platform-1")
        printed = _example_call(services, ADDRESS)
        assert "the consent was revoked" in printed
        assert "curl" not in printed
        assert latest(services, bank_id) == revoked


def test_without_a_demo_bank_no_consent_is_recorded(settings: Settings, open_client: Opener) -> None:
    with open_client(settings, consenting=()) as client:
        services = client.app.state.services
        without = replace(services, settings=settings.model_copy(update={"demo_bank": False}))
        assert "bank create" in _example_call(without, ADDRESS)
        path = settings.home / "nothing.netrc"
        assert demo_consent(path, services.engine, services.ledger, SELLERS[0], PURPOSE) is False
        assert latest(services, bank_of(client)) is None

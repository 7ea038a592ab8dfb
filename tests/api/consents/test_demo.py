"""The demo's consent: recorded as the demo's own for the seller of the printed curl, and never against a revocation."""

from __future__ import annotations

import json
from dataclasses import replace

from api.consents import repository
from api.consents.service import revoke_consent
from api.kit.database import transaction
from api.ledger.encryption import seller_key
from api.ledger.store import read_content, rows_of
from api.operations.demo import demo_consent
from api.server import _example_call
from api.settings import Settings
from tests.api.conftest import SELLERS, Opener, bank_of
from tests.api.consents.conftest import PURPOSE

ADDRESS = "http://127.0.0.1:8000"


def test_the_seller_of_the_printed_curl_has_agreed_once(settings: Settings, open_client: Opener) -> None:
    with open_client(settings, consenting=()) as client:
        services = client.app.state.services
        asked = {"seller_id": SELLERS[0], "purpose": PURPOSE}
        assert client.post("/v1/scores", json=asked).status_code == 403
        for _ in range(2):
            assert json.dumps(asked) in _example_call(services, ADDRESS)
        assert client.post("/v1/scores", json=asked).status_code == 201
        assert client.post("/v1/scores", json={**asked, "purpose": "account_review"}).status_code == 403
        with transaction(services.engine) as connection:
            rows = list(rows_of(connection, bank_of(client)))
            key = services.ledger.unwrapped(seller_key(connection, SELLERS[0]))
    assert [row.header.kind for row in rows] == ["consent", "score"]
    assert json.loads(read_content(rows[0], key))["recorded_by"] == "demo"


def test_what_was_revoked_is_not_granted_again_and_the_curl_is_not_shown(
    settings: Settings, open_client: Opener
) -> None:
    with open_client(settings, consenting=()) as client:
        services = client.app.state.services
        _example_call(services, ADDRESS)
        with transaction(services.engine, writes=True) as connection:
            found = repository.latest_consents(connection, SELLERS[0], bank_of(client), PURPOSE)
            assert found is not None
            revoke_consent(connection, services.ledger, found.id, "platform-1")
        shown = _example_call(services, ADDRESS)
        assert "the consent was revoked" in shown
        assert "curl" not in shown
        with transaction(services.engine) as connection:
            found = repository.latest_consents(connection, SELLERS[0], bank_of(client), PURPOSE)
        assert found is not None
        assert found.revoked_at is not None


def test_without_a_demo_bank_nobody_agrees(settings: Settings, open_client: Opener) -> None:
    with open_client(settings, consenting=()) as client:
        services = client.app.state.services
        without = replace(services, settings=settings.model_copy(update={"demo_bank": False}))
        assert "bank create" in _example_call(without, ADDRESS)
        path = settings.home / "nothing.netrc"
        assert demo_consent(path, services.engine, services.ledger, SELLERS[0], PURPOSE) is False
        with transaction(services.engine) as connection:
            assert repository.latest_consents(connection, SELLERS[0], bank_of(client), PURPOSE) is None

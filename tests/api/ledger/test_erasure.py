"""Erasing a seller: nothing of them can be read or found, the evidence stays whole, and the score answers 410."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Connection, inspect, text

from api.consents.ledger_entries import ConsentCheck
from api.errors import SellerUnknown
from api.kit.database import transaction
from api.ledger import encryption
from api.ledger.encryption import DecryptionError, WrappedSellerKey, seller_key
from api.ledger.store import read_content, rows_of
from api.ledger.verification import verify
from api.operations.retention import ErasureReport, erase_seller
from api.scores import shadow
from api.scores.export import export_scores
from api.scores.ledger_entries import ScoreIndexCheck
from api.scores.shadow import ShadowScore
from api.services import Services
from api.settings import Settings
from scoring import assess
from tests.api.conftest import NAMES, NEWCOMER, SELLERS, SNAPSHOT, Opener, bank_of
from tests.api.ledger.conftest import CHAINS, NOW, ROWS, Made
from tests.api.started import consent

if TYPE_CHECKING:
    from starlette.testclient import TestClient

pytestmark = pytest.mark.databases


@pytest.fixture
def client(stored_in: Settings, open_client: Opener) -> Iterator[TestClient]:
    with open_client(stored_in, consenting=(NEWCOMER, *SELLERS[:3])) as opened:
        yield opened


def ask(client: TestClient, seller_id: str) -> dict[str, Any]:
    answer = client.post("/v1/scores", json={"seller_id": seller_id, "purpose": "credit_application"})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def erased(services: Services, seller_id: str) -> ErasureReport:
    return erase_seller(services.engine, services.vectors, seller_id=seller_id, reason="asked", now=NOW)


def test_an_erased_seller_is_gone_and_the_others_stay(client: TestClient) -> None:
    services: Services = client.app.state.services
    scores = {seller: ask(client, seller) for seller in (NEWCOMER, *SELLERS[:3])}
    done = erased(services, NEWCOMER)
    assert done == ErasureReport({bank_of(client): [1, 2, 9]}, vectors=1, consents=2, requests=0)
    for answer in (
        client.get(f"/v1/scores/{scores[NEWCOMER]['id']}"),
        client.post(f"/v1/scores/{scores[NEWCOMER]['id']}/replay"),
    ):
        assert (answer.status_code, answer.json()["type"]) == (410, "/problems/erased")
    again = client.post("/v1/scores", json={"seller_id": NEWCOMER, "purpose": "credit_application"})
    assert (again.status_code, again.json()["type"]) == (403, "/problems/consent-required")
    for seller in SELLERS[:3]:
        assert client.get(f"/v1/scores/{scores[seller]['id']}").json() == scores[seller]
    report = verify(services.engine, services.ledger, [ScoreIndexCheck(services.receipts.jwks), ConsentCheck()])
    assert (report.rows, report.erased, report.faults) == (13, 3, ())
    assert [row.seller_id for row in export_scores(services.settings)] == list(SELLERS[:3])


def test_nothing_that_is_stored_tells_of_an_erased_seller(client: TestClient) -> None:
    services: Services = client.app.state.services
    ask(client, NEWCOMER)
    ask(client, SELLERS[0])
    wanted = {"seller_id": NEWCOMER, "purpose": "account_review"}
    assert client.post("/v1/consent-requests", json=wanted).status_code == 202
    with transaction(services.engine) as connection:
        key = bytes(seller_key(connection, NEWCOMER).wrapped)
    erased(services, NEWCOMER)
    with transaction(services.engine) as connection:
        tables = inspect(connection).get_table_names()
        rows = [str(tuple(row)) for name in tables for row in connection.execute(text(f"SELECT * FROM {name}"))]
    assert not any(NEWCOMER in row for row in rows)
    for file in (file for file in _files(services) if file.is_file()):
        content = file.read_bytes()
        assert NEWCOMER.encode() not in content, file.name
        assert key not in content, file.name


def _files(services: Services) -> list[Path]:
    folder = Path(services.engine.url.database).parent if services.engine.dialect.name == "sqlite" else None
    return [*services.settings.home.glob("*.db*"), *(folder.glob("*.db*") if folder else ())]


def test_what_a_challenger_said_goes_too(client: TestClient) -> None:
    services: Services = client.app.state.services
    ids = [ask(client, seller)["id"] for seller in (NEWCOMER, SELLERS[0])]
    with transaction(services.engine) as connection:
        shadow.insert_shadow_scores(
            connection, [ShadowScore(each, "sha256:rival", "scored", 611, "B", 0.02) for each in ids]
        )
    erased(services, NEWCOMER)
    with transaction(services.engine) as connection:
        assert [each.score_id for each in shadow.iterate_shadow_scores(connection)] == ids[1:]


def test_who_comes_back_is_somebody_new(client: TestClient) -> None:
    """The platform delivers the seller again: they get another pseudonym, and the old scores stay erased."""
    services: Services = client.app.state.services
    old = ask(client, NEWCOMER)
    erased(services, NEWCOMER)
    services.vectors.replace(SNAPSHOT, [(NEWCOMER, (400.0, *(0.5,) * (len(NAMES) - 1)))])
    consent(services, bank_of(client), NEWCOMER)
    new = ask(client, NEWCOMER)
    assert client.get(f"/v1/scores/{old['id']}").status_code == 410
    assert client.get(f"/v1/scores/{new['id']}").json() == new
    with transaction(services.engine) as connection:
        subjects = [row.header.subject for row in rows_of(connection, bank_of(client))]
    old_subject, new_subject = subjects[0], subjects[-1]
    assert [number for number, each in enumerate(subjects, 1) if each == old_subject] == [1, 2, 9, 10]
    assert old_subject != new_subject
    assert erased(services, NEWCOMER).positions == {bank_of(client): [11, 12, 13]}
    report = verify(services.engine, services.ledger, [ScoreIndexCheck(services.receipts.jwks), ConsentCheck()])
    assert (report.erased, report.faults) == (6, ())


def test_a_seller_who_was_never_scored_loses_their_vectors(client: TestClient) -> None:
    services: Services = client.app.state.services
    assert erased(services, SELLERS[9]) == ErasureReport({}, vectors=1, consents=0, requests=0)
    assert services.vectors.latest(SELLERS[9]) is None
    assert services.vectors.latest(SELLERS[8]) is not None
    for nobody in (SELLERS[9], "S-nobody"):
        with pytest.raises(SellerUnknown, match="Nothing about this seller is stored"):
            erased(services, nobody)


@pytest.mark.parametrize("scored_before", [True, False])
def test_an_erasure_while_a_score_is_made_follows_it(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, *, scored_before: bool
) -> None:
    services: Services = client.app.state.services
    if scored_before:
        ask(client, NEWCOMER)
    erasing: list[Future[ErasureReport]] = []

    with ThreadPoolExecutor(1) as pool:

        def slow(*given: Any) -> Any:
            erasing.append(pool.submit(erased, services, NEWCOMER))
            time.sleep(0.3)
            assert not erasing[0].done()
            return assess(*given)

        monkeypatch.setattr("api.scores.inputs.assess", slow)
        made = ask(client, NEWCOMER)
        assert len(erasing[0].result(30).positions[bank_of(client)]) == 2 + 1 + scored_before
    assert client.get(f"/v1/scores/{made['id']}").status_code == 410
    with transaction(services.engine) as connection:
        kinds = [row.header.kind for row in rows_of(connection, bank_of(client))]
        assert kinds[-2:] == ["score", "erasure"]
        assert seller_key(connection, NEWCOMER) is None


@pytest.mark.parametrize("agrees_again", [True, False])
def test_after_an_erasure_nobody_comes_back_by_an_old_vector(client: TestClient, *, agrees_again: bool) -> None:
    services: Services = client.app.state.services
    erased(services, NEWCOMER)
    if agrees_again:
        consent(services, bank_of(client), NEWCOMER)
    answer = client.post("/v1/scores", json={"seller_id": NEWCOMER, "purpose": "credit_application"})
    refused = (404, "/problems/unknown-seller") if agrees_again else (403, "/problems/consent-required")
    assert (answer.status_code, answer.json()["type"]) == refused
    with transaction(services.engine) as connection:
        assert (seller_key(connection, NEWCOMER) is not None) is agrees_again


def test_a_key_that_is_erased_before_it_is_read_is_made_anew(empty: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    found, looks = encryption.seller_key, []

    def late(connection: Connection, seller_id: str) -> WrappedSellerKey | None:
        looks.append(seller_id)
        if len(looks) == 2:
            encryption.destroy_key(connection, seller_id)
        return found(connection, seller_id)

    monkeypatch.setattr(encryption, "seller_key", late)
    with transaction(empty.engine, writes=True) as connection:
        made = empty.ledger.seller(connection, "S-1")
        assert found(connection, "S-1").subject == made.subject
    assert len(looks) == 3


def test_an_erasure_lists_its_rows_in_every_chain_and_says_why(filled: Made) -> None:
    positions = filled.erase("S-2")
    assert positions == {chain: [3, 9] for chain in CHAINS}
    for chain in CHAINS:
        row = filled.rows(chain)[-1]
        assert (row.header.kind, row.header.position) == ("erasure", ROWS + 2)
        assert json.loads(read_content(row, None)) == {"positions": [3, 9], "reason": "asked for it"}
    report = filled.verify()
    assert (report.erased, report.faults) == (8, ())
    assert filled.erase("S-2") == {}


def test_without_the_key_a_row_does_not_open(filled: Made) -> None:
    row = filled.rows(CHAINS[0])[0]
    for key in (None, bytes(32)):
        with pytest.raises(DecryptionError):
            read_content(row, key)


def test_rows_after_the_erasure_hold_on(filled: Made) -> None:
    for number in range(3):
        filled.append(CHAINS[0], "S-0", b'{"n":%d}' % number)
    assert filled.verify().faults == ()

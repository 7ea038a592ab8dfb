"""Erasure of a seller: nothing of the seller can be read or found, and the evidence of the chain stays whole."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, delete, insert, inspect, select, text

from api.errors import LedgerDamaged, SellerKeyMissing, SellerUnknown
from api.kit.database import transaction
from api.ledger import encryption
from api.ledger.encryption import DecryptionError, WrappedSellerKey, seller_key, seller_keys
from api.ledger.store import read_content, rows_of
from api.ledger.verification import verify
from api.operations.erased_keys import ErasedKeyCheck
from api.operations.retention import ErasureReport
from api.scores import shadow
from api.scores.export import export_scores
from api.scores.shadow import ShadowScore
from api.services import Services
from api.settings import Settings
from features.ingest.erasure import ErasedSellers
from scoring import assess
from tests.api.conftest import NAMES, NEWCOMER, SELLERS, SNAPSHOT, Opener
from tests.api.ledger.conftest import CHAINS, ROWS, OpenLedger
from tests.api.scores.conftest import Bank, assert_problem
from tests.api.started import consent

pytestmark = pytest.mark.databases


@pytest.fixture
def bank(stored_in: Settings, open_client: Opener) -> Iterator[Bank]:
    with open_client(stored_in, consenting=(NEWCOMER, *SELLERS[:3])) as opened:
        yield Bank(opened)


def post_score(bank: Bank) -> Any:
    return bank.client.post("/v1/scores", json={"seller_id": NEWCOMER, "purpose": "credit_application"})


def test_scores_of_an_erased_seller_are_gone_and_others_stay(bank: Bank) -> None:
    services = bank.services
    scores = {seller: bank.score(seller) for seller in (NEWCOMER, *SELLERS[:3])}
    erased = scores.pop(NEWCOMER)
    with transaction(services.engine) as connection:
        shadow.insert_shadow_scores(
            connection,
            [
                ShadowScore(score["id"], "sha256:rival", "scored", 611, "B", 0.02)
                for score in (erased, *scores.values())
            ],
        )
    assert bank.erase(NEWCOMER) == ErasureReport({bank.id: [1, 2, 9]}, vectors=1, consents=2, requests=0)
    path = f"/v1/scores/{erased['id']}"
    for response in (bank.client.get(path), bank.client.post(f"{path}/replay")):
        assert_problem(response, 410, "erased")
    assert_problem(post_score(bank), 403, "consent-required")
    for score in scores.values():
        assert bank.client.get(f"/v1/scores/{score['id']}").json() == score
    report = bank.verify()
    assert (report.rows, report.erased, report.faults) == (14, 3, ())
    assert [row.seller_id for row in export_scores(services.settings)] == list(scores)
    with transaction(services.engine) as connection:
        left = [row.score_id for row in shadow.iterate_shadow_scores(connection)]
    assert left == [score["id"] for score in scores.values()]


def test_no_table_and_no_file_holds_the_seller_or_the_key(bank: Bank) -> None:
    services = bank.services
    bank.score(NEWCOMER)
    bank.score(SELLERS[0])
    request = {"seller_id": NEWCOMER, "purpose": "account_review"}
    assert bank.client.post("/v1/consent-requests", json=request).status_code == 202
    with transaction(services.engine) as connection:
        key = seller_key(connection, NEWCOMER)
    assert key is not None
    bank.erase(NEWCOMER)
    with transaction(services.engine) as connection:
        tables = inspect(connection).get_table_names()
        rows = [str(tuple(row)) for name in tables for row in connection.execute(text(f"SELECT * FROM {name}"))]
    assert not [row for row in rows if NEWCOMER in row]
    for file in _database_files(services):
        content = file.read_bytes()
        assert NEWCOMER.encode() not in content, file.name
        assert bytes(key.wrapped) not in content, file.name


def _database_files(services: Services) -> Iterator[Path]:
    folders = {services.settings.home}
    if services.engine.dialect.name == "sqlite":
        folders.add(Path(str(services.engine.url.database)).parent)
    return (file for folder in folders for file in folder.glob("*.db*") if file.is_file())


def test_a_seller_who_returns_gets_another_pseudonym(bank: Bank) -> None:
    """The platform delivers the seller again; the old scores stay erased."""
    services = bank.services
    old = bank.score(NEWCOMER)
    bank.erase(NEWCOMER)
    services.vectors.replace(SNAPSHOT, [(NEWCOMER, (400.0, *(0.5,) * (len(NAMES) - 1)))])
    consent(services, bank.id, NEWCOMER)
    new = bank.score(NEWCOMER)
    assert bank.client.get(f"/v1/scores/{old['id']}").status_code == 410
    assert bank.client.get(f"/v1/scores/{new['id']}").json() == new
    with transaction(services.engine) as connection:
        subjects = [row.header.subject for row in rows_of(connection, bank.id)]
    assert [number for number, subject in enumerate(subjects, 1) if subject == subjects[0]] == [1, 2, 9, 10]
    assert subjects[0] != subjects[-1]
    assert bank.erase(NEWCOMER).positions == {bank.id: [11, 12, 13]}
    report = bank.verify()
    assert (report.erased, report.faults) == (6, ())


def test_a_seller_without_scores_loses_the_vectors(bank: Bank) -> None:
    vectors = bank.services.vectors
    assert bank.erase(SELLERS[9]) == ErasureReport({}, vectors=1, consents=0, requests=0, had_key=False)
    assert vectors.latest(SELLERS[9]) is None
    assert vectors.latest(SELLERS[8]) is not None
    for unknown in (SELLERS[9], "S-nobody"):
        with pytest.raises(SellerUnknown, match="Nothing about this seller is stored"):
            bank.erase(unknown)


@pytest.mark.parametrize("scored_before", [True, False])
def test_an_erasure_during_an_issuance_follows_it(
    bank: Bank, monkeypatch: pytest.MonkeyPatch, *, scored_before: bool
) -> None:
    if scored_before:
        bank.score(NEWCOMER)
    erasures: list[Future[ErasureReport]] = []

    with ThreadPoolExecutor(1) as pool:

        def assess_slowly(*arguments: Any) -> Any:
            erasures.append(pool.submit(bank.erase, NEWCOMER))
            time.sleep(0.3)
            assert not erasures[0].done()
            return assess(*arguments)

        monkeypatch.setattr("api.scores.inputs.assess", assess_slowly)
        score = bank.score(NEWCOMER)
        assert len(erasures[0].result(30).positions[bank.id]) == 2 + 1 + scored_before
    assert bank.client.get(f"/v1/scores/{score['id']}").status_code == 410
    with transaction(bank.services.engine) as connection:
        kinds = [row.header.kind for row in rows_of(connection, bank.id)]
        assert kinds[-2:] == ["score", "erasure"]
        assert seller_key(connection, NEWCOMER) is None


@pytest.mark.parametrize("consents_again", [True, False])
def test_an_old_vector_cannot_be_scored_after_the_erasure(bank: Bank, *, consents_again: bool) -> None:
    bank.erase(NEWCOMER)
    if consents_again:
        consent(bank.services, bank.id, NEWCOMER)
    problem = (404, "unknown-seller") if consents_again else (403, "consent-required")
    assert_problem(post_score(bank), *problem)
    with transaction(bank.services.engine) as connection:
        assert (seller_key(connection, NEWCOMER) is not None) is consents_again


def test_a_new_key_that_is_erased_before_it_is_read_is_created_again(
    empty: OpenLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    find, calls = encryption.seller_key, []

    def erase_before_second(connection: Connection, seller_id: str) -> WrappedSellerKey | None:
        calls.append(seller_id)
        if len(calls) == 2:
            encryption.destroy_key(connection, seller_id)
        return find(connection, seller_id)

    monkeypatch.setattr(encryption, "seller_key", erase_before_second)
    with transaction(empty.engine, writes=True) as connection:
        created = empty.ledger.seller(connection, "S-1")
        stored = find(connection, "S-1")
    assert stored is not None
    assert stored.subject == created.subject
    assert len(calls) == 3


def test_an_erasure_lists_its_rows_in_every_chain_with_the_reason(filled: OpenLedger) -> None:
    assert filled.erase("S-2") == {chain: [3, 9] for chain in CHAINS}
    for chain in CHAINS:
        row = filled.rows(chain)[-1]
        assert (row.header.kind, row.header.position) == ("erasure", ROWS + 2)
        content = json.loads(read_content(row, None))
        assert content.pop("signature").startswith("eyJ")
        assert content == {"positions": [3, 9], "reason": "asked for it"}
    report = filled.verify()
    assert (report.erased, report.faults) == (8, ())
    assert filled.erase("S-2") == {}
    filled.append(CHAINS[0], "S-2")
    assert filled.verify().faults == ()


def test_a_row_cannot_be_decrypted_without_its_key(filled: OpenLedger) -> None:
    row = filled.rows(CHAINS[0])[0]
    for key in (None, bytes(32)):
        with pytest.raises(DecryptionError):
            read_content(row, key)


def _stored_key(services: Services) -> dict[str, Any]:
    with transaction(services.engine) as connection:
        query = select(seller_keys).where(seller_keys.c.seller_id == NEWCOMER)
        return dict(connection.execute(query).mappings().one())


def test_a_key_that_is_put_back_after_the_erasure_reads_nothing(bank: Bank) -> None:
    services, score, key = bank.services, bank.score(NEWCOMER), _stored_key(bank.services)
    bank.erase(NEWCOMER)
    with transaction(services.engine, writes=True) as connection:
        connection.execute(insert(seller_keys).values(key))
    path = f"/v1/scores/{score['id']}"
    for response in (bank.client.get(path), bank.client.post(f"{path}/replay")):
        assert_problem(response, 410, "erased")
    assert [row.seller_id for row in export_scores(services.settings)] == []
    with transaction(services.engine, writes=True) as connection:
        assert services.ledger.sellers(connection, [NEWCOMER, SELLERS[0]]).keys() == {SELLERS[0]}
        with pytest.raises(LedgerDamaged):
            services.ledger.seller(connection, NEWCOMER)
    assert "an erasure is recorded, but the key is still stored" in {fault.what for fault in bank.verify().faults}
    bank.erase(NEWCOMER)
    assert bank.verify().faults == ()


def test_a_key_that_was_moved_aside_during_the_erasure_is_a_fault(bank: Bank) -> None:
    services, _, key = bank.services, bank.score(NEWCOMER), _stored_key(bank.services)
    with transaction(services.engine, writes=True) as connection:
        connection.execute(delete(seller_keys).where(seller_keys.c.seller_id == NEWCOMER))
        connection.execute(text("DELETE FROM consents"))
    assert not bank.erase(NEWCOMER).had_key
    erased = ErasedSellers(b"key").with_ids("seller_id", [NEWCOMER])

    def faults() -> list[str]:
        check = ErasedKeyCheck(erased)
        return [
            each.what
            for each in verify(services.engine, services.ledger, services.receipts.jwks, [check]).faults
            if each.what.startswith("the seller was erased, but their key is stored")
        ]

    assert faults() == []
    with transaction(services.engine, writes=True) as connection:
        connection.execute(insert(seller_keys).values(key))
    assert len(faults()) == 1
    bank.erase(NEWCOMER)
    consent(services, bank.id, NEWCOMER)
    assert faults() == [], "the key of a later consent"


def test_an_erasure_without_the_key_of_a_consenting_seller_fails(bank: Bank) -> None:
    services, key = bank.services, _stored_key(bank.services)
    with transaction(services.engine, writes=True) as connection:
        connection.execute(delete(seller_keys).where(seller_keys.c.seller_id == NEWCOMER))
    with pytest.raises(SellerKeyMissing, match="restore the key from a backup"):
        bank.erase(NEWCOMER)
    with transaction(services.engine, writes=True) as connection:
        connection.execute(insert(seller_keys).values(key))
    report = bank.erase(NEWCOMER)
    assert (report.had_key, report.consents, bank.verify().faults) == (True, 2, ())

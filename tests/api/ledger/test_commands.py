"""`sellerscore ledger`: exit codes, JSON, and one sentence where it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import Result
from sqlalchemy import text
from typer.testing import CliRunner

from api.auth.signing_keys import KeyRing
from api.cli.main import app
from api.errors import InputError, LedgerKeyError, OutputError, SellerUnknown, SignatureError
from api.kit.database import transaction
from api.settings import Settings
from features.ingest import ingest, open_store
from tests.api.conftest import NEWCOMER, SELLERS, Opener, bank_of
from tests.features.ingest.build import accepted, order, seller, store, write

if TYPE_CHECKING:
    from starlette.testclient import TestClient

Run = Callable[..., Result]
CONSENTING = (*SELLERS[:4], SELLERS[5], NEWCOMER)
"""Whose consents are the first twelve rows: one for each of two purposes."""


@pytest.fixture
def client(stored_in: Settings, open_client: Opener) -> Iterator[TestClient]:
    with open_client(stored_in, consenting=CONSENTING) as opened:
        for seller in (*SELLERS[:4], NEWCOMER):
            assert _ask(opened, seller).status_code == 201
        yield opened


def _ask(client: TestClient, seller: str) -> Any:
    return client.post("/v1/scores", json={"seller_id": seller, "purpose": "credit_application"})


@pytest.fixture
def run(stored_in: Settings, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("SELLERSCORE_HOME", str(stored_in.home))
    monkeypatch.setenv("SELLERSCORE_DATABASE_URL", stored_in.database_url)
    return lambda *given: CliRunner().invoke(app, ["ledger", *map(str, given)], catch_exceptions=False)


def _alter(client: TestClient, statement: str) -> None:
    with transaction(client.app.state.services.engine, writes=True) as connection:
        connection.execute(text(statement))


@pytest.mark.usefixtures("client")
@pytest.mark.databases
def test_a_whole_ledger_is_said_to_be_whole(run: Run) -> None:
    printed = run("verify")
    assert printed.exit_code == 0
    assert printed.stdout.endswith("The ledger is whole.\n")
    assert "17 rows are not covered by a checkpoint" in printed.stdout
    assert json.loads(run("verify", "--output", "json").stdout) == {
        "whole": True,
        "rows": 17,
        "chains": 1,
        "erased": 0,
        "retained": 0,
        "uncovered": 17,
        "faults": [],
    }


def test_the_service_may_go_on_while_it_is_looked_at(client: TestClient, run: Run) -> None:
    assert _ask(client, SELLERS[0]).status_code == 201
    assert run("verify").exit_code == 0
    assert _ask(client, SELLERS[0]).status_code == 201


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("purpose = 'account_review'", "differs from the ledger in purpose"),
        ("scored_at = '2020-01-01 00:00:00'", "differs from the ledger in scored_at"),
        ("scored_at = 'no date'", "differs from the ledger in scored_at"),
        ("bundle = CAST(x'ff' AS TEXT)", "differs from the ledger in bundle"),
        ("bundle = x'ff'", "differs from the ledger in bundle"),
        ("subject = 'somebody'", "differs from the ledger in subject"),
        ("bundle = 'sha256:other'", "differs from the ledger in bundle"),
        ("id = '00000000-0000-4000-8000-000000000000'", "differs from the ledger in id"),
        ("receipt = NULL", "the receipt is missing"),
    ],
)
def test_an_index_that_was_changed_is_found(client: TestClient, run: Run, change: str, says: str) -> None:
    _alter(client, f"UPDATE scores SET {change} WHERE position = 15")
    outcome = run("verify", "--output", "json")
    assert outcome.exit_code == 1
    faults = json.loads(outcome.stdout)["faults"]
    assert {(fault["chain"], fault["position"]) for fault in faults} == {(bank_of(client), 15)}
    assert says in faults[0]["what"]
    printed = run("verify").stdout
    assert f"{bank_of(client)}, row 15: {faults[0]['what']}" in printed
    assert f"FAULTS: {len(faults)}." in printed


def test_receipts_that_were_exchanged_are_found(client: TestClient, run: Run) -> None:
    _alter(
        client,
        "UPDATE scores SET receipt = (SELECT receipt FROM scores AS other WHERE other.position = 14) "
        "WHERE position = 15",
    )
    (fault,) = json.loads(run("verify", "--output", "json").stdout)["faults"]
    assert (fault["position"], fault["what"]) == (15, "the receipt was changed")


def test_a_place_in_the_index_that_is_another_is_found(client: TestClient, run: Run) -> None:
    _alter(client, "UPDATE scores SET position = 99 WHERE position = 15")
    faults = json.loads(run("verify", "--output", "json").stdout)["faults"]
    assert {(fault["position"], fault["what"]) for fault in faults} == {
        (15, "the score is missing in the index"),
        (99, "the index has a score that is not in the ledger"),
    }


def test_a_score_gone_from_index_and_ledger_is_found(client: TestClient, run: Run) -> None:
    for table in ("scores", "ledger"):
        _alter(client, f"DELETE FROM {table} WHERE position = 15")
    (fault,) = json.loads(run("verify", "--output", "json").stdout)["faults"]
    assert (fault["position"], fault["what"]) == (15, "the row is missing")


def test_an_erasure_is_counted_and_is_no_fault(client: TestClient, run: Run) -> None:
    asked = {"seller_id": NEWCOMER, "purpose": "account_review"}
    assert client.post("/v1/consent-requests", json=asked).status_code == 202
    said = run("erase", NEWCOMER, "--reason", "asked for it")
    assert said.exit_code == 0
    assert (
        "3 rows in 1 chains can no longer be read. Deleted: 1 vectors, 2 consents, 1 consent requests and 0 delivered "
        "rows. New rows of this seller will be rejected." in said.stdout
    )
    report = json.loads(run("verify", "--output", "json").stdout)
    assert (report["whole"], report["erased"], report["rows"]) == (True, 3, 18)
    assert json.loads(run("erase", SELLERS[0], "--reason", "asked", "--output", "json").stdout) == {
        "positions": {bank_of(client): [1, 2, 13]},
        "vectors": 1,
        "consents": 2,
        "requests": 0,
        "rows": 0,
    }
    with pytest.raises(SellerUnknown, match="Nothing about this seller is stored"):
        run("erase", "S-nobody", "--reason", "asked")


@pytest.mark.usefixtures("client")
def test_an_erasure_takes_delivered_rows_too_and_lets_none_in_again(
    run: Run, stored_in: Settings, tmp_path: Path
) -> None:
    parties = {
        "sellers": [seller(SELLERS[1]), seller(SELLERS[2])],
        "stores": [store("T1", seller_id=SELLERS[1]), store("T2", seller_id=SELLERS[2])],
    }
    first = write(tmp_path / "d1", orders=[order("O1"), order("O2", store_id="T2")], **parties)
    ingest(first, stored_in.operating_path)
    said = json.loads(run("erase", SELLERS[1], "--reason", "asked", "--output", "json").stdout)
    assert (said["vectors"], said["rows"]) == (1, 3)
    again = write(tmp_path / "d2", orders=[order("O3"), order("O4", store_id="T2")], **parties)
    assert ingest(again, stored_in.operating_path).table("orders").erased == 1
    assert [row["order_id"] for row in accepted(open_store(stored_in.operating_path), "orders")] == ["O2", "O4"]
    # nobody was scored, and there is no vector: the rows alone are enough to know them by
    theirs = {"sellers": [seller("S-new")], "stores": [store("T3", seller_id="S-new")]}
    ingest(write(tmp_path / "d3", orders=[order("O5", store_id="T3")], **theirs), stored_in.operating_path)
    assert json.loads(run("erase", "S-new", "--reason", "asked", "--output", "json").stdout)["rows"] == 3


@pytest.mark.databases
def test_a_checkpoint_finds_the_tail_that_was_cut_since(client: TestClient, run: Run, tmp_path: Path) -> None:
    out = tmp_path / "checkpoint.json"
    assert f"{bank_of(client)}: 17 rows" in run("checkpoint", "--out", out).stdout
    assert json.loads(run("verify", "--checkpoint", out, "--output", "json").stdout)["uncovered"] == 0
    assert _ask(client, SELLERS[5]).status_code == 201
    report = json.loads(run("verify", "--checkpoint", out, "--output", "json").stdout)
    assert (report["whole"], report["uncovered"]) == (True, 1)
    for table in ("scores", "ledger"):
        _alter(client, f"DELETE FROM {table} WHERE position > 15")
    _alter(client, "UPDATE chains SET position = 15, head = (SELECT head FROM ledger WHERE position = 15)")
    assert run("verify").exit_code == 0
    cut = run("verify", "--checkpoint", out)
    assert cut.exit_code == 1
    assert f"{bank_of(client)}, row 16: the chain was cut: the checkpoint has rows up to 17" in cut.stdout


def test_a_checkpoint_that_was_altered_is_refused(client: TestClient, run: Run, tmp_path: Path) -> None:
    out = tmp_path / "checkpoint.json"
    run("checkpoint", "--out", out)
    content = out.read_bytes()
    for altered in (content.replace(b'"position":17', b'"position":15'), content[: len(content) // 2], b"{}"):
        out.write_bytes(altered)
        with pytest.raises(SignatureError):
            run("verify", "--checkpoint", out)
    out.write_bytes(content)
    keys = tmp_path / "jwks.json"
    keys.write_text(json.dumps(KeyRing.open(tmp_path / "others").jwks))
    with pytest.raises(SignatureError, match="of an unknown key"):
        run("verify", "--checkpoint", out, "--jwks", keys)
    keys.write_bytes(client.get("/.well-known/jwks.json").content)
    assert run("verify", "--checkpoint", out, "--jwks", keys).exit_code == 0


def test_a_receipt_is_no_checkpoint(client: TestClient, run: Run, tmp_path: Path) -> None:
    (tmp_path / "score.json").write_bytes(_ask(client, SELLERS[0]).content)
    with pytest.raises(SignatureError):
        run("verify", "--checkpoint", tmp_path / "score.json")


@pytest.mark.usefixtures("client")
def test_files_that_are_not_there_are_one_sentence(run: Run, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        run("verify", "--checkpoint", tmp_path / "nothing.json")
    with pytest.raises(OutputError, match="cannot be written"):
        run("checkpoint", "--out", tmp_path / "nowhere" / "checkpoint.json")


@pytest.mark.usefixtures("client")
def test_the_ledger_is_not_opened_under_another_key(run: Run, stored_in: Settings) -> None:
    key = stored_in.keys_path / "ledger-master"
    right = key.read_text()
    assert key.stat().st_mode & 0o777 == 0o600
    faults = (("00" * 32, "belongs to another ledger"), ("00", "is not a ledger key"), (None, "is missing"))
    for content, says in faults:
        if content is None:
            key.unlink()
        else:
            key.write_text(content)
        with pytest.raises(LedgerKeyError, match=says):
            run("verify")
    assert not key.exists()
    key.write_text(right)
    key.chmod(0o640)
    with pytest.raises(LedgerKeyError, match="accessible to other users"):
        run("verify")
    key.chmod(0o600)
    assert run("verify").exit_code == 0


@pytest.mark.parametrize("column", ["kind", "recorded_at", "subject", "sealed"])
def test_a_value_of_another_type_is_found_with_its_row(client: TestClient, run: Run, column: str) -> None:
    changed = "'text'" if column == "sealed" else "x'ff41'"
    _alter(client, f"UPDATE ledger SET {column} = {changed} WHERE position = 15")
    outcome = run("verify", "--output", "json")
    assert outcome.exit_code == 1
    faults = json.loads(outcome.stdout)["faults"]
    assert (bank_of(client), 15) in {(fault["chain"], fault["position"]) for fault in faults}

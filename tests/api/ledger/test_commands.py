"""`sellerscore ledger`: exit codes, JSON, and one sentence for each rejection."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import time_machine
from click.testing import Result
from sqlalchemy import text
from typer.testing import CliRunner

from api.auth.signing_keys import KeyRing
from api.cli.main import app
from api.errors import ClockError, InputError, LedgerKeyError, OutputError, SellerUnknown, SignatureError
from api.kit.database import transaction
from api.settings import Settings
from features.ingest import ingest, open_store
from tests.api.conftest import NEWCOMER, SELLERS, Opener, bank_of
from tests.api.scores.conftest import Bank
from tests.features.ingest.build import accepted, order, seller, store, write

if TYPE_CHECKING:
    from starlette.testclient import TestClient

Run = Callable[..., Result]
CONSENTING = (*SELLERS[:4], SELLERS[5], NEWCOMER)
"""The sellers of the first twelve rows, which are consents for two purposes each."""


@pytest.fixture
def client(stored_in: Settings, open_client: Opener) -> Iterator[TestClient]:
    with open_client(stored_in, consenting=CONSENTING) as opened:
        for seller_id in (*SELLERS[:4], NEWCOMER):
            Bank(opened).score(seller_id)
        yield opened


@pytest.fixture
def run(stored_in: Settings, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("SELLERSCORE_HOME", str(stored_in.home))
    monkeypatch.setenv("SELLERSCORE_DATABASE_URL", stored_in.database_url)
    return lambda *given: CliRunner().invoke(app, ["ledger", *map(str, given)], catch_exceptions=False)


def run_json(run: Run, *given: Any) -> dict[str, Any]:
    return dict(json.loads(run(*given, "--output", "json").stdout))


def alter(client: TestClient, *statements: str) -> None:
    with transaction(client.app.state.services.engine, writes=True) as connection:
        for statement in statements:
            connection.execute(text(statement))


@pytest.mark.databases
def test_a_whole_ledger_verifies_while_the_service_runs(client: TestClient, run: Run) -> None:
    printed = run("verify")
    assert printed.exit_code == 0
    assert printed.stdout.endswith("The ledger is whole.\n")
    # the chain of the bank, and the creation of its client
    assert "18 rows are not covered by a checkpoint from another place. Use --checkpoint." in printed.stdout
    counts = {"rows": 18, "chains": 2, "erased": 0, "retained": 0, "uncovered": 18}
    assert run_json(run, "verify") == {"whole": True, **counts, "faults": []}
    Bank(client).score()
    assert run("verify").exit_code == 0


@pytest.mark.parametrize(
    ("change", "faults"),
    [
        ("purpose = 'account_review'", {15: "the index differs from the ledger in purpose"}),
        ("scored_at = '2020-01-01 00:00:00'", {15: "the index differs from the ledger in scored_at"}),
        ("scored_at = 'no date'", {15: "the index differs from the ledger in scored_at"}),
        ("bundle = 'sha256:other'", {15: "the index differs from the ledger in bundle"}),
        ("bundle = CAST(x'ff' AS TEXT)", {15: "the index differs from the ledger in bundle"}),
        (
            "bundle = x'ff'",
            {
                3: "values of bundle are not of type text: 1, the first in the row with rowid 3",
                15: "the index differs from the ledger in bundle",
            },
        ),
        ("subject = 'somebody'", {15: "the index differs from the ledger in subject"}),
        ("id = '00000000-0000-4000-8000-000000000000'", {15: "the index differs from the ledger in id"}),
        ("receipt = NULL", {15: "the receipt is missing"}),
        (
            "receipt = (SELECT receipt FROM scores AS other WHERE other.position = 14)",
            {15: "the receipt was changed"},
        ),
        (
            "position = 99",
            {15: "the score is missing in the index", 99: "the index has a score that is not in the ledger"},
        ),
    ],
)
def test_a_change_of_the_index_is_found(client: TestClient, run: Run, change: str, faults: dict[int, str]) -> None:
    if "no date" in change and client.app.state.services.engine.dialect.name != "sqlite":
        pytest.skip("PostgreSQL stores no text as a time")
    alter(client, f"UPDATE scores SET {change} WHERE position = 15")
    report = run_json(run, "verify")
    # the receipt is encrypted for the ID of its score
    found = {fault["position"]: fault["what"] for fault in reversed(report["faults"])}
    assert (found, report["whole"]) == (faults, False)
    printed = run("verify")
    assert printed.exit_code == 1
    assert f"{bank_of(client)}, row 15: {faults[15]}" in printed.stdout
    assert f"FAULTS: {len(report['faults'])}." in printed.stdout


def test_a_score_missing_in_index_and_ledger_is_found(client: TestClient, run: Run) -> None:
    alter(client, "DELETE FROM scores WHERE position = 15", "DELETE FROM ledger WHERE position = 15")
    (fault,) = run_json(run, "verify")["faults"]
    assert (fault["position"], fault["what"]) == (15, "the row is missing")


@pytest.mark.parametrize("column", ["kind", "recorded_at", "subject", "sealed"])
def test_a_value_of_another_type_is_found_at_its_row(client: TestClient, run: Run, column: str) -> None:
    value = "'text'" if column == "sealed" else "x'ff41'"
    alter(client, f"UPDATE ledger SET {column} = {value} WHERE position = 15")
    assert 15 in {fault["position"] for fault in run_json(run, "verify")["faults"]}


def test_bytes_as_the_name_of_a_chain_are_a_fault(client: TestClient, run: Run) -> None:
    alter(client, "UPDATE ledger SET chain = x'ff41' WHERE position = 15")
    faults = {tuple(fault.values()) for fault in run_json(run, "verify")["faults"]}
    assert ("b'\\xffA'", 0, "the name of the chain is not text") in faults
    assert (bank_of(client), 15, "the row is missing") in faults
    assert run("verify").exit_code == 1


@pytest.mark.parametrize("change", ["wrapped = 'text'", "subject = x'ff41'", "seller_id = x'ff41'"])
def test_a_value_of_another_type_in_a_key_is_a_fault(client: TestClient, run: Run, change: str) -> None:
    alter(client, f"UPDATE seller_keys SET {change} WHERE seller_id = '{SELLERS[0]}'")
    found = {fault["position"]: fault["what"] for fault in run_json(run, "verify")["faults"]}
    assert found[13] in {
        "the key of the seller was changed",
        "the content cannot be decrypted, and no erasure of its seller is recorded",
    }


def test_an_erasure_is_counted_and_is_no_fault(client: TestClient, run: Run) -> None:
    request = {"seller_id": NEWCOMER, "purpose": "account_review"}
    assert client.post("/v1/consent-requests", json=request).status_code == 202
    printed = run("erase", NEWCOMER, "--reason", "asked for it")
    assert printed.exit_code == 0
    assert (
        "3 rows in 1 chains can no longer be read. Deleted: 1 vectors, 2 consents, 1 consent requests and 0 delivered "
        "rows. New rows of this seller will be rejected." in printed.stdout
    )
    report = run_json(run, "verify")
    assert (report["whole"], report["erased"], report["rows"]) == (True, 3, 19)
    assert run_json(run, "erase", SELLERS[0], "--reason", "asked") == {
        "positions": {bank_of(client): [1, 2, 13]},
        "vectors": 1,
        "consents": 2,
        "requests": 0,
        "rows": 0,
        "had_key": True,
    }
    with pytest.raises(SellerUnknown, match="Nothing about this seller is stored"):
        run("erase", "S-nobody", "--reason", "asked")


@pytest.mark.usefixtures("client")
def test_an_erasure_deletes_delivered_rows_and_rejects_later_ones(
    run: Run, stored_in: Settings, tmp_path: Path
) -> None:
    parties = {
        "sellers": [seller(SELLERS[1]), seller(SELLERS[2])],
        "stores": [store("T1", seller_id=SELLERS[1]), store("T2", seller_id=SELLERS[2])],
    }
    first = write(tmp_path / "d1", orders=[order("O1"), order("O2", store_id="T2")], **parties)
    ingest(first, stored_in.operating_path)
    erased = run_json(run, "erase", SELLERS[1], "--reason", "asked")
    assert (erased["vectors"], erased["rows"]) == (1, 3)
    second = write(tmp_path / "d2", orders=[order("O3"), order("O4", store_id="T2")], **parties)
    assert ingest(second, stored_in.operating_path).table("orders").erased == 1
    assert [row["order_id"] for row in accepted(open_store(stored_in.operating_path), "orders")] == ["O2", "O4"]
    # only rows of this seller are stored
    unscored = {"sellers": [seller("S-new")], "stores": [store("T3", seller_id="S-new")]}
    ingest(write(tmp_path / "d3", orders=[order("O5", store_id="T3")], **unscored), stored_in.operating_path)
    assert run_json(run, "erase", "S-new", "--reason", "asked")["rows"] == 3


@pytest.mark.databases
def test_a_checkpoint_reveals_a_removed_tail(client: TestClient, run: Run, tmp_path: Path) -> None:
    out = tmp_path / "checkpoint.json"
    assert f"{bank_of(client)}: 17 rows" in run("checkpoint", "--out", out).stdout
    assert run_json(run, "verify", "--checkpoint", out)["uncovered"] == 0
    compared = run("verify", "--checkpoint", out).stdout
    assert "Compared with the checkpoint of --checkpoint and " in compared
    assert "\n0 rows are later than this checkpoint.\n" in compared
    Bank(client).score(SELLERS[5])
    report = run_json(run, "verify", "--checkpoint", out)
    assert (report["whole"], report["uncovered"]) == (True, 1)
    alter(
        client,
        "DELETE FROM scores WHERE position > 15",
        "DELETE FROM ledger WHERE position > 15",
        "UPDATE chains SET position = 15, (head, recorded_at) = "
        "(SELECT head, recorded_at FROM ledger WHERE position = 15) WHERE name != 'clients'",
    )
    assert run("verify").exit_code == 0
    cut = run("verify", "--checkpoint", out)
    assert cut.exit_code == 1
    assert f"{bank_of(client)}, row 16: the chain was cut: the checkpoint has rows up to 17" in cut.stdout


def test_only_an_unchanged_checkpoint_of_a_trusted_key_is_accepted(
    client: TestClient, run: Run, tmp_path: Path
) -> None:
    out, keys = tmp_path / "checkpoint.json", tmp_path / "jwks.json"
    run("checkpoint", "--out", out)
    content = out.read_bytes()
    altered = content.replace(b'"position":17', b'"position":15')
    for other in (altered, content[: len(content) // 2], b"{}", Bank(client).post_score().content):
        out.write_bytes(other)
        for option in ("--checkpoint", "--since"):
            with pytest.raises(SignatureError, match=f"{out} is not a checkpoint.*Use a file that"):
                run("verify", option, out)
    out.write_bytes(content)
    keys.write_text(json.dumps(KeyRing.open(tmp_path / "others").jwks))
    with pytest.raises(SignatureError, match="not among the trusted keys"):
        run("verify", "--checkpoint", out, "--jwks", keys)
    keys.write_bytes(client.get("/.well-known/jwks.json").content)
    assert run("verify", "--checkpoint", out, "--jwks", keys).exit_code == 0


def test_a_command_under_a_clock_far_ahead_appends_nothing(client: TestClient, run: Run) -> None:
    erase = ("erase", NEWCOMER, "--reason", "asked for it")
    with time_machine.travel(datetime.now(UTC) + timedelta(days=400)):
        for command in (erase, ("retain", "--days", 100)):
            with pytest.raises(
                ClockError, match=r"400 days after the newest row of the ledger \(2026-.*--clock-is-right"
            ):
                run(*command)
        assert run("retain", "--days", 100, "--dry-run").exit_code == 0
        assert run("retain", "--days", 1_000).exit_code == 0, "nothing is due, so nothing would be appended"
    assert run_json(run, "verify")["rows"] == 18
    Bank(client).score()
    with time_machine.travel(datetime.now(UTC) + timedelta(hours=24)):
        assert run(*erase).exit_code == 0
    with time_machine.travel(datetime.now(UTC) + timedelta(days=400)):
        assert run("erase", SELLERS[0], "--reason", "asked", "--clock-is-right").exit_code == 0


@pytest.mark.usefixtures("client")
def test_a_file_that_cannot_be_used_is_one_sentence(run: Run, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        run("verify", "--checkpoint", tmp_path / "nothing.json")
    os.mkfifo(tmp_path / "pipe")
    for option in ("--checkpoint", "--since", "--jwks"):
        with pytest.raises(InputError, match=r"cannot be read \(it is a named pipe, not a regular file\)"):
            run("verify", option, tmp_path / "pipe")
    with pytest.raises(OutputError, match="cannot be written"):
        run("checkpoint", "--out", tmp_path / "nowhere" / "checkpoint.json")


@pytest.mark.usefixtures("client")
def test_the_ledger_opens_only_under_its_own_private_key(run: Run, stored_in: Settings) -> None:
    key = stored_in.keys_path / "ledger-master"
    content = key.read_text()
    assert key.stat().st_mode & 0o777 == 0o600
    for other, message in (("00" * 32, "belongs to another ledger"), ("00", "is not a ledger key")):
        key.write_text(other)
        with pytest.raises(LedgerKeyError, match=message):
            run("verify")
    key.unlink()
    with pytest.raises(LedgerKeyError, match="is missing"):
        run("verify")
    assert not key.exists()
    key.write_text(content)
    key.chmod(0o640)
    with pytest.raises(LedgerKeyError, match="accessible to other users"):
        run("verify")
    key.chmod(0o600)
    assert run("verify").exit_code == 0

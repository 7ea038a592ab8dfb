"""Verification beside a working service: short reads, later changes, a trusted checkpoint, local checkpoints, clock."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest
import time_machine
from sqlalchemy import text
from typer.testing import CliRunner

from api.auth.signing_keys import PublicKeys
from api.cli.main import app
from api.kit.background import DegradedConditions
from api.kit.database import snapshot, transaction
from api.ledger.checks import Scope
from api.ledger.local_checkpoints import LocalCheckpoints
from api.ledger.store import tips
from api.ledger.verification import Report, Verifier
from api.operations.ledger_checks import all_checks
from api.settings import Settings
from tests.api.conftest import SELLERS, Opener, bank_of
from tests.api.ledger.conftest import CHAINS, LAST, OpenLedger, positions
from tests.api.scores.conftest import Bank, assert_problem
from tests.api.started import RING, consent

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from starlette.testclient import TestClient


class Stepwise:
    """A verification with pages of two rows that runs something before a page is read."""

    def __init__(self, opened: OpenLedger, steps: dict[int, Callable[[], object]]) -> None:
        self.opened = opened
        self.steps = steps
        self.reads = 0

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        self.reads += 1
        self.steps.get(self.reads, lambda: None)()
        with snapshot(self.opened.engine) as connection:
            yield connection

    def run(self) -> Report:
        return Verifier(self.connect, self.opened.ledger, PublicKeys(RING.jwks), page_rows=2).run()


@pytest.mark.databases
@pytest.mark.parametrize("read", range(1, 17))
def test_rows_may_be_appended_and_sellers_erased_at_any_time(filled: OpenLedger, read: int) -> None:
    def change() -> None:
        filled.append(CHAINS[0], "S-1", seconds=61)
        filled.erase("S-2")
        filled.append("bank-new", "S-3")

    stepwise = Stepwise(filled, {read: change})
    assert stepwise.run().faults == ()
    assert stepwise.reads >= read
    assert filled.verify().rows == 2 * LAST + 4


def test_a_bank_may_get_its_first_rows_meanwhile(stored_in: Settings, open_client: Opener) -> None:
    with open_client(stored_in, consenting=()) as client:
        bank, reads = Bank(client), 0

        @contextmanager
        def connect() -> Iterator[Connection]:
            nonlocal reads
            reads += 1
            if reads == 2:  # the chains were listed
                consent(bank.services, bank.id, SELLERS[0])
                bank.score()
            with snapshot(bank.services.engine) as connection:
                yield connection

        checks = all_checks(bank.services.receipts.jwks)
        keys = PublicKeys(bank.services.receipts.jwks)
        assert Verifier(connect, bank.services.ledger, keys, checks).run().faults == ()
        assert (reads, bank.verify().rows) == (4, 4)


def require_sqlite(dialect: str) -> None:
    if dialect != "sqlite":
        pytest.skip("the test changes files of SQLite")


def test_no_read_keeps_the_log_of_sqlite_from_being_emptied(filled: OpenLedger) -> None:
    require_sqlite(filled.engine.dialect.name)
    emptied = []

    def checkpoint() -> None:
        with sqlite3.connect(filled.engine.url.database) as connection:
            filled.append(CHAINS[0], "S-1", seconds=61)
            emptied.append(connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone())

    assert Stepwise(filled, dict.fromkeys(range(2, 8), checkpoint)).run().faults == ()
    assert emptied == [(0, 0, 0)] * 6


@pytest.mark.databases
def test_only_rows_from_a_trusted_checkpoint_on_are_verified(filled: OpenLedger) -> None:
    with filled.engine.connect() as connection:
        since = tips(connection)
    for chain in (*CHAINS, CHAINS[0], "bank-new"):
        filled.append(chain, "S-1")
    report = filled.verify(scope=Scope(since=since))
    assert (report.rows, report.uncovered, report.faults) == (6, 4, ())
    # a change before the checkpoint is not seen; a change of its row, or after it, is
    for position, seen in ((2, set()), (LAST, {LAST}), (LAST + 1, {LAST, LAST + 1})):
        with filled.engine.begin() as connection:
            connection.execute(
                text("UPDATE ledger SET commitment = :other WHERE chain = :chain AND position = :position"),
                {"other": bytes(32), "chain": CHAINS[1], "position": position},
            )
        found = {place for chain, place in positions(filled.verify(scope=Scope(since=since)))}
        assert found == seen


@pytest.fixture
def run(stored_in: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    monkeypatch.setenv("SELLERSCORE_HOME", str(stored_in.home))
    monkeypatch.setenv("SELLERSCORE_DATABASE_URL", stored_in.database_url)
    return lambda *given: CliRunner().invoke(app, ["ledger", *map(str, given)], catch_exceptions=False)


def test_consents_from_before_a_trusted_checkpoint_are_known(
    stored_in: Settings, open_client: Opener, run: Callable[..., Any], tmp_path: Path
) -> None:
    with open_client(stored_in, consenting=SELLERS[:2]) as client:
        bank = Bank(client)
        bank.score()
        assert run("checkpoint", "--out", tmp_path / "since.json").exit_code == 0
        bank.score()
        done = run("verify", "--since", tmp_path / "since.json")
        assert done.exit_code == 0
        assert "3 rows in 2 chains" in done.stdout
        assert "Rows before the checkpoint of --since were not verified" in done.stdout
        with transaction(bank.services.engine, writes=True) as connection:
            connection.execute(text("UPDATE consents SET purpose = 'account_review'"))
        assert "table of consents differs" in run("verify", "--since", tmp_path / "since.json").stdout


def test_rows_that_the_database_lost_are_found(
    stored_in: Settings, open_client: Opener, run: Callable[..., Any], tmp_path: Path
) -> None:
    """As if the -wal file was deleted and the service killed: the database is whole, but of an earlier time."""
    require_sqlite(stored_in.database_url.split(":")[0])
    file = Path(stored_in.database_url.removeprefix("sqlite:///"))
    with open_client(stored_in, consenting=SELLERS[:1]) as client:
        Bank(client).score()
        bank = bank_of(client)
    shutil.copy(file, tmp_path / "earlier.db")
    with open_client(stored_in, consenting=()) as client:
        Bank(client).score()
    assert run("verify").exit_code == 0
    shutil.copy(tmp_path / "earlier.db", file)
    for other in file.parent.glob(f"{file.name}-*"):
        other.unlink()
    lost = run("verify")
    assert lost.exit_code == 1
    assert f"{bank}, row 4: the chain was cut: the checkpoint has rows up to 4" in lost.stdout
    # the service says so, and the evidence outlives later rows and a second start
    for _ in range(2):
        with open_client(stored_in, consenting=()) as client:
            degraded = client.get("/health/ready").json()["degraded"]
            assert any("the database lacks rows of 1 chains" in each for each in degraded)
            Bank(client).score()
    found = run("verify")
    assert "row 4: the head differs from the checkpoint" in found.stdout
    (kept,) = stored_in.checkpoints_path.glob("conflict-*.json")
    kept.unlink()
    assert run("verify").exit_code == 0


def test_a_local_checkpoint_follows_the_ledger_and_a_damaged_one_is_named(
    stored_in: Settings, open_client: Opener, run: Callable[..., Any]
) -> None:
    with open_client(stored_in, consenting=SELLERS[:1]) as client:
        services = client.app.state.services
        local = LocalCheckpoints(
            stored_in.checkpoints_path, services.engine, keys=lambda: services.receipts, degraded=services.degraded
        )
        Bank(client).score()
        local.save()
        latest = stored_in.checkpoints_path / "latest.json"
        assert json.loads(latest.read_bytes())["chains"][0]["position"] == 3
        assert latest.stat().st_mode & 0o777 == 0o600
    content = latest.read_bytes()
    latest.write_bytes(content.replace(b'"position":3', b'"position":2'))
    with pytest.raises(Exception, match=r"latest\.json cannot be used"):
        run("verify")
    latest.write_bytes(content)
    assert run("verify").exit_code == 0


def cut_tail(connection: Connection, chain: str) -> None:
    """Delete the last row of a chain, and move the tip back, as a person with access to the database can."""
    bound = {"chain": chain}
    connection.execute(text("UPDATE chains SET position = position - 1 WHERE name = :chain"), bound)
    connection.execute(
        text(
            "DELETE FROM ledger WHERE chain = :chain AND position > (SELECT position FROM chains WHERE name = :chain)"
        ),
        bound,
    )
    last = "(SELECT {} FROM ledger WHERE chain = :chain ORDER BY position DESC LIMIT 1)"
    columns = ("head", "recorded_at")
    moved = ", ".join(f"{column} = {last.format(column)}" for column in columns)
    connection.execute(text(f"UPDATE chains SET {moved} WHERE name = :chain"), bound)


@pytest.mark.databases
def test_a_running_service_keeps_the_evidence_of_a_cut_tail(
    stored_in: Settings, open_client: Opener, run: Callable[..., Any]
) -> None:
    with open_client(stored_in, consenting=SELLERS[:1]) as client:
        services, chain = client.app.state.services, bank_of(client)
        local = LocalCheckpoints(
            stored_in.checkpoints_path, services.engine, keys=lambda: services.receipts, degraded=services.degraded
        )
        local.save()
        local.save()
        assert not [*stored_in.checkpoints_path.glob("conflict-*.json")]
        with transaction(services.engine, writes=True) as connection:
            cut_tail(connection, chain)
        local.save()
        degraded = client.get("/health/ready").json()["degraded"]
        assert any("the database lacks rows of 1 chains" in each for each in degraded)
        (kept,) = stored_in.checkpoints_path.glob("conflict-*.json")
        assert f"{chain}, row 2: the chain was cut: the checkpoint has rows up to 2" in run("verify").stdout
        Bank(client).score()
        local.save()
        assert [*stored_in.checkpoints_path.glob("conflict-*.json")] == [kept]
        assert "row 2: the head differs from the checkpoint" in run("verify").stdout
        assert services.degraded.parts == ["ledger"]
        kept.unlink()
        local.save()
        assert services.degraded.parts == [], "the operator has removed the file"


def test_the_service_reports_a_conflict_that_a_command_kept_until_the_rows_are_back(
    stored_in: Settings, open_client: Opener
) -> None:
    with open_client(stored_in, consenting=SELLERS[:1]) as client:
        services = client.app.state.services
        of_service, of_command = (
            LocalCheckpoints(stored_in.checkpoints_path, services.engine, keys=lambda: services.receipts, degraded=each)
            for each in (services.degraded, DegradedConditions())
        )
        of_command.save()
        with transaction(services.engine, writes=True) as connection:
            connection.execute(text("UPDATE chains SET position = position - 1 WHERE name = 'clients'"))
        of_command.save()
        of_service.save()
        assert services.degraded.parts == ["ledger"]
        with transaction(services.engine, writes=True) as connection:
            connection.execute(text("UPDATE chains SET position = position + 1 WHERE name = 'clients'"))
        of_service.save()
        assert services.degraded.parts == []


def local_checkpoints(client: TestClient) -> tuple[LocalCheckpoints, DegradedConditions]:
    """Return the local checkpoints of a further process of the service, and what it reports."""
    services, degraded = client.app.state.services, DegradedConditions()
    folder = services.settings.checkpoints_path
    return LocalCheckpoints(folder, services.engine, keys=lambda: services.receipts, degraded=degraded), degraded


@pytest.mark.databases
def test_each_process_reports_a_cut_tail_that_one_has_found(stored_in: Settings, open_client: Opener) -> None:
    with open_client(stored_in, consenting=SELLERS[:1]) as client:
        (first, found), (second, informed) = local_checkpoints(client), local_checkpoints(client)
        for local in (first, second):
            local.save()
        with transaction(client.app.state.services.engine, writes=True) as connection:
            cut_tail(connection, bank_of(client))
        for local in (first, second):
            local.save()
        assert found.all == informed.all != []
        assert len([*stored_in.checkpoints_path.glob("conflict-*.json")]) == 1


@pytest.mark.databases
def test_processes_that_write_checkpoints_at_the_same_time_report_no_loss(
    stored_in: Settings, open_client: Opener
) -> None:
    with open_client(stored_in, consenting=SELLERS[:1]) as client:
        bank, writers, ended = Bank(client), [local_checkpoints(client) for _ in range(3)], Event()

        def save_until_the_end(local: LocalCheckpoints) -> None:
            while not ended.is_set():
                local.save()

        with ThreadPoolExecutor(3) as pool:
            done = [pool.submit(save_until_the_end, local) for local, _ in writers]
            try:
                for _ in range(15):
                    bank.score()
            finally:
                ended.set()
        assert [each.result() for each in done] == [None] * 3
        assert [degraded.all for _, degraded in writers] == [[]] * 3
        assert [path.name for path in stored_in.checkpoints_path.iterdir()] == ["latest.json"]


def test_the_checkpoint_covers_an_erasure_by_a_command(
    stored_in: Settings, open_client: Opener, run: Callable[..., Any]
) -> None:
    with open_client(stored_in, consenting=SELLERS[:1]) as client:
        Bank(client).score()
    latest = stored_in.checkpoints_path / "latest.json"
    assert json.loads(latest.read_bytes())["chains"][0]["position"] == 3
    assert run("erase", SELLERS[0], "--reason", "requested").exit_code == 0
    assert json.loads(latest.read_bytes())["chains"][0]["position"] == 4


def test_the_output_states_which_checkpoints_were_compared(
    stored_in: Settings, open_client: Opener, run: Callable[..., Any], tmp_path: Path
) -> None:
    with open_client(stored_in, consenting=SELLERS[:1]):
        pass
    out = tmp_path / "checkpoint.json"
    run("checkpoint", "--out", out)
    for arguments, compared in (
        ((), "Compared with 1 checkpoint in the state folder."),
        (("--since", out), "Compared with the checkpoint of --since and 1 checkpoint in the state folder."),
        (
            ("--checkpoint", out, "--since", out),
            "Compared with the checkpoints of --checkpoint and --since and 1 checkpoint in the state folder.",
        ),
    ):
        assert f"\n{compared}\n" in run("verify", *arguments).stdout
    (stored_in.checkpoints_path / "latest.json").unlink()
    assert "\nCompared with no checkpoint.\n" in run("verify").stdout
    assert "\nCompared with the checkpoint of --since.\n" in run("verify", "--since", out).stdout


def test_a_tip_that_was_moved_back_is_a_conflict_before_its_row_is_deleted(
    stored_in: Settings, open_client: Opener
) -> None:
    with open_client(stored_in, consenting=SELLERS[:1]) as client:
        services = client.app.state.services
        local = LocalCheckpoints(
            stored_in.checkpoints_path, services.engine, keys=lambda: services.receipts, degraded=services.degraded
        )
        local.save()
        with transaction(services.engine, writes=True) as connection:
            connection.execute(text("UPDATE chains SET position = position - 1"))
        local.save()
        assert [*stored_in.checkpoints_path.glob("conflict-*.json")]


@pytest.mark.databases
def test_nothing_is_stored_while_the_clock_is_behind_the_ledger(
    stored_in: Settings, open_client: Opener, caplog: pytest.LogCaptureFixture
) -> None:
    with open_client(stored_in, consenting=SELLERS[:1]) as client:
        bank, later = Bank(client), datetime.now(UTC) + timedelta(minutes=5)
        with time_machine.travel(later, tick=True):
            bank.score()
        with time_machine.travel(later - timedelta(seconds=60), tick=True):
            body = {"seller_id": SELLERS[0], "purpose": "credit_application"}
            assert_problem(client.post("/v1/scores", json=body), 503, "clock-set-back")
            assert "the clock was set back" in caplog.text
        with time_machine.travel(later - timedelta(seconds=2), tick=True):
            bank.score()
        assert bank.verify().faults == ()


def test_the_documented_recovery_from_a_row_in_the_future(
    stored_in: Settings, open_client: Opener, run: Callable[..., Any], tmp_path: Path
) -> None:
    require_sqlite(stored_in.database_url.split(":")[0])
    file = Path(stored_in.database_url.removeprefix("sqlite:///"))
    with open_client(stored_in, consenting=SELLERS[:2]) as client:
        Bank(client).score()
    shutil.copy(file, tmp_path / "backup.db")
    with time_machine.travel(datetime.now(UTC) + timedelta(days=400)):
        assert run("erase", SELLERS[1], "--reason", "requested", "--clock-is-right").exit_code == 0
    body = {"seller_id": SELLERS[0], "purpose": "credit_application"}
    with open_client(stored_in, consenting=()) as client:
        assert_problem(client.post("/v1/scores", json=body), 503, "clock-set-back")
    shutil.copy(tmp_path / "backup.db", file)
    for other in file.parent.glob(f"{file.name}-*"):
        other.unlink()
    stored_in.checkpoints_path.rename(tmp_path / "evidence")
    with open_client(stored_in, consenting=()) as client:
        Bank(client).score()
        assert client.get("/health/ready").json()["degraded"] == []
        assert run("erase", SELLERS[1], "--reason", "requested").exit_code == 0
    assert run("verify").exit_code == 0


def test_a_row_that_is_earlier_than_the_previous_one_is_found(
    filled: OpenLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.ledger.chain.CLOCK_TOLERANCE", timedelta(days=1))
    filled.append(CHAINS[0], "S-1", seconds=-3_600)
    monkeypatch.undo()
    (fault,) = filled.verify().faults
    assert (fault.chain, fault.position) == (CHAINS[0], LAST + 1)
    assert fault.what == "the time is earlier than that of the previous row"

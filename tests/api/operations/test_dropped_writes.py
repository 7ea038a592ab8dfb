"""A trigger that drops writes without an error: nothing is reported as stored, and the trigger is named."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Engine, text
from typer.testing import CliRunner

from api.auth.scopes import ClientKind
from api.cli.main import app
from api.consents.service import revoke_consent
from api.errors import DatabaseSetupError, DatabaseUnavailable
from api.kit.database import open_database, transaction
from api.settings import Settings
from tests.api.conftest import SELLERS, Opener
from tests.api.scores.conftest import Bank, assert_problem
from tests.api.started import register_of

pytestmark = pytest.mark.databases
BODY = {"seller_id": SELLERS[0], "purpose": "credit_application"}


def drop_writes(engine: Engine, operation: str, table: str) -> None:
    """Create a trigger that drops each write of a kind to a table."""
    with engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            body = "BEGIN SELECT RAISE(IGNORE); END"
            connection.execute(text(f"CREATE TRIGGER keep BEFORE {operation} ON {table} {body}"))
            return
        body = "LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'"
        connection.execute(text(f"CREATE FUNCTION keep() RETURNS trigger {body}"))
        connection.execute(
            text(f"CREATE TRIGGER keep BEFORE {operation} ON {table} FOR EACH ROW EXECUTE FUNCTION keep()")
        )


def revoke_first_consent(bank: Bank) -> None:
    with transaction(bank.services.engine, writes=True) as connection:
        consent_id = (
            connection.execute(text("SELECT id FROM consents WHERE seller_id = :seller"), {"seller": SELLERS[0]})
            .scalars()
            .first()
        )
        revoke_consent(connection, bank.services.ledger, consent_id, "platform-1")


def create_client(bank: Bank) -> None:
    register_of(bank.services).create(ClientKind.PLATFORM, "A platform", now=datetime.now(UTC))


def revoke_client(bank: Bank) -> None:
    register_of(bank.services).revoke(ClientKind.BANK, bank.id, datetime.now(UTC))


WRITES: dict[tuple[str, str], Callable[[Bank], object]] = {
    ("DELETE", "seller_keys"): lambda bank: bank.erase(SELLERS[0]),
    ("UPDATE", "consents"): revoke_first_consent,
    ("UPDATE", "clients"): revoke_client,
    ("INSERT", "clients"): create_client,
}


@pytest.mark.parametrize(("operation", "table"), WRITES)
def test_a_dropped_write_is_no_success(
    stored_in: Settings, open_client: Opener, caplog: pytest.LogCaptureFixture, operation: str, table: str
) -> None:
    with open_client(stored_in, consenting=SELLERS[:1]) as client:
        bank = Bank(client)
        bank.score()
        rows = bank.verify().rows
        drop_writes(bank.services.engine, operation, table)
        with pytest.raises(DatabaseUnavailable):
            WRITES[operation, table](bank)
        assert "the database changed 0 rows instead of 1: it may have a trigger" in caplog.text
        report = bank.verify()
        assert report.rows == rows, "the transaction was rolled back"
        assert [fault.what for fault in report.faults] == [
            f"the database has the trigger keep on {table}, which SellerScore did not create"
        ]


@pytest.mark.parametrize(
    ("operation", "table"),
    [("INSERT", "ledger"), ("UPDATE", "chains"), ("INSERT", "scores"), ("INSERT", "idempotency_keys")],
)
def test_a_score_that_is_not_stored_is_not_issued(
    stored_in: Settings, open_client: Opener, operation: str, table: str
) -> None:
    with open_client(stored_in, consenting=SELLERS[:1]) as client:
        bank = Bank(client)
        drop_writes(bank.services.engine, operation, table)
        response = client.post("/v1/scores", json=BODY, headers={"Idempotency-Key": "order 17"})
        assert_problem(response, 503, "database-unavailable")
        assert bank.page()["items"] == []


def test_the_service_and_commands_that_write_reject_triggers_and_views(
    stored_in: Settings, open_client: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SELLERSCORE_HOME", str(stored_in.home))
    monkeypatch.setenv("SELLERSCORE_DATABASE_URL", stored_in.database_url)

    def run(*given: str) -> Any:
        return CliRunner().invoke(app, given, catch_exceptions=False)

    with open_client(stored_in, consenting=SELLERS[:1]) as client:
        engine = client.app.state.services.engine
        with engine.begin() as connection:
            connection.execute(text("CREATE VIEW old_scores AS SELECT * FROM scores"))
        drop_writes(engine, "DELETE", "seller_keys")
    with pytest.raises(DatabaseSetupError, match=r"trigger keep on seller_keys, view old_scores.*drop them"):
        open_database(stored_in.database_url)
    with pytest.raises(DatabaseSetupError), open_client(stored_in, consenting=()):
        pass
    with pytest.raises(DatabaseSetupError):
        run("ledger", "erase", SELLERS[0], "--reason", "requested")
    verified = run("ledger", "verify")
    assert verified.exit_code == 1
    assert "the database has the trigger keep on seller_keys, which SellerScore did not create" in verified.stdout
    assert "the database has the view old_scores" in verified.stdout


def test_rules_and_row_policies_of_postgresql_are_rejected(stored_in: Settings, dialect: str) -> None:
    if dialect == "sqlite":
        pytest.skip("SQLite has neither rules nor row policies")
    engine = open_database(stored_in.database_url)
    with engine.begin() as connection:
        connection.execute(text("CREATE RULE keep AS ON DELETE TO seller_keys DO INSTEAD NOTHING"))
        connection.execute(text("CREATE POLICY hidden ON consents USING (true)"))
        connection.execute(text("ALTER TABLE consents ENABLE ROW LEVEL SECURITY"))
    engine.dispose()
    found = "policy hidden on consents, row security on consents, rule keep on seller_keys"
    with pytest.raises(DatabaseSetupError, match=found):
        open_database(stored_in.database_url)

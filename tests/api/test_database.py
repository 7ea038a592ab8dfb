"""The database: durable, migrated both ways with data in place, and what the code believes it to be."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text
from sqlalchemy.exc import OperationalError

import api.access.repository as access
import api.scores.repository as scores
from api.access.rights import Kind
from api.database import metadata, migrate, open_database, transaction
from api.errors import DatabaseSetupError, DatabaseUnavailable

SCORE = scores.StoredScore(
    id="0b8f3f0e-2f0c-4e0b-9d3c-8a2b6a1f7c55",
    bank_id="bank-0123456789abcdef",
    seller_id="卖家-1",
    purpose="credit_application",
    scored_at=datetime(2026, 2, 1, 9, 30, 0, 123000, tzinfo=UTC),
    bundle="sha256:" + "b" * 64,
    inputs=b"{}",
    body=b'{"a":1}',
)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/some/folder 100%/scores.db"


def test_a_score_comes_back_as_it_was_stored(url: str) -> None:
    engine = open_database(url)
    with transaction(engine) as connection:
        scores.add(connection, SCORE)
    with transaction(engine) as connection:
        assert scores.find(connection, SCORE.bank_id, SCORE.id) == SCORE
        assert scores.find(connection, SCORE.bank_id, "another") is None
        assert scores.find(connection, "bank-another", SCORE.id) is None
    engine.dispose()


def test_commits_are_durable(url: str) -> None:
    engine = open_database(url)
    with engine.connect() as connection:
        found = [connection.execute(text(f"PRAGMA {name}")).scalar_one() for name in ("journal_mode", "synchronous")]
        assert found == ["wal", 2]
        assert connection.execute(text("PRAGMA foreign_keys")).scalar_one() == 1
    engine.dispose()


def test_a_transaction_that_fails_stores_nothing(url: str) -> None:
    engine = open_database(url)
    with pytest.raises(DatabaseUnavailable), transaction(engine) as connection:  # noqa: PT012 - the second one fails
        scores.add(connection, SCORE)
        connection.execute(text("SELECT no_such_column FROM scores"))
    with transaction(engine) as connection:
        assert scores.find(connection, SCORE.bank_id, SCORE.id) is None
    engine.dispose()


def test_models_and_migrations_agree(url: str) -> None:
    engine = open_database(url)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


def test_the_schema_goes_down_and_up_and_a_newest_one_keeps_its_rows(url: str) -> None:
    engine = open_database(url)
    with transaction(engine) as connection:
        scores.add(connection, SCORE)
    migrate(engine)
    with transaction(engine) as connection:
        assert scores.find(connection, SCORE.bank_id, SCORE.id) == SCORE
    migrate(engine, "base")
    assert "scores" not in inspect(engine).get_table_names()
    migrate(engine)
    with transaction(engine) as connection:
        assert scores.find(connection, SCORE.bank_id, SCORE.id) is None
    engine.dispose()


def test_scores_from_before_banks_are_kept_and_no_banks(url: str) -> None:
    engine = open_database(url)
    migrate(engine, "base")
    migrate(engine, "0002")
    old = {name: value for name, value in vars(SCORE).items() if name not in {"bank_id", "scored_at"}}
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO scores (id, seller_id, purpose, scored_at, bundle, inputs, body) "
                "VALUES (:id, :seller_id, :purpose, '2026-02-01 09:30:00.123000', :bundle, :inputs, :body)"
            ),
            old,
        )
        connection.execute(
            text("INSERT INTO shadow_scores (score_id, bundle, outcome) VALUES (:id, 'sha256:1', 'scored')"), old
        )
    migrate(engine)
    with transaction(engine) as connection:
        (kept,) = scores.every(connection)
        assert kept == replace(SCORE, bank_id="before-banks")
        bank = access.Client("bank-0123456789abcdef", Kind.BANK, "Bank", SCORE.scored_at, None)
        access.add(connection, bank)
        access.add_secret(connection, bank.id, name="one", hashed="$", now=SCORE.scored_at)
        assert access.use_assertion(
            connection, bank.id, "1", until=SCORE.scored_at, now=datetime(2020, 1, 1, tzinfo=UTC)
        )
        scores.add(connection, replace(SCORE, id="another"))
    migrate(engine, "0002")
    with engine.begin() as connection:
        rows = connection.execute(text("SELECT id, seller_id, body FROM scores ORDER BY id")).all()
        assert [tuple(row) for row in rows] == [(each, SCORE.seller_id, SCORE.body) for each in (SCORE.id, "another")]
        assert connection.execute(text("SELECT count(*) FROM shadow_scores")).scalar_one() == 1
    assert not {"clients", "client_secrets", "client_keys", "used_assertions"} & set(inspect(engine).get_table_names())
    migrate(engine)
    with transaction(engine) as connection:
        assert {each.bank_id for each in scores.every(connection)} == {"before-banks"}
        assert access.find(connection, bank.id) is None
    engine.dispose()


def test_a_migration_that_fails_leaves_the_schema_as_it_was(url: str) -> None:
    engine = open_database(url)
    migrate(engine, "base")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE scores (id TEXT)"))
    with pytest.raises(OperationalError, match="already exists"):
        migrate(engine)
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE scores"))
    migrate(engine)
    assert "scores" in inspect(engine).get_table_names()
    engine.dispose()


def test_errors_hold_no_parameters(url: str) -> None:
    engine = open_database(url)
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE scores"))
    with pytest.raises(DatabaseUnavailable) as caught, transaction(engine) as connection:
        scores.add(connection, SCORE)
    assert SCORE.seller_id not in f"{caught.value} {caught.value.__cause__}"
    engine.dispose()


@pytest.mark.parametrize("address", ["sqlite:///:memory:", "sqlite:///"])
def test_a_database_that_forgets_is_refused(address: str) -> None:
    with pytest.raises(DatabaseSetupError, match="on a local disk"):
        open_database(address)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "scores.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(DatabaseSetupError, match="cannot be opened"):
        open_database(f"sqlite:///{tmp_path}/scores.db")


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DatabaseSetupError, match=r"cannot be opened .*SELLERSCORE_DATABASE_URL"):
        open_database(f"sqlite:///{tmp_path}/file/scores.db")

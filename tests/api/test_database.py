"""The database: durable, migrated both ways with data in place, and what the code believes it to be."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text
from sqlalchemy.exc import OperationalError, ProgrammingError

import api.scores.repository as scores
from api.database import metadata, migrate, open_database, transaction
from api.errors import DatabaseSetupError, DatabaseUnavailable
from tests.api.postgres import fresh_database

SCORE = scores.StoredScore(
    id="0b8f3f0e-2f0c-4e0b-9d3c-8a2b6a1f7c55",
    seller_id="卖家-1",
    purpose="credit_application",
    scored_at=datetime(2026, 2, 1, 9, 30, 0, 123000, tzinfo=UTC),
    bundle="sha256:" + "b" * 64,
    inputs=b"{}",
    body=b'{"a":1}',
)


def test_a_score_comes_back_as_it_was_stored(database: str) -> None:
    engine = open_database(database)
    with transaction(engine) as connection:
        scores.add(connection, SCORE)
    with transaction(engine) as connection:
        assert scores.find(connection, SCORE.id) == SCORE
        assert scores.find(connection, "another") is None
    engine.dispose()


def test_commits_are_durable(database: str) -> None:
    engine = open_database(database)
    asked, expected = {
        "sqlite": ("PRAGMA {}", {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}),
        "postgresql": ("SHOW {}", {"synchronous_commit": "on", "fsync": "on", "full_page_writes": "on"}),
    }[engine.dialect.name]
    with engine.connect() as connection:
        found = {name: connection.execute(text(asked.format(name))).scalar_one() for name in expected}
    assert found == expected
    engine.dispose()


def test_a_server_that_acknowledges_before_the_disk_is_refused(postgres: str) -> None:
    with fresh_database(postgres) as address, psycopg.connect(address, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {connection.info.dbname} SET synchronous_commit = off")
        with pytest.raises(DatabaseSetupError, match=r"'synchronous_commit': 'off'.*outlive a power cut"):
            open_database(address)


def test_a_server_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DatabaseSetupError, match="cannot be opened") as caught:
        open_database(f"postgresql://scores:hunter2@/scores?host={tmp_path}")
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_services_that_start_at_once_migrate_once(database: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        engines = list(pool.map(open_database, [database] * 4))
    for engine in engines:
        with engine.connect() as connection:
            assert len(connection.execute(text("SELECT version_num FROM alembic_version")).all()) == 1
        engine.dispose()


def test_a_transaction_that_fails_stores_nothing(database: str) -> None:
    engine = open_database(database)
    with pytest.raises(DatabaseUnavailable), transaction(engine) as connection:  # noqa: PT012 - the second one fails
        scores.add(connection, SCORE)
        connection.execute(text("SELECT no_such_column FROM scores"))
    with transaction(engine) as connection:
        assert scores.find(connection, SCORE.id) is None
    engine.dispose()


def test_models_and_migrations_agree(database: str) -> None:
    engine = open_database(database)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


def test_the_schema_goes_down_and_up_and_a_newest_one_keeps_its_rows(database: str) -> None:
    engine = open_database(database)
    with transaction(engine) as connection:
        scores.add(connection, SCORE)
    migrate(engine)
    with transaction(engine) as connection:
        assert scores.find(connection, SCORE.id) == SCORE
    migrate(engine, "base")
    assert "scores" not in inspect(engine).get_table_names()
    migrate(engine)
    with transaction(engine) as connection:
        assert scores.find(connection, SCORE.id) is None
    engine.dispose()


def test_a_migration_that_fails_leaves_the_schema_as_it_was(database: str) -> None:
    engine = open_database(database)
    migrate(engine, "base")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE scores (id TEXT)"))
    with pytest.raises((OperationalError, ProgrammingError), match="already exists"):
        migrate(engine)
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE scores"))
    migrate(engine)
    assert "scores" in inspect(engine).get_table_names()
    engine.dispose()


def test_errors_hold_no_parameters(database: str) -> None:
    engine = open_database(database)
    with engine.begin() as connection:
        connection.execute(
            text("DROP TABLE scores CASCADE" if engine.dialect.name == "postgresql" else "DROP TABLE scores")
        )
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

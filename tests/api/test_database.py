"""The database: durable, migrated both ways with data in place, and what the code believes it to be."""

import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, Engine, column, insert, inspect, table, text
from sqlalchemy.exc import OperationalError, ProgrammingError

import api.access.repository as access
import api.shadow.repository as shadows
from api.access.rights import Kind
from api.database import UtcDateTime, metadata, migrate, open_database, transaction
from api.errors import DatabaseSetupError, DatabaseUnavailable
from api.ledger.chain import verify
from api.ledger.repository import rows_of, tips
from api.ledger.service import Draft, Ledger
from api.scores import answer, repository, stored
from api.scores.repository import Indexed
from api.scores.stored import StoredScore
from api.shadow.repository import Numbers, ShadowScore
from scoring.canonical import canonical_json
from tests.api.postgres import fresh_database

pytestmark = pytest.mark.databases

MASTER = bytes(range(32))
MOMENT = datetime(2026, 2, 1, 9, 30, 0, 123456, tzinfo=UTC)


def _score(number: int) -> StoredScore:
    """A score as it was stored before the ledger."""
    return StoredScore(
        id=f"0b8f3f0e-2f0c-4e0b-9d3c-8a2b6a1f7c{number:02}",
        bank_id=f"bank-{number % 2}",
        seller_id=f"卖家-{number % 3}",
        purpose="credit_application",
        scored_at=MOMENT + timedelta(seconds=number),
        bundle="sha256:" + "b" * 64,
        inputs=canonical_json({"seller_id": f"卖家-{number % 3}", "values": [0.1, None]}),
        body=canonical_json({"assessment": {"score": 600 + number}, "id": number}),
    )


SCORE = _score(1)


@pytest.fixture
def database(empty_database: str) -> str:
    """The address of a database without tables, of each kind in turn."""
    return empty_database


def _at(database: str, revision: str) -> Engine:
    """The database as a service of that revision left it."""
    engine = open_database(database)
    migrate(engine, revision)
    return engine


def _store_before(connection: Connection, score: StoredScore) -> None:
    there = {each["name"] for each in inspect(connection).get_columns("scores")}
    names = {name: value for name, value in vars(score).items() if name in there}
    before = table("scores", *(column(name, UtcDateTime() if name == "scored_at" else None) for name in names))
    connection.execute(insert(before), names)


def _store(connection: Connection, ledger: Ledger, score: StoredScore) -> None:
    """Store a score as the service does, without a receipt."""
    seller = ledger.seller(connection, score.seller_id)
    envelope = {name: canonical_json(value) for name, value in json.loads(score.body).items()}
    content = answer.content(score.bundle, envelope, score.inputs)
    row = ledger.append(connection, seller, Draft(score.bank_id, answer.CARRIED, content, score.scored_at))
    place = (score.id, score.bank_id, row.header.position, seller.subject)
    repository.add(connection, [Indexed(*place, score.purpose, score.scored_at, score.bundle, None)])


def test_a_score_comes_back_as_it_was_stored(database: str) -> None:
    engine, ledger = open_database(database), Ledger(MASTER)
    with transaction(engine, writes=True) as connection:
        _store(connection, ledger, SCORE)
    with transaction(engine) as connection:
        assert stored.find(connection, ledger, SCORE.bank_id, SCORE.id) == SCORE
        assert stored.find(connection, ledger, SCORE.bank_id, "another") is None
        assert stored.find(connection, ledger, "bank-another", SCORE.id) is None
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


def test_a_service_waits_while_another_changes_a_new_file(tmp_path: Path) -> None:
    file = tmp_path / "scores.db"
    holder = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    holder.execute("CREATE TABLE held (id INTEGER)")
    holder.execute("BEGIN IMMEDIATE")
    with ThreadPoolExecutor(1) as pool:
        opened = pool.submit(open_database, f"sqlite:///{file}")
        with pytest.raises(TimeoutError):
            opened.result(timeout=0.5)
        holder.execute("COMMIT")
        opened.result(timeout=30).dispose()
    holder.close()


def test_a_transaction_that_fails_stores_nothing(database: str) -> None:
    engine, ledger = open_database(database), Ledger(MASTER)
    with pytest.raises(DatabaseUnavailable), transaction(engine) as connection:  # noqa: PT012 - the second one fails
        _store(connection, ledger, SCORE)
        connection.execute(text("SELECT no_such_column FROM scores"))
    with transaction(engine) as connection:
        assert stored.find(connection, ledger, SCORE.bank_id, SCORE.id) is None
        assert tips(connection) == {}
    engine.dispose()


def test_models_and_migrations_agree(database: str) -> None:
    engine = open_database(database)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


def test_scores_from_before_are_carried_into_their_banks_chains_and_back(database: str) -> None:
    engine, ledger, given = _at(database, "0003"), Ledger(MASTER), [_score(number) for number in range(5)]
    shadow = ShadowScore(SCORE.id, "sha256:rival", Numbers("scored", 611, "B", 0.02))
    with transaction(engine) as connection:
        for score in reversed(given):
            _store_before(connection, score)
        shadows.add(connection, [shadow])
    for _ in range(2):
        migrate(engine, master=lambda: MASTER)
        with transaction(engine) as connection:
            assert list(stored.every(connection, ledger)) == given
            assert stored.find(connection, ledger, SCORE.bank_id, SCORE.id) == SCORE
            assert list(shadows.every(connection)) == [shadow]
            assert {name: tip.position for name, tip in tips(connection).items()} == {"bank-0": 3, "bank-1": 2}
            assert [verify(each, rows_of(connection, each), tip) for each, tip in tips(connection).items()] == [[], []]
            assert connection.execute(text("SELECT count(*) FROM seller_keys")).scalar_one() == 3
        migrate(engine, "0003", lambda: MASTER)
        with transaction(engine) as connection:
            wanted = text("SELECT id, bank_id, seller_id, body, inputs FROM scores ORDER BY scored_at")
            found = [tuple(row) for row in connection.execute(wanted)]
        assert found == [(each.id, each.bank_id, each.seller_id, each.body, each.inputs) for each in given]
        assert "ledger" not in inspect(engine).get_table_names()
    engine.dispose()


def test_scores_from_before_banks_are_kept_and_no_banks(database: str) -> None:
    engine, ledger = _at(database, "0002"), Ledger(MASTER)
    shadow = ShadowScore(SCORE.id, "sha256:rival", Numbers("scored", 611, "B", 0.02))
    bank = access.Client("bank-0123456789abcdef", Kind.BANK, "Bank", MOMENT, None)
    with transaction(engine) as connection:
        _store_before(connection, SCORE)
        shadows.add(connection, [shadow])
    for _ in range(2):
        migrate(engine, master=lambda: MASTER)
        with transaction(engine) as connection:
            assert list(stored.every(connection, ledger)) == [replace(SCORE, bank_id="before-banks")]
            assert list(tips(connection)) == ["before-banks"]
            assert access.find(connection, bank.id) is None
            access.add(connection, bank)
            access.add_secret(connection, bank.id, name="one", hashed="$", now=MOMENT)
            assert access.use_assertion(connection, bank.id, "1", until=MOMENT, now=MOMENT - timedelta(days=1))
        migrate(engine, "0002", lambda: MASTER)
        with transaction(engine) as connection:
            assert connection.execute(text("SELECT body FROM scores")).scalar_one() == SCORE.body
            assert connection.execute(text("SELECT score_id FROM shadow_scores")).scalar_one() == SCORE.id
        assert set(inspect(engine).get_table_names()) == {"alembic_version", "scores", "shadow_scores"}
    engine.dispose()


def test_scores_are_not_carried_without_the_key(database: str) -> None:
    engine = _at(database, "0002")
    with transaction(engine) as connection:
        _store_before(connection, SCORE)
    with pytest.raises(DatabaseSetupError, match="needs the key of the ledger"):
        migrate(engine)
    with transaction(engine) as connection:
        assert connection.execute(text("SELECT body FROM scores")).scalar_one() == SCORE.body
    engine.dispose()


def test_the_newest_schema_keeps_its_rows_and_the_base_has_none(database: str) -> None:
    engine, ledger = open_database(database), Ledger(MASTER)
    with transaction(engine, writes=True) as connection:
        _store(connection, ledger, SCORE)
    migrate(engine)
    with transaction(engine) as connection:
        assert stored.find(connection, ledger, SCORE.bank_id, SCORE.id) == SCORE
    migrate(engine, "base", lambda: MASTER)
    assert inspect(engine).get_table_names() == ["alembic_version"]
    migrate(engine)
    with transaction(engine) as connection:
        assert stored.find(connection, ledger, SCORE.bank_id, SCORE.id) is None
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
        connection.execute(text("DROP TABLE seller_keys"))
    with pytest.raises(DatabaseUnavailable) as caught, transaction(engine) as connection:
        _store(connection, Ledger(MASTER), SCORE)
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


def test_who_waits_too_long_for_the_one_writer_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = open_database(f"sqlite:///{tmp_path}/scores.db")
    monkeypatch.setattr("api.durability._TURN_SECONDS", 0.1)
    with ThreadPoolExecutor(1) as pool, transaction(engine, writes=True):

        def write() -> None:
            with transaction(engine, writes=True):
                raise AssertionError("the place was taken")

        with pytest.raises(DatabaseUnavailable):
            pool.submit(write).result(20)
    with transaction(engine, writes=True):
        pass
    engine.dispose()

"""The database: durable commits, a schema that equals the metadata, and errors in one sentence."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, Engine, create_engine, inspect, text
from sqlalchemy.engine import make_url

from api.auth.signing_keys import KeyRing
from api.errors import DatabaseSetupError, DatabaseUnavailable
from api.kit.database import metadata, open_database, transaction
from api.ledger.chain import EntryKind
from api.ledger.store import EntryDraft, Ledger, tips
from api.scores import envelope as answer
from api.scores import repository
from api.scores import repository as stored
from api.scores.repository import ScoreIndexEntry, StoredScore
from scoring.canonical import canonical_json
from tests.api.postgres import fresh_database

pytestmark = pytest.mark.databases

MASTER = bytes(range(32))
MOMENT = datetime(2026, 2, 1, 9, 30, 0, 123456, tzinfo=UTC)

BANK = "bank-1"
SELLER = "卖家-1"
SCORE_ID = "0b8f3f0e-2f0c-4e0b-9d3c-8a2b6a1f7c01"


@pytest.fixture
def database(empty_database: str) -> str:
    """The address of a database without tables, of each kind in turn."""
    return empty_database


def _connected(database: str) -> Engine:
    """Connect to a database that has no tables, and create none."""
    url = make_url(database)
    if url.drivername == "postgresql":
        return create_engine(url.set(drivername="postgresql+psycopg"))
    Path(str(url.database)).parent.mkdir(parents=True, exist_ok=True)
    return create_engine(url)


@pytest.fixture(scope="module")
def ring(tmp_path_factory: pytest.TempPathFactory) -> KeyRing:
    return KeyRing.open(tmp_path_factory.mktemp("keys"))


def _store(connection: Connection, ledger: Ledger, ring: KeyRing) -> StoredScore:
    """Store a score as the service does, and return it."""
    seller = ledger.seller(connection, SELLER)
    envelope = {"id": canonical_json(SCORE_ID), "assessment": canonical_json({"score": 601})}
    inputs, bundle = canonical_json({"seller_id": SELLER, "values": [0.1, None]}), "sha256:" + "b" * 64
    row = ledger.append(
        connection, seller, EntryDraft(BANK, EntryKind.SCORE, answer.content(bundle, envelope, inputs), MOMENT)
    )
    body, receipt = answer.signed_response(envelope, row, ring)
    sealed = answer.seal_receipt(seller.key, SCORE_ID, receipt)
    place = (SCORE_ID, BANK, row.header.position, seller.subject)
    repository.insert_scores(connection, [ScoreIndexEntry(*place, "credit_application", MOMENT, bundle, sealed)])
    return StoredScore(SCORE_ID, BANK, SELLER, "credit_application", MOMENT, bundle, inputs, body)


def test_a_score_comes_back_as_it_was_stored(database: str, ring: KeyRing) -> None:
    engine, ledger = open_database(database), Ledger(MASTER)
    with transaction(engine, writes=True) as connection:
        score = _store(connection, ledger, ring)
    with transaction(engine) as connection:
        assert stored.find_score(connection, ledger, BANK, SCORE_ID) == score
        assert stored.find_score(connection, ledger, BANK, "another") is None
        assert stored.find_score(connection, ledger, "bank-another", SCORE_ID) is None
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
        with pytest.raises(DatabaseSetupError, match=r"'synchronous_commit': 'off'.*power cut"):
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


def test_a_transaction_that_fails_stores_nothing(database: str, ring: KeyRing) -> None:
    engine, ledger = open_database(database), Ledger(MASTER)
    with pytest.raises(DatabaseUnavailable), transaction(engine) as connection:  # noqa: PT012 - the second one fails
        _store(connection, ledger, ring)
        connection.execute(text("SELECT no_such_column FROM scores"))
    with transaction(engine) as connection:
        assert stored.find_score(connection, ledger, BANK, SCORE_ID) is None
        assert tips(connection) == {}
    engine.dispose()


def test_the_migrated_schema_equals_the_metadata(database: str) -> None:
    engine = open_database(database)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


def test_opening_the_database_again_keeps_its_rows(database: str, ring: KeyRing) -> None:
    engine, ledger = open_database(database), Ledger(MASTER)
    with transaction(engine, writes=True) as connection:
        score = _store(connection, ledger, ring)
    engine.dispose()
    engine = open_database(database)
    with transaction(engine) as connection:
        assert stored.find_score(connection, ledger, BANK, SCORE_ID) == score
    engine.dispose()


def test_a_migration_that_fails_leaves_the_schema_as_it_was(database: str) -> None:
    engine = _connected(database)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE scores (id TEXT)"))
    with pytest.raises(DatabaseSetupError, match="already exists"):
        open_database(database)
    assert inspect(engine).get_table_names() == ["scores"]
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE scores"))
    open_database(database).dispose()
    assert {*metadata.tables, "alembic_version"} == set(inspect(engine).get_table_names())
    engine.dispose()


def test_a_database_of_another_revision_is_refused(database: str) -> None:
    engine = open_database(database)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0008'"))
    engine.dispose()
    with pytest.raises(DatabaseSetupError, match=r"cannot be opened \(.*'0008'\)"):
        open_database(database)


def test_errors_hold_no_parameters(database: str, ring: KeyRing) -> None:
    engine = open_database(database)
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE seller_keys"))
    with pytest.raises(DatabaseUnavailable) as caught, transaction(engine) as connection:
        _store(connection, Ledger(MASTER), ring)
    assert SELLER not in f"{caught.value} {caught.value.__cause__}"
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
    monkeypatch.setattr("api.kit.database._TURN_SECONDS", 0.1)
    with ThreadPoolExecutor(1) as pool, transaction(engine, writes=True):

        def write() -> None:
            with transaction(engine, writes=True):
                raise AssertionError("the place was taken")

        with pytest.raises(DatabaseUnavailable):
            pool.submit(write).result(20)
    with transaction(engine, writes=True):
        pass
    engine.dispose()

"""The database: durable commits, a schema that equals the metadata, and errors in one sentence."""

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection, Engine, create_engine, inspect, text
from sqlalchemy.engine import make_url

from api.auth.signing_keys import KeyRing
from api.errors import DatabaseSetupError, DatabaseUnavailable
from api.kit.database import metadata, open_database, scrub_deleted, transaction
from api.ledger.chain import EntryKind
from api.ledger.master_key import MasterKeys
from api.ledger.store import EntryDraft, Ledger, tips
from api.scores import envelope, repository
from api.scores.repository import ScoreIndexEntry, StoredScore
from scoring.canonical import canonical_json
from tests.api.postgres import fresh_database

pytestmark = pytest.mark.databases

NOW = datetime(2026, 2, 1, 9, 30, 0, 123456, tzinfo=UTC)
BANK = "bank-1"
SELLER = "卖家-1"
SCORE_ID = "0b8f3f0e-2f0c-4e0b-9d3c-8a2b6a1f7c01"
LEDGER = Ledger(MasterKeys((bytes(range(32)),)))


@pytest.fixture
def engine(empty_database: str) -> Iterator[Engine]:
    """A new database of each kind in turn."""
    engine = open_database(empty_database)
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def ring(tmp_path_factory: pytest.TempPathFactory) -> KeyRing:
    return KeyRing.open(tmp_path_factory.mktemp("keys"))


def store(connection: Connection, ring: KeyRing) -> StoredScore:
    """Store a score as the service does, and return it."""
    seller = LEDGER.seller(connection, SELLER)
    fields = {"id": canonical_json(SCORE_ID), "assessment": canonical_json({"score": 601})}
    inputs, bundle = canonical_json({"seller_id": SELLER, "values": [0.1, None]}), "sha256:" + "b" * 64
    draft = EntryDraft(BANK, EntryKind.SCORE, envelope.content(bundle, fields, inputs), NOW)
    row = LEDGER.append(connection, seller, draft)
    body, receipt = envelope.signed_response(fields, row, ring)
    sealed = envelope.seal_receipt(seller.key, SCORE_ID, receipt)
    position = (SCORE_ID, BANK, row.header.position, seller.subject)
    repository.insert_scores(connection, [ScoreIndexEntry(*position, "credit_application", NOW, bundle, sealed)])
    return StoredScore(SCORE_ID, BANK, SELLER, "credit_application", NOW, bundle, inputs, body)


def test_a_score_is_read_as_it_was_stored_also_after_a_restart(empty_database: str, ring: KeyRing) -> None:
    engine = open_database(empty_database)
    with transaction(engine, writes=True) as connection:
        score = store(connection, ring)
    engine.dispose()
    engine = open_database(empty_database)
    with transaction(engine) as connection:
        assert repository.find_score(connection, LEDGER, BANK, SCORE_ID) == score
        assert repository.find_score(connection, LEDGER, BANK, "another") is None
        assert repository.find_score(connection, LEDGER, "bank-another", SCORE_ID) is None
    engine.dispose()


def test_a_failed_transaction_stores_nothing(engine: Engine, ring: KeyRing) -> None:
    with pytest.raises(DatabaseUnavailable), transaction(engine) as connection:  # noqa: PT012 - the second one fails
        store(connection, ring)
        connection.execute(text("SELECT no_such_column FROM scores"))
    with transaction(engine) as connection:
        assert repository.find_score(connection, LEDGER, BANK, SCORE_ID) is None
        assert tips(connection) == {}


def test_errors_do_not_repeat_parameters(engine: Engine, ring: KeyRing) -> None:
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE seller_keys"))
    with pytest.raises(DatabaseUnavailable) as caught, transaction(engine) as connection:
        store(connection, ring)
    assert SELLER not in f"{caught.value} {caught.value.__cause__}"


def test_commits_are_durable(engine: Engine) -> None:
    statement, expected = {
        "sqlite": ("PRAGMA", {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "secure_delete": 1}),
        "postgresql": ("SHOW", {"synchronous_commit": "on", "fsync": "on", "full_page_writes": "on"}),
    }[engine.dialect.name]
    with engine.connect() as connection:
        assert {name: connection.execute(text(f"{statement} {name}")).scalar_one() for name in expected} == expected


def test_a_server_without_durable_commits_is_rejected(postgres: str) -> None:
    with fresh_database(postgres) as address, psycopg.connect(address, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {connection.info.dbname} SET synchronous_commit = off")
        with pytest.raises(DatabaseSetupError, match=r"'synchronous_commit': 'off'.*power cut"):
            open_database(address)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("sqlite:///:memory:", "on a local disk"),
        ("sqlite:///", "on a local disk"),
        ("sqlite:///{folder}/not-a-database", "cannot be opened"),
        ("sqlite:///{folder}/not-a-database/scores.db", r"cannot be opened .*SELLERSCORE_DATABASE_URL"),
        ("postgresql://scores:hunter2@/scores?host={folder}", "cannot be opened"),
    ],
)
def test_a_database_that_cannot_be_used_is_rejected_in_one_sentence(tmp_path: Path, url: str, message: str) -> None:
    (tmp_path / "not-a-database").write_bytes(b"no database at all" * 100)
    with pytest.raises(DatabaseSetupError, match=message) as caught:
        open_database(url.format(folder=tmp_path))
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_migrated_schema_equals_the_metadata(engine: Engine) -> None:
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def without_migration(address: str) -> Engine:
    """Return an engine of a database without tables."""
    url = make_url(address)
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    else:
        Path(str(url.database)).parent.mkdir(parents=True, exist_ok=True)
    return create_engine(url)


def test_services_that_start_at_once_migrate_once(empty_database: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        engines = list(pool.map(open_database, [empty_database] * 4))
    for engine in engines:
        with engine.connect() as connection:
            assert len(connection.execute(text("SELECT version_num FROM alembic_version")).all()) == 1
        engine.dispose()


def test_a_failed_migration_leaves_the_schema_unchanged(empty_database: str) -> None:
    engine = without_migration(empty_database)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE scores (id TEXT)"))
    with pytest.raises(DatabaseSetupError, match="already exists"):
        open_database(empty_database)
    assert inspect(engine).get_table_names() == ["scores"]
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE scores"))
    open_database(empty_database).dispose()
    assert {*metadata.tables, "alembic_version"} == set(inspect(engine).get_table_names())
    engine.dispose()


def test_sessions_without_a_mac_end_with_the_migration(empty_database: str) -> None:
    engine = without_migration(empty_database)
    with engine.begin() as connection:
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", "api:migrations")
        command.upgrade(config, "0003")
        for table, time in (("sessions", "last_used_at"), ("login_links", "expires_at")):
            names = f"digest, kind, subject, created_at, {time}, created_by"
            values = "'d', 'seller', 'S-1', '2026-02-01 09:30:00', '2026-02-01 09:30:00', 'tests'"
            connection.execute(text(f"INSERT INTO {table} ({names}) VALUES ({values})"))
    open_database(empty_database).dispose()
    with engine.connect() as connection:
        assert connection.execute(text("SELECT mac FROM sessions")).all() == []
        assert connection.execute(text("SELECT mac FROM login_links")).all() == []
    engine.dispose()


def test_a_database_of_another_revision_is_rejected(engine: Engine, empty_database: str) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'ffff'"))
    with pytest.raises(DatabaseSetupError, match=r"cannot be opened \(.*'ffff'\)"):
        open_database(empty_database)


def test_a_start_waits_while_another_process_writes_a_new_file(tmp_path: Path) -> None:
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


def test_a_writer_that_waits_too_long_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = open_database(f"sqlite:///{tmp_path}/scores.db")
    monkeypatch.setattr("api.kit.database._TURN_SECONDS", 0.1)

    def write() -> None:
        with transaction(engine, writes=True):
            pass

    with ThreadPoolExecutor(1) as pool, transaction(engine, writes=True), pytest.raises(DatabaseUnavailable):
        pool.submit(write).result(20)
    write()
    engine.dispose()


def test_a_failure_to_overwrite_deleted_rows_is_reported(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise engine.dialect.loaded_dbapi.OperationalError("disk I/O error")

    with monkeypatch.context() as patch:
        patch.setattr(engine, "raw_connection", fail)
        with pytest.raises(DatabaseUnavailable, match="could not be removed from the database files"):
            scrub_deleted(engine, "ledger")
    scrub_deleted(engine, "ledger")

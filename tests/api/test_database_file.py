"""The database's file is moved away, deleted or replaced under the service: nothing is acknowledged that is lost."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.engine import make_url

from api.database import open_database, transaction
from api.errors import DatabaseUnavailable
from api.ledger.verification import verify
from api.scores.index_check import IndexCheck
from api.settings import Settings
from tests.api.conftest import SELLERS, Opener

if TYPE_CHECKING:
    import httpx
    from starlette.testclient import TestClient

SUFFIXES = ("", "-wal", "-shm")


def file_of(settings: Settings) -> Path:
    return Path(make_url(settings.database_url).database or "")


def ask(client: TestClient, number: int) -> httpx.Response:
    return client.post("/v1/scores", json={"seller_id": SELLERS[number], "purpose": "credit_application"})


def given(client: TestClient, *numbers: int) -> dict[str, bytes]:
    answers = [ask(client, number) for number in numbers]
    assert {each.status_code for each in answers} == {201}
    return {each.headers["Location"]: each.content for each in answers}


def refused(answer: httpx.Response) -> None:
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/database-unavailable"), answer.text
    assert int(answer.headers["Retry-After"]) > 0


def whole(client: TestClient, answers: dict[str, bytes]) -> None:
    """Hold the ledger against itself, and what was answered against what is read."""
    services = client.app.state.services
    assert verify(services.engine, services.ledger, [IndexCheck(services.receipts.jwks)]).faults == ()
    assert {place: client.get(place).content for place in answers} == answers


@pytest.mark.parametrize("moved", [SUFFIXES[:1], SUFFIXES], ids=["file", "with its log"])
def test_service_resumes_when_the_file_is_back(
    settings: Settings, open_client: Opener, tmp_path: Path, moved: tuple[str, ...]
) -> None:
    with open_client(settings) as client:
        answers, file = given(client, 0, 1), file_of(settings)
        for round_number in (2, 4):
            for suffix in moved:
                file.with_name(file.name + suffix).rename(tmp_path / f"away{suffix}")
            for number in range(8):
                refused(ask(client, number))
            refused(client.get(next(iter(answers))))
            assert "database:" in client.get("/health/ready").json()["detail"]
            assert not file.exists(), "no empty database takes its place"
            for suffix in moved:
                away = tmp_path / f"away{suffix}"
                if away.exists():
                    away.rename(file.with_name(file.name + suffix))
            answers |= given(client, round_number, round_number + 1)
            assert client.get("/health/ready").status_code == 200
        whole(client, answers)
        assert len(client.get("/v1/scores").json()["items"]) == len(answers), "what was refused is not there"
    with open_client(settings) as client:
        whole(client, answers)


def test_a_copy_in_its_place_is_taken_up_whole(settings: Settings, open_client: Opener, tmp_path: Path) -> None:
    with open_client(settings) as client:
        answers, file = given(client, 0, 1), file_of(settings)
        before, copy = sqlite3.connect(file), sqlite3.connect(tmp_path / "copy")
        before.backup(copy)
        before.close()
        copy.close()
        for suffix in SUFFIXES:
            file.with_name(file.name + suffix).unlink()
        refused(ask(client, 2))
        shutil.move(tmp_path / "copy", file)
        answers |= given(client, 2, 3)
        whole(client, answers)
    with open_client(settings) as client:
        whole(client, answers)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = open_database(f"sqlite:///{tmp_path}/100% of?it/scores.db")
    with transaction(made, writes=True) as connection:
        connection.execute(text("CREATE TABLE told (number INTEGER)"))
    yield made
    made.dispose()


def tell(engine: Engine, number: int) -> None:
    with transaction(engine, writes=True) as connection:
        connection.execute(text(f"INSERT INTO told VALUES ({number})"))


def told(engine: Engine) -> list[int]:
    with transaction(engine) as connection:
        return list(connection.execute(text("SELECT number FROM told ORDER BY 1")).scalars())


def test_what_was_moved_away_in_the_middle_is_not_acknowledged(engine: Engine, tmp_path: Path) -> None:
    file = Path(engine.url.database or "")
    with pytest.raises(DatabaseUnavailable), transaction(engine, writes=True) as connection:  # noqa: PT012
        connection.execute(text("INSERT INTO told VALUES (1)"))
        file.rename(tmp_path / "away")
    with pytest.raises(DatabaseUnavailable):
        tell(engine, 2)
    (tmp_path / "away").rename(file)
    tell(engine, 3)
    assert told(engine) == [1, 3], "the first was stored where it was, and nobody was told that it was"


def test_another_file_waits_until_the_former_is_let_go(engine: Engine, tmp_path: Path) -> None:
    file = Path(engine.url.database or "")
    tell(engine, 1)
    raw, copy = engine.raw_connection(), sqlite3.connect(tmp_path / "copy")
    raw.driver_connection.backup(copy)  # type: ignore[union-attr]
    copy.close()
    reading = engine.connect()
    assert reading.execute(text("SELECT count(*) FROM told")).scalar_one() == 1
    raw.close()
    for suffix in SUFFIXES:
        os.replace(file.with_name(file.name + suffix), tmp_path / f"away{suffix}")  # noqa: PTH105
    shutil.move(tmp_path / "copy", file)
    for _ in range(8):
        with pytest.raises(DatabaseUnavailable):
            tell(engine, 2)
    reading.close()
    for _ in range(5):  # the pool lets go of one idle connection a try
        with suppress(DatabaseUnavailable):
            tell(engine, 3)
            break
    assert told(engine) == [1, 3]
    with sqlite3.connect(file) as alone:
        assert [number for (number,) in alone.execute("SELECT number FROM told ORDER BY 1")] == [1, 3]
    alone.close()

"""Readiness: the service is not ready while it cannot store a score."""

from __future__ import annotations

import resource
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
import time_machine
from sqlalchemy import Engine, event, make_url
from sqlalchemy.engine import Connection

from api.kit import write_check
from api.kit.clock_watch import watch
from tests.api.conftest import NOW, SELLERS

if TYPE_CHECKING:
    from starlette.testclient import TestClient

BODY = {"seller_id": SELLERS[0], "purpose": "credit_application"}


@contextmanager
def locked(engine: Engine) -> Iterator[None]:
    """Hold the write lock, as another program does."""
    with closing(sqlite3.connect(str(make_url(engine.url).database))) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield


@contextmanager
def full(_: Engine) -> Iterator[None]:
    """Let no file of this process grow, as on a full disk."""
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))


@contextmanager
def read_only(engine: Engine) -> Iterator[None]:
    def restrict(connection: Connection) -> None:
        connection.exec_driver_sql("PRAGMA query_only = 1")

    def permit(connection: Connection) -> None:
        connection.exec_driver_sql("PRAGMA query_only = 0")

    event.listen(engine, "begin", restrict)
    try:
        yield
    finally:
        event.remove(engine, "begin", restrict)
        event.listen(engine, "begin", permit)


@pytest.mark.parametrize("broken", [locked, full, read_only])
def test_a_service_that_cannot_store_a_score_is_not_ready(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, broken: Callable[[Engine], AbstractContextManager[None]]
) -> None:
    monkeypatch.setattr(write_check, "_INTERVAL_SECONDS", 0)
    assert client.get("/health/ready").status_code == 200
    with broken(client.app.state.services.engine):
        started = time.monotonic()
        response = client.get("/health/ready")
        assert time.monotonic() - started < 4
    assert response.status_code == 503
    assert response.json()["detail"].startswith("database: nothing can be stored.")
    deadline = time.monotonic() + 10
    while client.get("/health/ready").status_code != 200:
        assert time.monotonic() < deadline
    assert client.post("/v1/scores", json=BODY).status_code == 201


def test_the_database_is_written_at_most_once_per_interval(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    check, commits = client.app.state.services.write_check, list[int]()
    monkeypatch.setattr(check, "_commit", lambda: commits.append(1) or True)
    monkeypatch.setattr(check, "_write", None)
    assert [client.get("/health/ready").status_code for _ in range(20)] == [200] * 20
    assert len(commits) == 1


def test_a_service_whose_clock_was_set_forward_stores_nothing(client: TestClient) -> None:
    with watch.running():
        assert client.post("/v1/scores", json=BODY).status_code == 201
        with time_machine.travel(datetime.now(UTC) + timedelta(minutes=2), tick=True):
            response = client.post("/v1/scores", json=BODY)
            assert (response.status_code, response.json()["type"]) == (503, "/problems/clock-set-forward")
            ready = client.get("/health/ready")
            assert ready.status_code == 503
            assert "clock: it was set forward by 120 seconds" in ready.json()["detail"]
        assert client.get("/health/ready").status_code == 200
        assert client.post("/v1/scores", json=BODY).status_code == 201
    with time_machine.travel(datetime.now(UTC) + timedelta(minutes=2), tick=True):
        assert client.post("/v1/scores", json=BODY).status_code == 201, "a new start takes the time as right"


def test_small_corrections_of_the_clock_and_a_return_are_no_steps() -> None:
    now = datetime.now(UTC)
    with watch.running():
        for seconds in (50, 100, -3_600, 100, 150):
            with time_machine.travel(now + timedelta(seconds=seconds), tick=True):
                assert watch.step() == 0.0
        with time_machine.travel(now + timedelta(seconds=300), tick=True):
            assert watch.step() > 60


def test_a_service_whose_clock_is_behind_the_ledger_is_not_ready(client: TestClient) -> None:
    assert client.post("/v1/scores", json=BODY).status_code == 201
    with time_machine.travel(NOW - timedelta(hours=1)):
        response = client.get("/health/ready")
        assert response.status_code == 503
        assert "clock: 2026-02-01T08:00:00" in response.json()["detail"]
        assert "Set the clock" in response.json()["detail"]
    assert client.get("/health/ready").status_code == 200

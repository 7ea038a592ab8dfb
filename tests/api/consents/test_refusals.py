"""A call about a seller without a consent does the same work, whatever the seller has agreed with other banks."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Engine, event

from api.kit.database import has_single_writer, transaction
from tests.api.conftest import SELLERS
from tests.api.consents.conftest import OTHER, Desk

pytestmark = pytest.mark.databases

REPEATING_TASKS = ("rate limits", "reloader", "local checkpoints")

Executed = list[tuple[str, Any]]
"""Statements with their parameters."""


@contextmanager
def recorded(engine: Engine) -> Iterator[Executed]:
    """Record what the block executes, without the statements of the service's repeating tasks."""
    executed: Executed = []

    def record(*values: Any) -> None:
        if threading.current_thread().name not in REPEATING_TASKS:
            executed.append((values[2], values[3]))

    event.listen(engine, "before_cursor_execute", record)
    try:
        yield executed
    finally:
        event.remove(engine, "before_cursor_execute", record)


def refuse(desk: Desk, seller_id: str) -> Executed:
    """Send the calls about a seller who gave the bank no consent; return what they run."""
    executed: Executed = []
    score = {"json": {"seller_id": seller_id, "purpose": "credit_application"}}
    for method, path, fields in (
        ("POST", "/v1/scores", score),
        ("POST", "/v1/scores", score | {"key": "unused"}),
        ("GET", f"/v1/sellers/{seller_id}/profile", {}),
        ("GET", "/v1/scores", {"params": {"seller_id": seller_id}}),
        ("GET", "/v1/consents", {"params": {"seller_id": seller_id}}),
    ):
        with recorded(desk.services.engine) as statements:
            response = desk.call(desk.bank, method, path, **fields)
        is_list = "params" in fields
        assert response.status_code == (200 if is_list else 403)
        assert response.json().get("items", []) == []
        executed += statements
    return executed


def test_a_refusal_runs_the_same_statements_for_every_seller(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the statements nor their rows depend on other banks: the duration of a refusal must not show them."""
    elsewhere, unknown = SELLERS[10], "S-nobody"
    for purpose in ("credit_application", OTHER):
        assert desk.grant(elsewhere, bank_id=desk.second.id, purpose=purpose).status_code == 201
    assert desk.score(elsewhere, bank=desk.second).status_code == 201
    refuse(desk, "S-first")  # creates the chain of the bank
    unwrapped: list[object] = []
    monkeypatch.setattr("api.ledger.encryption.unwrap", lambda *values: unwrapped.append(values))
    runs = [
        [(statement, repr(values).replace(seller, "<seller>")) for statement, values in refuse(desk, seller)]
        for seller in (elsewhere, unknown, elsewhere, SELLERS[11])
    ]
    assert all(run == runs[0] for run in runs)
    assert not any("seller_keys" in statement and "<seller>" in values for statement, values in runs[0])
    assert unwrapped == [], "no key of a seller is used"


def test_the_statements_of_a_refusal_find_rows_of_the_own_bank_only(desk: Desk) -> None:
    engine = desk.services.engine
    if not has_single_writer(engine):
        pytest.skip("the plan of PostgreSQL depends on the number of rows")
    named = [(text, values) for text, values in refuse(desk, SELLERS[12]) if SELLERS[12] in repr(values)]
    assert named
    with transaction(engine) as connection:
        for text, values in named:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", values)
            (search,) = (row.detail for row in plan if "consents" in row.detail)
            assert search.startswith("SEARCH consents USING")
            assert "bank_id=?" in search

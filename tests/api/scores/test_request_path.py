"""The code of one `POST /v1/scores`: few modules decide about a score or change stored state."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

import httpx

from tests.api.conftest import SELLERS

if TYPE_CHECKING:
    from starlette.testclient import TestClient

MOST = 15
HELPERS = {
    "api.auth.clients": "holds the client that `api.clients.records` found",
    "api.auth.signing_keys": "signs and verifies bytes with a key",
    "api.kit.clock_watch": "compares two clocks; `api.ledger.store` refuses",
    "api.kit.database": "opens the transaction",
    "api.kit.fields": "formats times",
    "api.kit.middleware": "numbers, measures and parses every request in the same way",
    "api.kit.query": "checks the query of every call in the same way",
    "api.ledger.chain": "computes hashes",
    "api.ledger.master_key": "unwraps the key of a seller",
    "api.ledger.receipts": "joins and encodes bytes",
    "api.scores.envelope": "formats content and response",
    "api.services": "holds the services",
    "api.web.routing": "compares the path with those of the pages",
    "features.store": "reads the stored vector",
    "scoring": "the calculation of the pure function `assess`, which counts once",
}
"""Modules and packages that neither decide about a request nor change state; only `ENTRY` counts of `scoring`."""
ENTRY = "scoring.assess"


@contextmanager
def traced_modules() -> Iterator[set[str]]:
    """Yield the set of modules whose functions run in this thread, and in the threads that start in the block."""
    modules: set[str] = set()

    def record(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            modules.add(str(frame.f_globals.get("__name__")))

    before = sys.getprofile()
    threading.setprofile(record)
    sys.setprofile(record)
    try:
        yield modules
    finally:
        sys.setprofile(before)
        threading.setprofile(None)


async def _post_score(client: TestClient) -> httpx.Response:
    # in the event loop of this thread: the threads of the test client started before the block
    transport: Any = httpx.ASGITransport(client.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://service", headers=client.headers) as caller:
        body = {"seller_id": SELLERS[0], "purpose": "credit_application"}
        return await caller.post("/v1/scores", json=body, headers={"Idempotency-Key": "application-1"})


def test_at_most_fifteen_modules_decide_about_a_score_request_or_change_state(client: TestClient) -> None:
    with traced_modules() as modules:
        response = asyncio.run(_post_score(client))
    assert response.status_code == 201, response.text
    counted, helpers = set[str](), set[str]()
    for name in modules:
        helper = next((helper for helper in HELPERS if f"{name}.".startswith(f"{helper}.")), None)
        if helper is not None:
            helpers.add(helper)
        if name == ENTRY or (helper is None and name.startswith(("api.", "features.", "scoring."))):
            counted.add(name)
    assert helpers == set(HELPERS), "a module that no request runs needs no reason"
    assert {ENTRY, "api.scores.issuance"} < counted
    assert len(counted) <= MOST, sorted(counted)

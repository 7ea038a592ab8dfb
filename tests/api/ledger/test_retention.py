"""Contents past their time are gone, `verify` accepts exactly what was recorded of it, the chain stays whole."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from typer.testing import CliRunner

import api.ledger.store
from api.cli.main import app
from api.consents.ledger_entries import ConsentCheck
from api.errors import InputError
from api.kit.database import transaction
from api.kit.fields import Purpose
from api.ledger.chain import Header, Row, digest_of
from api.ledger.receipts import verify_receipt
from api.ledger.records import Positions, RemovalRecords, RetentionCutoff, drop_contents, to_ranges
from api.ledger.store import rows_of, tips
from api.ledger.verification import Report, verify
from api.operations.retention import drop_expired, erase_seller, retention_cutoff
from api.scores import issuance, repository, shadow
from api.scores.ledger_entries import ScoreIndexCheck
from api.scores.schemas import ScoreRequest
from api.scores.shadow import ShadowScore
from api.services import Services
from api.settings import Settings
from tests.api.conftest import NEWCOMER, SELLERS, Opener, bank_of
from tests.api.ledger.conftest import CHAINS, NOW, ROWS, Made
from tests.api.started import consent

if TYPE_CHECKING:
    from starlette.testclient import TestClient

THEN = datetime(2016, 1, 1, tzinfo=UTC)
CUT = THEN + timedelta(days=5)
OLD, YOUNG = (*SELLERS[:4], NEWCOMER), (SELLERS[0], SELLERS[7])
CONSENTS = 2 * len(OLD)
"""Rows of the chain before the first score."""


@pytest.fixture
def client(stored_in: Settings, open_client: Opener) -> Iterator[TestClient]:
    with open_client(stored_in, consenting=()) as opened:
        consent(opened.app.state.services, bank_of(opened), *OLD, acted=THEN, clock=lambda: THEN)
        yield opened


@pytest.fixture
def answers(client: TestClient) -> dict[str, list[bytes]]:
    """Five scores of ten years ago and two of today."""
    services, bank = client.app.state.services, bank_of(client)

    def made(seller: str, now: datetime) -> bytes:
        request = ScoreRequest(seller_id=seller, purpose=Purpose.CREDIT_APPLICATION)
        return bytes(asyncio.run(issuance.issue_score(services, bank, request, now=now)).score.body)

    old = [made(seller, THEN + timedelta(days=number)) for number, seller in enumerate(OLD)]
    consent(services, bank, *YOUNG)
    return {"old": old, "young": [made(seller, datetime.now(UTC)) for seller in YOUNG]}


def looked(services: Services, **given: Any) -> Report:
    return verify(services.engine, services.ledger, [ScoreIndexCheck(services.receipts.jwks), ConsentCheck()], **given)


def dropped(services: Services, before: datetime = CUT) -> dict[str, int]:
    return dict(drop_expired(services.engine, before=before, now=datetime.now(UTC)))


def read(client: TestClient, answer: bytes, after: str = "") -> Any:
    method = "POST" if after else "GET"
    return client.request(method, f"/v1/scores/{json.loads(answer)['id']}{after}")


@pytest.mark.databases
def test_what_is_past_its_time_cannot_be_read_and_all_else_stays(
    client: TestClient, answers: dict[str, list[bytes]]
) -> None:
    services, bank = client.app.state.services, bank_of(client)
    with transaction(services.engine) as connection:
        before, tip = list(rows_of(connection, bank)), tips(connection)
    assert dropped(services, before=THEN + timedelta(days=3)) == {bank: 3}
    for answer in answers["old"][:3]:
        for after in ("", "/replay"):
            gone = read(client, answer, after)
            assert (gone.status_code, gone.json()["type"]) == (410, "/problems/past-retention")
        assert verify_receipt(answer, services.receipts.jwks)
    for answer in (*answers["old"][3:], *answers["young"]):
        assert read(client, answer).content == answer
        assert read(client, answer, "/replay").json()["matches"] is True
    listed = client.get("/v1/scores", params={"limit": 200}).json()["items"]
    assert [each["state"] for each in listed] == ["readable"] * 4 + ["past_retention"] * 3
    report = looked(services, checkpoint=tip)
    assert (report.faults, report.retained, report.uncovered) == ((), 3, 1)
    with transaction(services.engine) as connection:
        after = list(rows_of(connection, bank))
        assert len(list(repository.iterate_scores(connection, services.ledger))) == 4
        left = connection.execute(text("SELECT count(*) FROM scores WHERE receipt IS NOT NULL")).scalar_one()
    assert left == 4
    assert [row.head for row in after[:-1]] == [row.head for row in before]
    gone = slice(CONSENTS, CONSENTS + 3)
    assert [row.sealed for row in after[gone]] == [digest_of(row.header, row.sealed) for row in before[gone]]
    assert after[gone.stop : -1] == before[gone.stop :]
    assert after[:CONSENTS] == before[:CONSENTS]
    assert after[-1].header.kind == "retention"


def test_what_challengers_said_goes_too(client: TestClient, answers: dict[str, list[bytes]]) -> None:
    services = client.app.state.services
    ids = [json.loads(answer)["id"] for answer in (*answers["old"], *answers["young"])]
    with transaction(services.engine) as connection:
        shadow.insert_shadow_scores(
            connection, [ShadowScore(each, "sha256:rival", "scored", 611, "B", 0.02) for each in ids]
        )
    dropped(services, before=THEN + timedelta(days=3))
    with transaction(services.engine) as connection:
        assert {each.score_id for each in shadow.iterate_shadow_scores(connection)} == set(ids[3:])


def test_twice_is_once_and_a_dry_run_is_nothing(client: TestClient, answers: dict[str, list[bytes]]) -> None:
    services, bank = client.app.state.services, bank_of(client)
    assert retention_cutoff(services.engine, CUT) == {bank: 5}
    assert read(client, answers["old"][0]).status_code == 200
    assert dropped(services) == {bank: 5}
    assert (retention_cutoff(services.engine, CUT), dropped(services)) == ({}, {})
    assert looked(services).rows == CONSENTS + len(OLD) + 2 * len(YOUNG) + len(YOUNG) + 1


def test_erasing_before_and_after_is_accepted_too(client: TestClient, answers: dict[str, list[bytes]]) -> None:
    services = client.app.state.services

    def forget(seller: str) -> None:
        erase_seller(
            services.engine,
            services.vectors,
            seller_id=seller,
            reason="asked",
            now=datetime.now(UTC),
        )

    forget(SELLERS[1])
    dropped(services)
    forget(SELLERS[0])
    report = looked(services)
    assert (report.faults, report.erased, report.retained) == ((), 9, 5)
    assert read(client, answers["old"][1]).json()["type"] == "/problems/erased"
    assert read(client, answers["old"][2]).json()["type"] == "/problems/past-retention"


@pytest.mark.databases
def test_stopped_in_the_middle_it_has_recorded_what_it_did_and_goes_on(
    client: TestClient, answers: dict[str, list[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    services, bank = client.app.state.services, bank_of(client)
    monkeypatch.setattr(api.ledger.records, "_DROP_LIMIT", 2)

    def stop(done: int) -> None:
        raise KeyboardInterrupt(done)

    with pytest.raises(KeyboardInterrupt):
        drop_expired(services.engine, before=CUT, now=datetime.now(UTC), advance=stop)
    assert (looked(services).faults, looked(services).retained) == ((), 2)
    assert read(client, answers["old"][2]).content == answers["old"][2]
    assert dropped(services) == {bank: 3}
    assert (looked(services).faults, looked(services).retained) == ((), 5)


@pytest.mark.databases
def test_scores_are_made_meanwhile(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    services, bank = client.app.state.services, bank_of(client)
    monkeypatch.setattr(api.ledger.records, "_DROP_LIMIT", 3)
    request = ScoreRequest(seller_id=SELLERS[0], purpose=Purpose.CREDIT_APPLICATION)
    for _ in range(40):
        asyncio.run(issuance.issue_score(services, bank, request, now=THEN))
    consent(services, bank, SELLERS[0])
    with ThreadPoolExecutor(4) as pool:
        made = [pool.submit(asyncio.run, issuance.issue_score(services, bank, request)) for _ in range(40)]
        both = [pool.submit(dropped, services) for _ in range(2)]
        assert sum(each.result().get(bank, 0) for each in both) == 40
        bodies = [each.result().score.body for each in made]
    report = looked(services)
    assert (report.faults, report.retained) == ((), 40)
    assert all(read(client, body).content == body for body in bodies)


def _drop(made: Made) -> None:
    with transaction(made.engine, writes=True) as connection:
        for chain in CHAINS:
            assert (
                len(
                    drop_contents(
                        connection, chain, RetentionCutoff(frozenset({"note"}), NOW + timedelta(seconds=4)), 0, NOW
                    )
                )
                == 4
            )


def _set(made: Made, row: Row, sealed: bytes) -> None:
    with transaction(made.engine, writes=True) as connection:
        connection.execute(
            text("UPDATE ledger SET sealed = :sealed WHERE chain = :chain AND position = :position"),
            {"sealed": sealed, "chain": row.header.chain, "position": row.header.position},
        )


def _faults(made: Made) -> set[tuple[str, int]]:
    return {(fault.chain, fault.position) for fault in made.verify().faults}


def test_a_content_that_went_without_a_record_is_found(filled: Made) -> None:
    row = filled.rows(CHAINS[1])[6]
    _set(filled, row, digest_of(row.header, row.sealed))
    assert _faults(filled) == {(CHAINS[1], 7)}
    assert "no retention of it is recorded" in filled.verify().faults[0].what


def test_a_content_that_is_back_is_found(filled: Made) -> None:
    row = filled.rows(CHAINS[0])[1]
    _drop(filled)
    assert filled.verify().faults == ()
    _set(filled, row, row.sealed)
    assert _faults(filled) == {(CHAINS[0], 2)}
    assert "the content is still stored" in filled.verify().faults[0].what


def test_a_digest_that_was_changed_is_found(filled: Made) -> None:
    _drop(filled)
    row = filled.rows(CHAINS[0])[1]
    for sealed in (bytes(32), row.sealed[:-1] + bytes([row.sealed[-1] ^ 1]), b"", row.sealed + b"x"):
        _set(filled, row, sealed)
        assert (CHAINS[0], 2) in _faults(filled)


def test_a_record_that_is_gone_or_changed_is_found_with_all_that_it_spoke_of(filled: Made) -> None:
    _drop(filled)
    record = filled.rows(CHAINS[0])[-1]
    assert record.header.kind == "retention"
    _set(filled, record, record.sealed.replace(b"[1,4]", b"[1,9]"))
    assert _faults(filled) == {(CHAINS[0], position) for position in (1, 2, 3, 4, ROWS + 2)}
    before = filled.rows(CHAINS[0])[-2]
    with transaction(filled.engine, writes=True) as connection:
        place = {"chain": CHAINS[0], "position": record.header.position}
        connection.execute(text("DELETE FROM ledger WHERE chain = :chain AND position = :position"), place)
        tip = {"chain": CHAINS[0], "position": before.header.position, "head": before.head}
        connection.execute(text("UPDATE chains SET position = :position, head = :head WHERE name = :chain"), tip)
    assert _faults(filled) == {(CHAINS[0], position) for position in (1, 2, 3, 4)}


@pytest.mark.parametrize(
    ("positions", "is_one"),
    [
        ("[[1,4],[6,6]]", True),
        ("[]", True),
        ("[[1,7]]", False),
        ("[[6,8]]", False),
        ("[[0,3]]", False),
        ("[[4,2]]", False),
        ("[[1]]", False),
        ("[1]", False),
        ("{}", True),
        ("null", False),
        ('[["a","b"]]', False),
    ],
)
def test_a_record_speaks_of_rows_before_it_alone(positions: str, is_one: bool) -> None:
    record = Row(Header("bank-b", 7, "retention", "", ""), b"", b"", b"")
    assert RemovalRecords.understands(record, f'{{"positions":{positions}}}'.encode()) is is_one
    assert not RemovalRecords.understands(record, b"[]")
    assert not RemovalRecords.understands(record, b"{")


@given(st.sets(st.integers(1, 60)))
def test_ranges_hold_what_they_are_made_of(positions: set[int]) -> None:
    found = to_ranges(sorted(positions))
    held = Positions(found)
    assert {each for each in range(70) if each in held} == positions
    assert all(one[1] + 1 < other[0] for one, other in pairwise(found))


@given(st.lists(st.tuples(st.integers(1, 60), st.integers(1, 60)).map(sorted).map(tuple)))
def test_ranges_may_overlap(found: list[tuple[int, int]]) -> None:
    held = Positions(found)
    assert all((each in held) is any(first <= each <= last for first, last in found) for each in range(70))


@pytest.fixture
def run(stored_in: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    monkeypatch.setenv("SELLERSCORE_HOME", str(stored_in.home))
    monkeypatch.setenv("SELLERSCORE_DATABASE_URL", stored_in.database_url)
    return lambda *given: CliRunner().invoke(app, ["ledger", *given], catch_exceptions=False)


def test_the_command_says_what_it_would_do_then_does_it(
    client: TestClient, answers: dict[str, list[bytes]], run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    bank = bank_of(client)
    dry = json.loads(run("retain", "--days", "3650", "--dry-run", "--output", "json").stdout)
    assert (dry["dry_run"], dry["rows"]) == (True, {bank: 5})
    assert read(client, answers["old"][0]).status_code == 200
    monkeypatch.setenv("SELLERSCORE_RETENTION_DAYS", "3650")
    done = run("retain").stdout
    assert f"{bank}: 5\n5 contents from before" in done
    assert "Backups" in done
    assert read(client, answers["old"][0]).status_code == 410
    assert run("verify").exit_code == 0
    assert "5 contents were deleted after the retention period and recorded." in run("verify").stdout
    assert "0 contents" in run("retain").stdout


def test_without_a_time_or_with_too_short_a_one_nothing_is_done(run: Callable[..., Any]) -> None:
    with pytest.raises(InputError, match="--days"):
        run("retain")
    with pytest.raises(InputError, match="must be at least 30 days"):
        run("retain", "--days", "29")
    assert run("retain", "--days", "0").exit_code == 2

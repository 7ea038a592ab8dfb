"""Retention: expired contents are gone, `verify` accepts exactly what is recorded, and the chain stays whole."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import OKPKey
from sqlalchemy import text
from typer.testing import CliRunner

import api.ledger.chain
import api.ledger.records
from api.auth.signing_keys import KeyRing, PublicKeys
from api.cli.main import app
from api.errors import InputError
from api.kit.database import transaction
from api.kit.fields import Purpose
from api.ledger.chain import Header, digest_of
from api.ledger.checks import Scope
from api.ledger.receipts import verify_receipt
from api.ledger.records import DroppedRange, RemovalRecords, drop_contents, parse_retention, to_ranges
from api.ledger.signed_entries import append_signed
from api.ledger.store import EntryDraft, append_plain, rows_of, tips
from api.operations.retention import drop_expired, retention_cutoff
from api.scores import issuance, repository, self_view, shadow
from api.scores.schemas import ScoreRequest
from api.scores.shadow import ShadowScore
from api.settings import Settings
from tests.api.conftest import NEWCOMER, SELLERS, Opener
from tests.api.ledger.conftest import CHAINS, LAST, LATER, NOW, ROWS, OpenLedger, positions
from tests.api.scores.conftest import Bank, assert_problem
from tests.api.started import RING, consent

THEN = datetime(2016, 1, 1, tzinfo=UTC)
CUTOFF = THEN + timedelta(days=5)
OLD, YOUNG = (*SELLERS[:4], NEWCOMER), (SELLERS[0], SELLERS[7])
CONSENTS = 2 * len(OLD)
"""Rows of the chain before the first score."""


@dataclass(frozen=True)
class LongTimeBank(Bank):
    """A bank with five scores of ten years ago and two of today, as bodies."""

    old: list[bytes] = field(default_factory=list)
    young: list[bytes] = field(default_factory=list)

    def issue(self, seller: str, now: datetime | None = None) -> bytes:
        request = ScoreRequest(seller_id=seller, purpose=Purpose.CREDIT_APPLICATION)
        return asyncio.run(issuance.issue_score(self.services, self.id, request, now=now)).score.body

    def read(self, body: bytes, after: str = "") -> Any:
        return self.client.request("POST" if after else "GET", f"/v1/scores/{json.loads(body)['id']}{after}")

    def drop(self, before: datetime = CUTOFF, **arguments: Any) -> dict[str, int]:
        return dict(
            drop_expired(
                self.services.engine, self.services.receipts, before=before, now=datetime.now(UTC), **arguments
            )
        )


@pytest.fixture
def bank(stored_in: Settings, open_client: Opener) -> Iterator[LongTimeBank]:
    with open_client(stored_in, consenting=()) as client:
        bank = LongTimeBank(client)
        consent(bank.services, bank.id, *OLD, acted=THEN, clock=lambda: THEN)
        bank.old.extend(bank.issue(seller, THEN + timedelta(days=number)) for number, seller in enumerate(OLD))
        consent(bank.services, bank.id, *YOUNG)
        bank.young.extend(map(bank.issue, YOUNG))
        yield bank


@pytest.mark.databases
def test_expired_contents_cannot_be_read_and_all_else_stays(bank: LongTimeBank) -> None:
    services = bank.services
    ids = [json.loads(body)["id"] for body in (*bank.old, *bank.young)]
    with transaction(services.engine) as connection:
        before, tip = list(rows_of(connection, bank.id)), tips(connection)
        shadow.insert_shadow_scores(
            connection, [ShadowScore(each, "sha256:rival", "scored", 611, "B", 0.02) for each in ids]
        )
    assert bank.drop(THEN + timedelta(days=3)) == {bank.id: 3}
    for body in bank.old[:3]:
        for after in ("", "/replay"):
            assert_problem(bank.read(body, after), 410, "past-retention")
        assert verify_receipt(body, services.receipts.jwks)
    for body in (*bank.old[3:], *bank.young):
        assert bank.read(body).content == body
        assert bank.read(body, "/replay").json()["matches"] is True
    items = bank.client.get("/v1/scores", params={"limit": 200}).json()["items"]
    assert [item["state"] for item in items] == ["readable"] * 4 + ["past_retention"] * 3
    report = bank.verify(scope=Scope(tip))
    assert (report.faults, report.retained, report.uncovered) == ((), 3, 1)
    with transaction(services.engine) as connection:
        after = list(rows_of(connection, bank.id))
        assert len(list(repository.iterate_scores(connection, services.ledger))) == 4
        receipts = connection.execute(text("SELECT count(*) FROM scores WHERE receipt IS NOT NULL")).scalar_one()
        assert receipts == 4
        assert {row.score_id for row in shadow.iterate_shadow_scores(connection)} == set(ids[3:])
    assert [row.head for row in after[:-1]] == [row.head for row in before]
    dropped = slice(CONSENTS, CONSENTS + 3)
    assert [row.sealed for row in after[dropped]] == [digest_of(row.header, row.sealed) for row in before[dropped]]
    assert after[: dropped.start] + after[dropped.stop : -1] == before[: dropped.start] + before[dropped.stop :]
    assert after[-1].header.kind == "retention"


def test_counting_drops_nothing_and_a_second_run_finds_nothing(bank: LongTimeBank) -> None:
    assert retention_cutoff(bank.services.engine, CUTOFF) == {bank.id: 5}
    assert bank.read(bank.old[0]).status_code == 200
    assert bank.drop() == {bank.id: 5}
    assert (retention_cutoff(bank.services.engine, CUTOFF), bank.drop()) == ({}, {})
    assert bank.verify().rows == CONSENTS + len(OLD) + 2 * len(YOUNG) + len(YOUNG) + 1 + 1


def test_erasures_before_and_after_are_accepted(bank: LongTimeBank) -> None:
    bank.erase(SELLERS[1])
    bank.drop()
    bank.erase(SELLERS[0])
    report = bank.verify()
    assert (report.faults, report.erased, report.retained) == ((), 9, 5)
    assert_problem(bank.read(bank.old[1]), 410, "erased")
    assert_problem(bank.read(bank.old[2]), 410, "past-retention")


def test_a_seller_whose_former_self_view_was_dropped_gets_a_new_one(bank: LongTimeBank) -> None:
    former = self_view.issue_self_view(bank.services, SELLERS[0], THEN)
    self_view._CACHE._values.clear()
    bank.drop()
    view = self_view.issue_self_view(bank.services, SELLERS[0], datetime.now(UTC))
    assert view.score.id != former.score.id
    assert view.previous is None


@pytest.mark.databases
def test_an_interrupted_run_has_recorded_its_drops_and_the_next_continues(
    bank: LongTimeBank, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api.ledger.records, "_DROP_LIMIT", 2)

    def interrupt(done: int) -> None:
        raise KeyboardInterrupt(done)

    with pytest.raises(KeyboardInterrupt):
        bank.drop(advance=interrupt)
    report = bank.verify()
    assert (report.faults, report.retained) == ((), 2)
    assert bank.read(bank.old[2]).content == bank.old[2]
    assert bank.drop() == {bank.id: 3}
    report = bank.verify()
    assert (report.faults, report.retained) == ((), 5)


@pytest.mark.databases
def test_scores_are_issued_while_contents_are_dropped(bank: LongTimeBank, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api.ledger.records, "_DROP_LIMIT", 3)
    old = len(bank.old) + 15
    monkeypatch.setattr(api.ledger.chain, "CLOCK_TOLERANCE", timedelta(days=20 * 365))
    for _ in range(15):
        # of a seller without a newer consent
        bank.issue(SELLERS[1], THEN)
    with ThreadPoolExecutor(4) as pool:
        issued = [pool.submit(bank.issue, SELLERS[0]) for _ in range(20)]
        runs = [pool.submit(bank.drop) for _ in range(2)]
        assert sum(run.result().get(bank.id, 0) for run in runs) == old
        bodies = [future.result() for future in issued]
    report = bank.verify()
    assert (report.faults, report.retained) == ((), old)
    assert all(bank.read(body).content == body for body in bodies)


def _drop_scores(filled: OpenLedger) -> None:
    before = NOW + timedelta(seconds=4)
    with transaction(filled.engine, writes=True) as connection:
        for chain in CHAINS:
            assert len(drop_contents(connection, RING, chain, before=before, after=0, now=LATER)) == 4


def test_a_content_that_was_dropped_without_a_record_is_found(filled: OpenLedger) -> None:
    row = filled.rows(CHAINS[1])[6]
    filled.seal(row, digest_of(row.header, row.sealed))
    report = filled.verify()
    assert positions(report) == {(CHAINS[1], 7)}
    assert "no retention of it is recorded" in report.faults[0].what


def test_a_restored_content_and_a_changed_digest_are_found(filled: OpenLedger) -> None:
    original = filled.rows(CHAINS[0])[1]
    _drop_scores(filled)
    assert filled.verify().faults == ()
    digest = filled.rows(CHAINS[0])[1].sealed
    filled.seal(original, original.sealed)
    report = filled.verify()
    assert positions(report) == {(CHAINS[0], 2)}
    assert "the content is still stored" in report.faults[0].what
    for sealed in (bytes(32), digest[:-1] + bytes([digest[-1] ^ 1]), b"", digest + b"x"):
        filled.seal(original, sealed)
        assert (CHAINS[0], 2) in positions(filled.verify())


def test_a_changed_or_removed_record_is_found_with_all_rows_that_it_lists(filled: OpenLedger) -> None:
    _drop_scores(filled)
    before, record = filled.rows(CHAINS[0])[-2:]
    assert record.header.kind == "retention"
    filled.seal(record, record.sealed.replace(b"[1,4]", b"[1,9]"))
    assert positions(filled.verify()) == {(CHAINS[0], position) for position in (1, 2, 3, 4, ROWS + 2)}
    with transaction(filled.engine, writes=True) as connection:
        row = {"chain": CHAINS[0], "position": record.header.position}
        connection.execute(text("DELETE FROM ledger WHERE chain = :chain AND position = :position"), row)
        tip = {"chain": CHAINS[0], "position": before.header.position, "head": before.head}
        connection.execute(text("UPDATE chains SET position = :position, head = :head WHERE name = :chain"), tip)
    assert positions(filled.verify()) == {(CHAINS[0], position) for position in (1, 2, 3, 4)}


@pytest.mark.parametrize(
    "positions",
    ["[[1,7]]", "[[6,8]]", "[[0,3]]", "[[4,2]]", "[[1]]", "[1]", "null", '[["a","b"]]'],
)
def test_a_retention_that_lists_other_things_than_earlier_rows_is_invalid(positions: str) -> None:
    header = Header("bank-b", 7, "retention", "2026-02-01T00:00:00.000000Z", "")
    assert parse_retention(header, b'{"before":"2026","positions":[[1,4],[6,6]]}') == [(1, 4, "2026"), (6, 6, "2026")]
    with pytest.raises(ValueError):  # noqa: PT011
        parse_retention(header, f'{{"before":"2026","positions":{positions}}}'.encode())


@pytest.mark.parametrize("content", ['{"positions":[]}', '{"before":"2027","positions":[]}', "[]", "{"])
def test_a_retention_of_no_earlier_time_is_invalid(content: str) -> None:
    header = Header("bank-b", 7, "retention", "2026-02-01T00:00:00.000000Z", "")
    with pytest.raises(ValueError):  # noqa: PT011
        parse_retention(header, content.encode())


@given(st.sets(st.integers(1, 60)))
def test_ranges_hold_exactly_their_positions(listed: set[int]) -> None:
    ranges = to_ranges(sorted(listed))
    assert all(one[1] + 1 < other[0] for one, other in pairwise(ranges))
    records = RemovalRecords(PublicKeys(RING.jwks), {}, [DroppedRange(*each, "2026") for each in ranges])
    rows = {position: Header("bank-b", position, "score", "2025", "") for position in range(70)}
    assert {position for position, header in rows.items() if records.dropped(header)} == listed


def test_a_retention_explains_only_scores_from_before_its_time() -> None:
    records = RemovalRecords(PublicKeys(RING.jwks), {}, [DroppedRange(1, 9, "2026-01-01")])
    assert records.dropped(Header("bank-b", 5, "score", "2025-12-31", ""))
    assert not records.dropped(Header("bank-b", 5, "score", "2026-01-01", ""))
    for kind in ("revocation", "decision", "consent", "view", "retention"):
        assert not records.dropped(Header("bank-b", 5, kind, "2025-12-31", ""))


def _append_forged(filled: OpenLedger, kind: str, subject: str, content: bytes, ring: KeyRing | None) -> None:
    """Append a row to a chain like an attacker with the database, who may have other keys."""
    draft = EntryDraft(CHAINS[0], kind, content, LATER)
    with transaction(filled.engine, writes=True) as connection:
        if ring is None:
            append_plain(connection, subject, draft)
        else:
            append_signed(connection, ring, draft, subject)


@pytest.mark.databases
@pytest.mark.parametrize("foreign", [False, True])
def test_a_forged_removal_explains_nothing(filled: OpenLedger, foreign: bool) -> None:
    ring = KeyRing((OKPKey.generate_key("Ed25519"),)) if foreign else None
    row = filled.rows(CHAINS[0])[1]
    retention = b'{"before":"2026-02-01T09:31:00.000005Z","positions":[[2,2]]}'
    filled.seal(row, digest_of(row.header, row.sealed))
    _append_forged(filled, "retention", "", retention, ring)
    with transaction(filled.engine, writes=True) as connection:
        connection.execute(text("DELETE FROM seller_keys WHERE seller_id = 'S-2'"))
    _append_forged(
        filled, "erasure", filled.rows(CHAINS[0])[2].header.subject, b'{"positions":[3,9],"reason":""}', ring
    )
    report = filled.verify()
    in_chain = {position for chain, position in positions(report) if chain == CHAINS[0]}
    assert in_chain == {2, 3, 9, LAST + 1, LAST + 2}
    signature = "of a key that is not among the trusted keys" if foreign else "missing or invalid"
    assert [signature in fault.what for fault in report.faults if fault.position > LAST] == [True, True]


@pytest.fixture
def run(stored_in: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    monkeypatch.setenv("SELLERSCORE_HOME", str(stored_in.home))
    monkeypatch.setenv("SELLERSCORE_DATABASE_URL", stored_in.database_url)
    return lambda *given: CliRunner().invoke(app, ["ledger", *given], catch_exceptions=False)


def test_the_command_counts_in_a_dry_run_and_then_drops(
    bank: LongTimeBank, run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    dry = json.loads(run("retain", "--days", "3650", "--dry-run", "--output", "json").stdout)
    assert (dry["dry_run"], dry["rows"]) == (True, {bank.id: 5})
    assert bank.read(bank.old[0]).status_code == 200
    monkeypatch.setenv("SELLERSCORE_RETENTION_DAYS", "3650")
    done = run("retain").stdout
    assert f"{bank.id}: 5\nThe contents of 5 rows from before" in done
    assert "Backups" in done
    assert bank.read(bank.old[0]).status_code == 410
    verified = run("verify")
    assert verified.exit_code == 0
    assert "5 contents were deleted after the retention period. Their deletions are recorded." in verified.stdout
    assert "The contents of 0 rows" in run("retain").stdout


def test_without_a_period_or_with_one_that_is_too_short_nothing_is_dropped(run: Callable[..., Any]) -> None:
    with pytest.raises(InputError, match="--days"):
        run("retain")
    with pytest.raises(InputError, match="must be at least 30 days"):
        run("retain", "--days", "29")
    assert run("retain", "--days", "0").exit_code == 2

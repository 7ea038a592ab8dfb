"""Concurrent and killed writers: chains have no gaps, and no acknowledged row is lost."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from api.kit.database import open_database, transaction
from api.ledger.master_key import MasterKeys
from api.ledger.store import EntryDraft, Ledger
from tests.api.ledger.conftest import CHAINS, MASTER, NOW, OpenLedger
from tests.api.postgres import fresh_database
from tests.counts import repeat

pytestmark = pytest.mark.databases

EACH = 12
ROOT = Path(__file__).parents[3]
WRITER = """
import sys, threading
from datetime import UTC, datetime
from api.kit.database import open_database, transaction
from api.ledger.master_key import MasterKeys
from api.ledger.store import EntryDraft, Ledger

engine, ledger = open_database(sys.argv[1]), Ledger(MasterKeys((bytes.fromhex(sys.argv[2]),)))

def work(chain):
    for number in range(100_000):
        draft = EntryDraft(chain, "note", b'{"n":%d}' % number, datetime.now(UTC))
        with transaction(engine, writes=True) as connection:
            row = ledger.append(connection, ledger.seller(connection, f"S-{number % 7}"), draft)
        print(f"{chain} {row.header.position} {row.head.hex()}\\n", end="", flush=True)

for chain in ("a", "b"):
    threading.Thread(target=work, args=(chain,)).start()
"""


def test_eight_concurrent_writers_leave_no_gap(empty: OpenLedger) -> None:
    def append(writer: int) -> list[int]:
        sellers = [f"S-{(writer + number) % 5}" for number in range(EACH)]
        return [empty.append(CHAINS[writer % 2], seller).header.position for seller in sellers]

    with ThreadPoolExecutor(8) as pool:
        written = list(pool.map(append, range(8)))
    for parity, chain in enumerate(CHAINS):
        of_chain = sorted(position for each in written[parity::2] for position in each)
        assert of_chain == list(range(1, 4 * EACH + 1))
        assert [row.header.position for row in empty.rows(chain)] == of_chain
    report = empty.verify()
    assert (report.rows, report.chains, report.faults) == (8 * EACH, 2, ())


def test_erasures_among_concurrent_writers_leave_the_ledger_whole(empty: OpenLedger) -> None:
    for chain in CHAINS:
        empty.append(chain, "S-0")

    def work(writer: int) -> None:
        for number in range(EACH):
            if writer == 0 and number % 3 == 0:
                empty.erase("S-0")
            else:
                empty.append(CHAINS[(writer + number) % 2], f"S-{number % 2}")

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    report = empty.verify()
    assert report.faults == ()
    assert report.erased >= 2


def test_on_postgresql_one_bank_does_not_wait_for_another(postgres: str) -> None:
    """SQLite has one writer at a time, by design."""
    with fresh_database(postgres) as address:
        opened = OpenLedger(open_database(address), Ledger(MasterKeys((MASTER,))))
        with transaction(opened.engine, writes=True) as connection:
            seller = opened.ledger.seller(connection, "S-1")
            opened.ledger.append(connection, seller, EntryDraft(CHAINS[0], "note", b"{}", NOW))
            # waiting for the other chain would fail after five seconds
            assert opened.append(CHAINS[1], "S-2").header.position == 1
        assert [len(opened.rows(chain)) for chain in CHAINS] == [1, 1]
        opened.engine.dispose()


def test_a_chain_that_is_read_in_several_portions_is_verified_whole(empty: OpenLedger) -> None:
    with transaction(empty.engine, writes=True) as connection:
        seller = empty.ledger.seller(connection, "S-1")
        for _ in range(450):
            empty.ledger.append(connection, seller, EntryDraft(CHAINS[0], "note", b"{}", NOW))
    report = empty.verify()
    assert (report.rows, report.faults) == (450, ())


@pytest.mark.repeated
@pytest.mark.slow
def test_a_kill_at_any_moment_loses_no_acknowledged_row(empty: OpenLedger, tmp_path: Path) -> None:
    url = empty.engine.url.render_as_string(hide_password=False).replace("postgresql+psycopg", "postgresql")
    moments = random.Random()  # noqa: S311 - another moment each run
    acknowledged: dict[tuple[str, int], str] = {}
    for attempt in range(repeat(1, 10)):
        out = tmp_path / f"acknowledged-{attempt}"
        with out.open("w") as file:
            command = [sys.executable, "-c", WRITER, url, MASTER.hex()]
            process = subprocess.Popen(command, stdout=file, env={**os.environ, "PYTHONPATH": str(ROOT)})
            _wait_for_output(out, process)
            time.sleep(moments.uniform(0.0, 0.4))
            process.send_signal(signal.SIGKILL)
            process.wait(30)
        # an unfinished line was not acknowledged
        for line in out.read_text().rpartition("\n")[0].split("\n"):
            if len(words := line.split()) == 3:
                acknowledged[words[0], int(words[1])] = words[2]
        assert empty.verify().faults == ()
        stored = {(chain, row.header.position): row.head.hex() for chain in "ab" for row in empty.rows(chain)}
        assert acknowledged.items() <= stored.items()
        assert len(acknowledged) >= attempt + 1


def _wait_for_output(out: Path, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 60
    while not out.stat().st_size:
        assert process.poll() is None, "the writer ended before it was killed"
        assert time.monotonic() < until, "the writer wrote nothing"
        time.sleep(0.01)

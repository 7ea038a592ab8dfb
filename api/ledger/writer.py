"""Appends for all who wait at once in one durable transaction, since the disk takes as long for one row as for ten.

Nobody waits for others to come: who finds the place free commits for all that wait by then, and who comes meanwhile is
in the next transaction. Each caller returns after its own commit. Where one caller's work fails, the transaction is
rolled back and each is run alone, so that it fails alone; where the database fails, all are told, and nothing is tried
twice, since a commit whose answer was lost may have happened.
"""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from sqlalchemy import Connection, Engine

from api.database import transaction
from api.errors import DatabaseUnavailable
from api.ledger.chain import Row, Tip
from api.ledger.service import Ledger, Seller

_AT_ONCE: Final = 32
"""Most rows of one transaction: so that a commit saves most of its time, and the first does not wait for the last."""

T = TypeVar("T")


@dataclass(frozen=True)
class Work(Generic[T]):
    """What to append about a seller to a chain: `run` is given the seller's key and where the chain stands.

    It appends one row with that tip and returns it with its result; where it raises, nothing is stored.
    """

    seller_id: str
    chain: str
    run: Callable[[Connection, Seller, Tip], tuple[Row, T]]


class _Waiting(Generic[T]):
    """A caller's work, and what came of it; lost where whoever led it did not come back."""

    def __init__(self, work: Work[T]) -> None:
        self.work = work
        self.done = False
        self.result: T | None = None
        self.error: BaseException | None = None

    def end(self, result: T | None = None, error: BaseException | None = None) -> None:
        self.result, self.error, self.done = result, error, True


class _Queue:
    """Those who wait for one another's commits."""

    def __init__(self) -> None:
        self.waiting: deque[_Waiting[object]] = deque()
        self.leads = threading.Lock()

    def taken(self) -> list[_Waiting[object]]:
        return [self.waiting.popleft() for _ in range(min(_AT_ONCE, len(self.waiting)))]


class Writer:
    """The one way to append from many threads at once.

    Example: `writer.append(Work("S-1", "bank-1", run))` returns what `run` did, committed.

    On SQLite, which has one writer, all share commits; on PostgreSQL those of one chain, who would wait for one another
    anyway, so that no bank waits for another.
    """

    def __init__(self, engine: Engine, ledger: Ledger) -> None:
        self._engine = engine
        self._ledger = ledger
        self._is_one = engine.dialect.name == "sqlite"
        self._queues: defaultdict[str, _Queue] = defaultdict(_Queue)

    def append(self, work: Work[T]) -> T:
        """Do the work and commit it.

        Raises:
            DatabaseUnavailable: the database does not answer; as far as is known nothing was stored.
        """
        queue, mine = self._queues["" if self._is_one else work.chain], _Waiting(work)
        queue.waiting.append(mine)  # type: ignore[arg-type]
        with queue.leads:
            while not mine.done:
                self._commit(queue.taken())
        if mine.error is not None:
            raise mine.error
        return mine.result  # type: ignore[return-value]

    def _commit(self, batch: Sequence[_Waiting[object]]) -> None:
        try:
            with transaction(self._engine, writes=True) as connection:
                results = self._run(connection, [each.work for each in batch])
        except DatabaseUnavailable:
            for each in batch:
                each.end(error=DatabaseUnavailable())
        except Exception as error:  # noqa: BLE001 - it is raised where it belongs
            if len(batch) == 1:
                batch[0].end(error=error)
                return
            for each in batch:
                self._commit([each])
        else:
            for each, result in zip(batch, results, strict=True):
                each.end(result)

    def _run(self, connection: Connection, works: Sequence[Work[object]]) -> list[object]:
        # all sellers, then all chains, each in order: so that nobody waits for one another in a ring
        sellers = {each: self._ledger.seller(connection, each) for each in sorted({work.seller_id for work in works})}
        tips = {each: self._ledger.hold(connection, each) for each in sorted({work.chain for work in works})}
        results = []
        for work in works:
            row, result = work.run(connection, sellers[work.seller_id], tips[work.chain])
            tips[work.chain] = Tip(row.header.position, row.head)
            results.append(result)
        return results

"""Answers those who ask the same at once together, since a look at the database takes as long for ten as for one.

Nobody waits for others to come: who finds nobody at work is answered at once, and who comes meanwhile is in the next
batch. Where a batch fails, each is answered alone, so that each fails alone; where the database fails, all are told,
and nothing is tried twice, since a commit whose answer was lost may have happened.
"""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from api.errors import DatabaseUnavailable

AT_ONCE: Final = 32
"""Most questions of one batch: a look saves most of its time by then, and the first does not wait for the last."""

_THREADS: Final = 8
"""Queues that are worked off at once; one queue has one thread at a time."""

Q = TypeVar("Q")
A = TypeVar("A")

Answer = Callable[[Sequence[Q]], Sequence[A | Exception]]
"""Gives the answers to questions, in their order; one that is an exception is raised for who asked."""


@dataclass(frozen=True)
class _Waiting:
    """A question, and where its answer goes."""

    question: Any
    answered: asyncio.Future[Any]

    def take(self, found: Any) -> None:
        if self.answered.done():
            return
        if isinstance(found, Exception):
            self.answered.set_exception(found)
        else:
            self.answered.set_result(found)


class Batches:
    """Answers questions in batches, on threads of its own; no thread is held by who waits.

    Example: `await batches.ask(lengths, "abc")` is 3 where `lengths` is `lambda texts: [len(text) for text in texts]`.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="batches")
        self._queues: dict[Hashable, deque[_Waiting]] = {}
        self._lock = threading.Lock()

    async def ask(self, answer: Answer[Q, A], question: Q, queue: Hashable = None) -> A:
        """Return the answer; those of one queue are answered in the order in which they asked.

        Args:
            answer: answers all who wait in the queue; the same function each time.
            question: what is asked.
            queue: tells those apart who must not wait for one another.

        Raises:
            DatabaseUnavailable: the database does not answer.
            Exception: what `answer` raised or gave.
        """
        waiting, mine = (answer, queue), _Waiting(question, asyncio.get_running_loop().create_future())
        with self._lock:
            is_at_work = waiting in self._queues
            self._queues.setdefault(waiting, deque()).append(mine)
        if not is_at_work:
            self._pool.submit(self._work_off, answer, queue)
        found: A = await mine.answered
        return found

    def close(self) -> None:
        """Answer those who wait, and end the threads."""
        self._pool.shutdown()

    def _work_off(self, answer: Answer[Any, Any], queue: Hashable) -> None:
        with self._lock:
            waiting = self._queues[answer, queue]
            batch = [waiting.popleft() for _ in range(min(AT_ONCE, len(waiting)))]
        # who gave up before it was begun is left out
        _settle(answer, [each for each in batch if not each.answered.cancelled()])
        with self._lock:
            if not waiting:
                del self._queues[answer, queue]
                return
        try:
            # behind the other queues, so that a busy one keeps none of them waiting
            self._pool.submit(self._work_off, answer, queue)
        except RuntimeError:
            # closing: nobody else comes
            self._work_off(answer, queue)


def _settle(answer: Answer[Any, Any], batch: Sequence[_Waiting]) -> None:
    if not batch:
        return
    try:
        answers = answer([each.question for each in batch])
    except DatabaseUnavailable:
        answers = [DatabaseUnavailable() for _ in batch]
    except Exception as error:  # noqa: BLE001 - it is raised where it belongs
        if len(batch) > 1:
            for each in batch:
                _settle(answer, [each])
            return
        answers = [error]
    _deliver(list(zip(batch, answers, strict=True)))


def _deliver(answers: Sequence[tuple[_Waiting, Any]]) -> None:
    """Wake each loop once: that costs as much as an answer is worth."""
    by_loop: defaultdict[asyncio.AbstractEventLoop, list[tuple[_Waiting, Any]]] = defaultdict(list)
    for waiting, found in answers:
        by_loop[waiting.answered.get_loop()].append((waiting, found))
    for loop, those in by_loop.items():
        # a loop that has ended has nobody who waits
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(_take, those)


def _take(answers: Sequence[tuple[_Waiting, Any]]) -> None:
    for waiting, found in answers:
        waiting.take(found)

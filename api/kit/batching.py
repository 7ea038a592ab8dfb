"""Answers those who ask the same at once together, since a look at the database takes as long for ten as for one.

Nobody waits for others to come: who finds nobody at work is answered at once, and who comes meanwhile is in the next
batch. Where a batch fails, each is answered alone, so that each fails alone; where the database fails, all are told,
and nothing is tried twice, since a commit whose answer was lost may have happened.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from api.errors import DatabaseUnavailable

AT_ONCE: Final = 32
"""Most questions of one batch: a look saves most of its time by then, and the first does not wait for the last."""

_THREADS: Final = 16
"""Queues of one kind of question that are worked off at once; one queue has one thread at a time."""

_PATIENCE: Final = 10.0
"""Seconds after which one who is not begun yet is told that the database does not answer: it kept those before."""

Q = TypeVar("Q")
A = TypeVar("A")

Answer = Callable[[Sequence[Q]], Sequence[A | Exception]]
"""Gives the answers to questions, in their order; one that is an exception is raised for who asked."""


@dataclass(frozen=True)
class _PendingRequest:
    """A question, where its answer goes, and since when it waits."""

    question: Any
    answered: asyncio.Future[Any]
    since: float

    def take(self, found: Any) -> None:
        if self.answered.done():
            return
        if isinstance(found, Exception):
            self.answered.set_exception(found)
        else:
            self.answered.set_result(found)


class RequestBatcher:
    """Answers questions in batches, on threads of its own; no thread is held by who waits.

    Questions of one kind take no thread from those of another, however long the database keeps them waiting.

    Example: `await batches.ask(lengths, "abc")` is 3 where `lengths` is `lambda texts: [len(text) for text in texts]`.
    """

    def __init__(self) -> None:
        self._pools: dict[Answer[Any, Any], ThreadPoolExecutor] = {}
        self._queues: dict[Hashable, deque[_PendingRequest]] = {}
        self._lock = threading.Lock()

    async def ask(self, answer: Answer[Q, A], question: Q, queue: Hashable = None) -> A:
        """Return the answer; those of one queue are answered in the order in which they asked.

        Args:
            answer: answers all who wait in the queue; the same function each time.
            question: what is asked.
            queue: tells those apart who must not wait for one another.

        Raises:
            DatabaseUnavailable: the database does not answer, or others have waited too long for it.
            Exception: what `answer` raised or gave.
        """
        mine = _PendingRequest(question, asyncio.get_running_loop().create_future(), time.monotonic())
        with self._lock:
            waiting = self._queues.get((answer, queue))
            if waiting is None:
                # before it is said to be at work: where no thread can begin, the next one tries again
                self._pool_of(answer).submit(self._work_off, answer, queue)
                waiting = self._queues[answer, queue] = deque()
            waiting.append(mine)
        found: A = await mine.answered
        return found

    def close(self) -> None:
        """Answer those who wait, and end the threads."""
        for pool in list(self._pools.values()):
            pool.shutdown()

    def _pool_of(self, answer: Answer[Any, Any]) -> ThreadPoolExecutor:
        if answer not in self._pools:
            self._pools[answer] = ThreadPoolExecutor(_THREADS, thread_name_prefix="batches")
        return self._pools[answer]

    def _work_off(self, answer: Answer[Any, Any], queue: Hashable) -> None:
        goes_on = True
        while goes_on:
            with self._lock:
                waiting = self._queues[answer, queue]
                batch = [waiting.popleft() for _ in range(min(AT_ONCE, len(waiting)))]
            _settle(answer, batch)
            goes_on = not self._rests(answer, queue, waiting)

    def _rests(self, answer: Answer[Any, Any], queue: Hashable, waiting: Sequence[_PendingRequest]) -> bool:
        """Return whether nobody waits, or who does is taken over by another thread."""
        with self._lock:
            if not waiting:
                del self._queues[answer, queue]
                return True
            try:
                # behind the other queues, so that a busy one keeps none of them waiting
                self._pools[answer].submit(self._work_off, answer, queue)
            except RuntimeError:
                # closing, or no thread can begin
                return False
        return True


def _settle(answer: Answer[Any, Any], batch: Sequence[_PendingRequest]) -> None:
    """Answer all of a batch: who gave up is left out, and who has waited too long is told so."""
    long_ago = time.monotonic() - _PATIENCE
    _deliver([(each, DatabaseUnavailable()) for each in batch if each.since < long_ago])
    wanted = [each for each in batch if each.since >= long_ago and not each.answered.cancelled()]
    if not wanted:
        return
    try:
        answers = list(zip(wanted, answer([each.question for each in wanted]), strict=True))
    except DatabaseUnavailable:
        answers = [(each, DatabaseUnavailable()) for each in wanted]
    except BaseException as error:  # noqa: BLE001 - it is raised where it belongs
        if len(wanted) > 1:
            for each in wanted:
                _settle(answer, [each])
            return
        # a future takes no other
        answers = [(wanted[0], error if _can_be_told(error) else RuntimeError(f"failed with {type(error).__name__}"))]
    _deliver(answers)


def _can_be_told(error: BaseException) -> bool:
    return isinstance(error, Exception) and not isinstance(error, StopIteration)


def _deliver(answers: Sequence[tuple[_PendingRequest, Any]]) -> None:
    """Wake each loop once: that costs as much as an answer is worth."""
    by_loop: defaultdict[asyncio.AbstractEventLoop, list[tuple[_PendingRequest, Any]]] = defaultdict(list)
    for waiting, found in answers:
        by_loop[waiting.answered.get_loop()].append((waiting, found))
    for loop, those in by_loop.items():
        # a loop that has ended has nobody who waits
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(_take, those)


def _take(answers: Sequence[tuple[_PendingRequest, Any]]) -> None:
    for waiting, found in answers:
        waiting.take(found)

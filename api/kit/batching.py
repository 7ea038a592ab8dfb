"""Request batching: concurrent requests of one kind are handled in one call.

One database transaction takes about as long for ten requests as for one.

No request waits for a batch to fill. An idle handler is called at once; requests that arrive while it runs form the
next batch. If a batch fails, each of its requests is handled alone, so that each fails alone. If the database fails,
all of them fail and none is retried, because a commit may have succeeded although its response was lost.
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

MAX_BATCH: Final = 32
"""A batch of this size saves most of the time, and its first request does not wait long for its last."""

_THREADS: Final = 16
"""Queues of one kind that are processed at the same time. One queue uses one thread at a time."""

_MAX_WAIT_SECONDS: Final = 10.0
"""A request that has waited longer fails with `DatabaseUnavailable`: earlier requests are stuck in the database."""

Q = TypeVar("Q")
A = TypeVar("A")

Handler = Callable[[Sequence[Q]], Sequence[A | Exception]]
"""Returns the responses to requests, in their order. An exception is raised for the request that it belongs to."""


@dataclass(frozen=True)
class _PendingRequest:
    request: Any
    response: asyncio.Future[Any]
    since: float

    def resolve(self, result: Any) -> None:
        if self.response.done():
            return
        if isinstance(result, Exception):
            self.response.set_exception(result)
        else:
            self.response.set_result(result)


class RequestBatcher:
    """Handles requests in batches on its own threads; a waiting request holds no thread.

    Each handler has its own threads, so a slow kind of request does not delay the others.

    Example: `await batcher.submit(lengths, "abc")` is 3 if `lengths` is `lambda texts: [len(text) for text in texts]`.
    """

    def __init__(self) -> None:
        self._pools: dict[Handler[Any, Any], ThreadPoolExecutor] = {}
        self._queues: dict[Hashable, deque[_PendingRequest]] = {}
        self._lock = threading.Lock()

    async def submit(self, handler: Handler[Q, A], request: Q, queue: Hashable = None) -> A:
        """Return the response to a request. Requests of one queue are handled in the order of their arrival.

        Args:
            handler: Handles a batch. Pass the same function each time.
            request: The request.
            queue: Requests of different queues do not wait for one another.

        Raises:
            DatabaseUnavailable: The database does not respond, or the request waited too long for it.
            Exception: Any exception that the handler raised or returned.
        """
        own = _PendingRequest(request, asyncio.get_running_loop().create_future(), time.monotonic())
        with self._lock:
            waiting = self._queues.get((handler, queue))
            if waiting is None:
                # the thread first: if none can start, the queue must not look busy
                self._pool_of(handler).submit(self._process, handler, queue)
                waiting = self._queues[handler, queue] = deque()
            waiting.append(own)
        response: A = await own.response
        return response

    def close(self) -> None:
        """Handle the waiting requests and end the threads."""
        for pool in list(self._pools.values()):
            pool.shutdown()

    def _pool_of(self, handler: Handler[Any, Any]) -> ThreadPoolExecutor:
        if handler not in self._pools:
            self._pools[handler] = ThreadPoolExecutor(_THREADS, thread_name_prefix="batches")
        return self._pools[handler]

    def _process(self, handler: Handler[Any, Any], queue: Hashable) -> None:
        active = True
        while active:
            with self._lock:
                waiting = self._queues[handler, queue]
                batch = [waiting.popleft() for _ in range(min(MAX_BATCH, len(waiting)))]
            _handle_batch(handler, batch)
            active = not self._yield_queue(handler, queue, waiting)

    def _yield_queue(self, handler: Handler[Any, Any], queue: Hashable, waiting: Sequence[_PendingRequest]) -> bool:
        """Return whether this thread is done with the queue: it is empty, or another thread continues."""
        with self._lock:
            if not waiting:
                del self._queues[handler, queue]
                return True
            try:
                # to the end of the pool's line, so that a busy queue does not starve the others
                self._pools[handler].submit(self._process, handler, queue)
            except RuntimeError:
                # the pool is closing, or no thread can start
                return False
        return True


def _handle_batch(handler: Handler[Any, Any], batch: Sequence[_PendingRequest]) -> None:
    """Handle a batch without its cancelled requests. Requests that waited too long fail."""
    oldest = time.monotonic() - _MAX_WAIT_SECONDS
    _deliver([(each, DatabaseUnavailable()) for each in batch if each.since < oldest])
    active = [each for each in batch if each.since >= oldest and not each.response.cancelled()]
    if not active:
        return
    try:
        results = list(zip(active, handler([each.request for each in active]), strict=True))
    except DatabaseUnavailable:
        results = [(each, DatabaseUnavailable()) for each in active]
    except BaseException as error:  # noqa: BLE001 - it is raised for the request that caused it
        if len(active) > 1:
            for each in active:
                _handle_batch(handler, [each])
            return
        # a future accepts no other exceptions
        accepted = isinstance(error, Exception) and not isinstance(error, StopIteration)
        results = [(active[0], error if accepted else RuntimeError(f"failed with {type(error).__name__}"))]
    _deliver(results)


def _deliver(results: Sequence[tuple[_PendingRequest, Any]]) -> None:
    # one wake-up per event loop: waking it costs as much as a response is worth
    by_loop: defaultdict[asyncio.AbstractEventLoop, list[tuple[_PendingRequest, Any]]] = defaultdict(list)
    for pending, result in results:
        by_loop[pending.response.get_loop()].append((pending, result))
    for loop, of_loop in by_loop.items():
        # a closed loop has no waiting requests
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(_resolve_all, of_loop)


def _resolve_all(results: Sequence[tuple[_PendingRequest, Any]]) -> None:
    for pending, result in results:
        pending.resolve(result)

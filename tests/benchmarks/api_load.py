"""The caller of the measurement: eight connections that each ask again as soon as they are answered, over bare sockets.

It is the same for every server, and lean, so that it is not what is measured: it finds the end of an answer by its
length, and looks at the status alone.
"""

from __future__ import annotations

import asyncio
import selectors
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Final

import numpy as np

Ask = Callable[[int], bytes]
"""Gives the whole request number n."""

_HEAD_ENDS: Final = b"\r\n\r\n"
_READ: Final = 256 * 1024
_PATIENCE: Final = 30.0


@dataclass(frozen=True)
class Load:
    """How the servers are asked: so many connections, for so long, after some seconds that do not count."""

    connections: int = 8
    seconds: float = 6.0
    warm_up: float = 2.0


@dataclass(frozen=True)
class Answered:
    """What came of it: answers a second, and the milliseconds that each took."""

    rps: float
    took_ms: np.ndarray = field(repr=False)

    def percentile(self, share: float) -> float:
        """Return the milliseconds that this share (in percent) of the answers took at most."""
        return float(np.percentile(self.took_ms, share))


class _Caller:
    """One connection: what was sent when, and what came of the answer so far."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address, timeout=_PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sent_at = 0.0
        self._found = b""
        self._missing = -1

    def send(self, request: bytes) -> None:
        self._found, self._missing = b"", -1
        self.sent_at = time.perf_counter()
        self.socket.sendall(request)

    def answered(self) -> bool:
        """Take what has come, and tell whether the answer is whole."""
        came = self.socket.recv(_READ)
        if not came:
            raise ConnectionError("The server closed the connection.")
        if self._missing >= 0:
            self._missing -= len(came)
            return self._missing == 0
        self._found += came
        head, end, body = self._found.partition(_HEAD_ENDS)
        if not end:
            return False
        if not head.startswith((b"HTTP/1.1 200", b"HTTP/1.1 201")):
            raise ConnectionError(f"The server answered {self._found[:600]!r}.")
        lines = head.lower().split(b"\r\n")
        (length,) = (int(line[16:]) for line in lines if line.startswith(b"content-length: "))
        self._missing = length - len(body)
        return self._missing == 0


def call(address: tuple[str, int], ask: Ask, load: Load = Load(), begin: int = 0) -> Answered:
    """Ask for as long as the load says.

    Args:
        address: of the server.
        ask: makes the requests.
        load: how.
        begin: number of the first request.

    Raises:
        ConnectionError: the server closed a connection, or answered anything but 200 or 201.
    """
    took: list[float] = []
    with selectors.DefaultSelector() as waiting:
        callers = [_Caller(address) for _ in range(load.connections)]
        for number, caller in enumerate(callers):
            waiting.register(caller.socket, selectors.EVENT_READ, caller)
            caller.send(ask(begin + number))
        number = begin + len(callers)
        counts_from = time.perf_counter() + load.warm_up
        ends = counts_from + load.seconds
        now = counts_from
        while now < ends:
            ready = waiting.select(_PATIENCE)
            if not ready:
                raise ConnectionError(f"The server answered nothing for {_PATIENCE:g} seconds.")
            for key, _ in ready:
                if not key.data.answered():
                    continue
                now = time.perf_counter()
                if key.data.sent_at >= counts_from:
                    took.append(now - key.data.sent_at)
                key.data.send(ask(number))
                number += 1
        for caller in callers:
            caller.socket.close()
    return Answered(len(took) / load.seconds, np.array(took) * 1000.0)


class _Trivial(asyncio.Protocol):
    """Answers each request at once with the same bytes; a request ends where its declared body does."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self._found = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._found += data
        head, end, body = self._found.partition(_HEAD_ENDS)
        (length,) = (int(line[16:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length: "))
        if end and len(body) >= length:
            self._found = b""
            self._transport.write(self._answer)


def _serve(answer: bytes, told: Connection) -> None:
    async def forever() -> None:
        server = await asyncio.get_running_loop().create_server(lambda: _Trivial(answer), "127.0.0.1", 0)
        told.send(server.sockets[0].getsockname()[:2])
        await server.serve_forever()

    with suppress(KeyboardInterrupt):
        asyncio.run(forever())


@contextmanager
def trivial_server(body_bytes: int) -> Iterator[tuple[str, int]]:
    """Yield the address of a server that does nothing: what the caller reaches there is the most it can measure."""
    answer = b"HTTP/1.1 201 Created\r\ncontent-length: %d\r\n\r\n" % body_bytes + b"x" * body_bytes
    spawn = get_context("spawn")
    heard, told = spawn.Pipe(duplex=False)
    process = spawn.Process(target=_serve, args=(answer, told), daemon=True)
    process.start()
    try:
        yield heard.recv()
    finally:
        process.kill()
        process.join()

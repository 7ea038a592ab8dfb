"""Load generator of the API benchmarks: connections that send the next request as soon as a response is complete.

It uses plain sockets, finds the end of a response by its length and reads only the status, so that the client itself
costs little. The same client is used for every server.
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

RequestBuilder = Callable[[int], bytes]
"""Returns the bytes of request number n."""

_HEAD_ENDS: Final = b"\r\n\r\n"
_READ: Final = 256 * 1024
_TIMEOUT: Final = 30.0


@dataclass(frozen=True)
class Load:
    """Number of connections, and seconds of measurement after a warm-up that does not count."""

    connections: int = 8
    seconds: float = 6.0
    warm_up: float = 2.0


@dataclass(frozen=True)
class LoadResult:
    """Responses per second, and the milliseconds of each response."""

    rps: float
    latencies_ms: np.ndarray = field(repr=False)

    def percentile(self, percent: float) -> float:
        """Return this percentile of the milliseconds."""
        return float(np.percentile(self.latencies_ms, percent))


class _ClientConnection:
    """One connection: the time of its request, and the part of the response that has arrived."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address, timeout=_TIMEOUT)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sent_at = 0.0
        self._buffer = b""
        self._missing = -1

    def send(self, request: bytes) -> None:
        self._buffer, self._missing = b"", -1
        self.sent_at = time.perf_counter()
        self.socket.sendall(request)

    def receive(self) -> bool:
        """Read the available bytes, and return whether the response is complete."""
        chunk = self.socket.recv(_READ)
        if not chunk:
            raise ConnectionError("The server closed the connection.")
        if self._missing >= 0:
            self._missing -= len(chunk)
            return self._missing == 0
        self._buffer += chunk
        head, end, body = self._buffer.partition(_HEAD_ENDS)
        if not end:
            return False
        if not head.startswith((b"HTTP/1.1 200", b"HTTP/1.1 201")):
            raise ConnectionError(f"Unexpected response {self._buffer[:600]!r}. Only 200 and 201 are allowed.")
        lines = head.lower().split(b"\r\n")
        (length,) = (int(line[16:]) for line in lines if line.startswith(b"content-length: "))
        self._missing = length - len(body)
        return self._missing == 0


def send_load(
    address: tuple[str, int], build_request: RequestBuilder, load: Load = Load(), first: int = 0
) -> LoadResult:
    """Send requests for the seconds of the load.

    Args:
        address: host and port of the server.
        build_request: returns a request by its number.
        load: connections and duration.
        first: number of the first request.

    Raises:
        ConnectionError: the server closed a connection, did not respond, or sent a status other than 200 or 201.
    """
    latencies: list[float] = []
    with selectors.DefaultSelector() as selector:
        connections = [_ClientConnection(address) for _ in range(load.connections)]
        for number, connection in enumerate(connections):
            selector.register(connection.socket, selectors.EVENT_READ, connection)
            connection.send(build_request(first + number))
        number = first + len(connections)
        counts_from = time.perf_counter() + load.warm_up
        ends = counts_from + load.seconds
        now = counts_from
        while now < ends:
            ready = selector.select(_TIMEOUT)
            if not ready:
                raise ConnectionError(f"The server sent no response for {_TIMEOUT:g} seconds.")
            for key, _ in ready:
                if not key.data.receive():
                    continue
                now = time.perf_counter()
                if key.data.sent_at >= counts_from:
                    latencies.append(now - key.data.sent_at)
                key.data.send(build_request(number))
                number += 1
        for connection in connections:
            connection.socket.close()
    return LoadResult(len(latencies) / load.seconds, np.array(latencies) * 1000.0)


class _TrivialServer(asyncio.Protocol):
    """Sends the same bytes for each request; a request ends after its declared content length."""

    def __init__(self, response: bytes) -> None:
        self._response = response
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, end, body = self._buffer.partition(_HEAD_ENDS)
        (length,) = (int(line[16:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length: "))
        if end and len(body) >= length:
            self._buffer = b""
            self._transport.write(self._response)


def _serve(response: bytes, address_pipe: Connection) -> None:
    async def forever() -> None:
        server = await asyncio.get_running_loop().create_server(lambda: _TrivialServer(response), "127.0.0.1", 0)
        address_pipe.send(server.sockets[0].getsockname()[:2])
        await server.serve_forever()

    with suppress(KeyboardInterrupt):
        asyncio.run(forever())


@contextmanager
def trivial_server(body_bytes: int) -> Iterator[tuple[str, int]]:
    """Yield the address of a server that does no work: its rate is the highest that the client can measure."""
    response = b"HTTP/1.1 201 Created\r\ncontent-length: %d\r\n\r\n" % body_bytes + b"x" * body_bytes
    spawn = get_context("spawn")
    receiver, sender = spawn.Pipe(duplex=False)
    process = spawn.Process(target=_serve, args=(response, sender), daemon=True)
    process.start()
    try:
        yield receiver.recv()
    finally:
        process.kill()
        process.join()

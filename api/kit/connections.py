"""The connections of the HTTP server: limits of their number, of the size of a head, and of the time to send a request.

uvicorn has none of these limits: a client that sends headers without end, or sends nothing, would use memory and
descriptors for as long as it likes.
"""

from __future__ import annotations

import asyncio
import logging
import resource
from http import HTTPStatus
from typing import Any, ClassVar, Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

logger = logging.getLogger(__name__)

MAX_HEAD_BYTES: Final = 16 * 1024
"""Size limit of a request without its body: request line, headers, and the framing of a chunked body."""

MAX_REQUEST_SECONDS: Final = 15.0
"""Time to send a request completely, and the longest pause between two requests."""

MAX_STALL_SECONDS: Final = 60.0
"""Time to receive a response that fills the buffers."""

MAX_PIPELINED: Final = 8
"""Requests of one connection that wait for the response to an earlier one."""

_PIECE_BYTES: Final = 4 * 1024
"""Received bytes are parsed in pieces of this size, so that the limits hold within one large read."""

_RESERVED_DESCRIPTORS: Final = 200
"""Descriptors for databases, files and outgoing calls."""


class LimitedConnection(HttpToolsProtocol):
    """A connection that is closed if the client exceeds a limit.

    If there are too many connections, the one that has waited longest for its client is closed, so that idle
    connections cannot keep others out.
    """

    max_connections: ClassVar[int] = 1_000

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._receiving = True
        self._since = self.loop.time()
        self._piece = self._head = 0
        self._in_head = True

    def connection_made(self, transport: Any) -> None:
        """Close another connection if there are too many."""
        super().connection_made(transport)
        if len(self.connections) > self.max_connections:
            idle = [each for each in self.connections if isinstance(each, LimitedConnection) and each.is_idle]
            if idle:
                min(idle, key=lambda each: each._since).transport.abort()
            else:
                self._refuse(HTTPStatus.SERVICE_UNAVAILABLE)

    @property
    def is_idle(self) -> bool:
        """Whether the service waits for the client, not the client for the service."""
        responded = self.cycle is None or self.cycle.response_complete
        return (self._receiving or responded or self.flow.write_paused) and not self.transport.is_closing()

    def close_if_late(self, now: float) -> None:
        """Close the connection if the client has exceeded a time limit."""
        unread = self.transport.get_write_buffer_size() > 0
        if now - self._since > (MAX_STALL_SECONDS if unread else MAX_REQUEST_SECONDS) and (
            self.is_idle or self.transport.is_closing()
        ):
            # closing it would wait until the client has received the rest of a response
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Parse received bytes, up to the size limit of a head."""
        while data and not self.transport.is_closing():
            # no byte beyond the limit is parsed as part of a head: a request that has started gets no 431
            size = min(_PIECE_BYTES, MAX_HEAD_BYTES - self._head) if self._in_head else _PIECE_BYTES
            piece, data = data[:size], data[size:]
            self._piece = len(piece)
            self._head += self._piece
            super().data_received(piece)
            if self._head > MAX_HEAD_BYTES or (self._in_head and self._head == MAX_HEAD_BYTES):
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def on_message_begin(self) -> None:
        """Start the time and the count of bytes of a request."""
        if len(self.pipeline) >= MAX_PIPELINED:
            # the parser stops, and the connection is closed with the status 400
            raise ValueError("too many pipelined requests")
        self._receiving, self._since, self._head = True, self.loop.time(), self._piece
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """End the head."""
        self._in_head = False
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Leave the body out of the count of bytes."""
        self._head -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Stop the time of a request, and begin the next head."""
        self._receiving, self._in_head, self._head = False, True, 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Start the time until the next request."""
        self._since = self.loop.time()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Start the time in which the client must receive a response."""
        self._since = self.loop.time()
        super().pause_writing()

    def _refuse(self, status: HTTPStatus) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.write(STATUS_LINE[status] + b"content-length: 0\r\nconnection: close\r\n\r\n")
        self.transport.close()


class LimitedServer(uvicorn.Server):
    """A server that closes connections whose client has exceeded a time limit."""

    async def on_tick(self, counter: int) -> bool:
        """Check the connections once per second."""
        if counter % 10 == 0:
            now = asyncio.get_running_loop().time()
            for connection in list(self.server_state.connections):
                if isinstance(connection, LimitedConnection):
                    connection.close_if_late(now)
        return await super().on_tick(counter)


def connection_class(most: int) -> type[LimitedConnection]:
    """Return the class of the connections of a server that has at most so many, or as many as the system allows.

    The soft limit of descriptors is raised if it is too low.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = most + _RESERVED_DESCRIPTORS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        if soft < wanted:
            most = max(1, soft - _RESERVED_DESCRIPTORS)
            logger.warning(
                "the system allows %d open files, so the service accepts %d connections. Raise the limit (ulimit -n).",
                soft,
                most,
            )
    return type("Connection", (LimitedConnection,), {"max_connections": most})

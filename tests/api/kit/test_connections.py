"""Limits of connections, on a real server: size of a head, time to send a request, number, and trusted proxies."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import pytest

from api.kit import connections
from api.kit.connections import MAX_HEAD_BYTES, LimitedServer
from api.server import server_config
from api.settings import Settings

Server = Callable[..., tuple[str, int]]
HEAD = b"POST / HTTP/1.1\r\nHost: localhost\r\n"
REQUEST = HEAD + b"Content-Length: 2\r\n\r\n{}"
LARGE = 20_000_000


async def respond(scope: Any, receive: Any, send: Any) -> None:
    """Respond with the address of the caller, or with a large body."""
    while (await receive()).get("more_body"):
        pass
    body = b"x" * LARGE if scope["path"] == "/large" else scope["client"][0].encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@contextmanager
def served(settings: Settings) -> Iterator[tuple[str, int]]:
    config = server_config(respond, settings)
    server = LimitedServer(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=asyncio.run, args=(server.serve([listener]),))
        thread.start()
        try:
            yield listener.getsockname()
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture
def start(tmp_path: Any) -> Iterator[Server]:
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(served(Settings(home=tmp_path, **options)))


def received(caller: socket.socket) -> bytes:
    """Return what a connection received until it was closed."""
    chunks = []
    with suppress(ConnectionError):
        while chunk := caller.recv(65_536):
            chunks.append(chunk)
    return b"".join(chunks)


def send(address: tuple[str, int], *parts: bytes, seconds: float = 5) -> bytes:
    """Send parts until the connection is closed, and return the response."""
    with socket.create_connection(address, timeout=seconds) as caller:
        with suppress(ConnectionError):
            for part in parts:
                caller.sendall(part)
        return received(caller)


CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("first", "repeated", "status"),
    [
        (HEAD, b"X-Header: 1\r\n", b"431"),
        (HEAD + b"X-Header: ", b"1234567890", b"431"),
        (HEAD, b"X", b"431"),
        (b"GET /", b"1234567890", b"431"),
        (CHUNKED + b"0\r\n", b"X-Trailer: 1\r\n", b""),
        (CHUNKED, b"1;extension=1234567890\r\nx\r\n", b""),
        (b"", b"GET / HTTP/1.1\r\n\r\n", b"400"),
    ],
)
def test_a_head_without_end_is_refused(start: Server, first: bytes, repeated: bytes, status: bytes) -> None:
    count = 50 * MAX_HEAD_BYTES // len(repeated)
    response = send(start(), first, *[repeated * (count // 50)] * 50)
    # a system that resets the connection may discard the response
    assert not response or status in response
    assert b" 200 " not in response or status == b"400"


@pytest.mark.parametrize("size", [MAX_HEAD_BYTES + 1, 17_000, 18_500, 20_000, 24_000])
@pytest.mark.parametrize("piece", [1_000, 100_000])
def test_a_complete_head_beyond_the_limit_gets_an_answer(start: Server, size: int, piece: int) -> None:
    end = b"Connection: close\r\nContent-Length: 2\r\n\r\n"
    name = b"X-Header: "
    padding = size - len(HEAD + name + b"\r\n" + end)
    request = HEAD + name + b"1" * padding + b"\r\n" + end
    assert len(request) == size
    response = send(start(), *[request[at : at + piece] for at in range(0, size, piece)])
    # a system that resets the connection may discard the response, if more pieces were sent
    assert response.startswith(b"HTTP/1.1 431") or (piece == 1_000 and not response)


def test_a_head_may_have_the_limit_exactly(start: Server) -> None:
    end = b"Connection: close\r\nContent-Length: 2\r\n\r\n"
    padding = MAX_HEAD_BYTES - len(HEAD + b"X-Header: \r\n" + end)
    request = HEAD + b"X-Header: " + b"1" * padding + b"\r\n" + end
    with socket.create_connection(start(), timeout=5) as caller:
        for _ in range(2):
            caller.sendall(request.replace(b"Connection: close", b"Connection: keep-") + b"{}")
            response = b""
            while not response.endswith(b"127.0.0.1"):
                response += caller.recv(65_536)
            assert b" 200 " in response
        caller.sendall(request + b"{}")
        assert b" 200 " in received(caller)


def test_a_request_within_the_limits_is_handled(start: Server) -> None:
    address = start()
    header = b"X-Header: " + b"1" * (MAX_HEAD_BYTES - 200) + b"\r\n"
    body = b"x" * 65_536
    large = HEAD + header + b"Connection: close\r\nContent-Length: 65536\r\n\r\n" + body
    assert b" 200 " in send(address, large)
    chunks = b"".join(b"400\r\n" + b"x" * 1024 + b"\r\n" for _ in range(64))
    assert b" 200 " in send(
        address, CHUNKED.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), chunks, b"0\r\n\r\n"
    )
    last = REQUEST.replace(b"Host", b"Connection: close\r\nHost")
    assert send(address, *[REQUEST] * 4, last).count(b" 200 ") == 5


@pytest.mark.parametrize(
    "sent", [b"", b"\r\n", HEAD, HEAD + b"Content-Length: 9\r\n\r\n{}", CHUNKED + b"1\r\nx", REQUEST, REQUEST + b"\r\n"]
)
def test_a_client_that_does_not_send_a_request_is_disconnected(
    start: Server, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(connections, "MAX_REQUEST_SECONDS", 0.5)
    address, started = start(), time.monotonic()
    send(address, sent)
    assert time.monotonic() - started < 4


def test_a_head_that_trickles_in_is_disconnected(start: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MAX_REQUEST_SECONDS", 0.5)

    def trickle(caller: socket.socket) -> None:
        caller.sendall(HEAD)
        for _ in range(40):
            time.sleep(0.1)
            caller.sendall(b"X-H: 1\r\n")

    with socket.create_connection(start(), timeout=5) as caller, pytest.raises(ConnectionError):
        trickle(caller)


def test_a_client_that_does_not_receive_is_disconnected(start: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MAX_STALL_SECONDS", 0.5)
    with socket.create_connection(start(), timeout=5) as caller:
        caller.sendall(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n")
        time.sleep(3)
        assert len(received(caller)) < LARGE


def test_idle_connections_do_not_keep_others_out(start: Server) -> None:
    address = start(max_connections=10)
    with ExitStack() as stack:
        idle = [stack.enter_context(socket.create_connection(address, timeout=5)) for _ in range(40)]
        for caller in idle[::2]:
            with suppress(ConnectionError):
                caller.sendall(HEAD)
        request = REQUEST.replace(b"Host", b"Connection: close\r\nHost")
        assert [b" 200 " in send(address, request) for _ in range(20)] == [True] * 20


@pytest.mark.parametrize(
    ("trusted", "forwarded", "address"),
    [
        (None, "203.0.113.7", "127.0.0.1"),
        ("10.0.0.0/8", "203.0.113.7", "127.0.0.1"),
        ("127.0.0.1", "203.0.113.7", "203.0.113.7"),
        ("127.0.0.0/8,10.0.0.1", "198.51.100.1, 203.0.113.7, 10.0.0.1", "203.0.113.7"),
        ("127.0.0.1", None, "127.0.0.1"),
    ],
)
def test_only_trusted_proxies_state_the_address_of_a_caller(
    start: Server, monkeypatch: pytest.MonkeyPatch, trusted: str | None, forwarded: str | None, address: str
) -> None:
    # uvicorn's own variable has no effect
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "*")
    if trusted:
        monkeypatch.setenv("SELLERSCORE_TRUSTED_PROXIES", trusted)
    header = f"X-Forwarded-For: {forwarded}\r\n" if forwarded else ""
    response = send(start(), REQUEST.replace(b"Host", f"Connection: close\r\n{header}Host".encode()))
    assert response.endswith(f"\r\n\r\n{address}".encode())

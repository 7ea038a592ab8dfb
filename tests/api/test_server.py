"""The listener: what asyncio asks of it before it sends small packets at once."""

from __future__ import annotations

import socket

import pytest

from api.server import _listen


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_connection_is_known_to_be_tcp(host: str) -> None:
    with _listen(host, 0) as listener, socket.create_connection(listener.getsockname()[:2]):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.proto == socket.IPPROTO_TCP

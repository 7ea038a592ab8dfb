"""The keys by which callers name their requests: how one is given, what is stored of it, and which are at work now.

A key is stored with what it made, in the same transaction, so that a process that is killed leaves both or neither;
what fails leaves nothing, and the key stays free. Neither a key nor a request is stored as it was given: a bank may
write a seller's id into a key, so it is a MAC under the ledger's master key; the MAC of a request is made under a key
of the caller's choice, a seller's where the request is about one, and says nothing once that key is destroyed.
"""

from __future__ import annotations

import hmac
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated, Final

from fastapi import Depends, Header, Request
from fastapi.exceptions import RequestValidationError
from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from api.errors import IdempotencyKeyInFlight
from scoring.canonical import canonical_json

HEADER: Final = "Idempotency-Key"
REPLAYED: Final = "Idempotency-Replayed"
"""The header of an answer that was given before."""

LONGEST: Final = 255
_MESSAGE: Final = f"1 to {LONGEST} printable ASCII characters are allowed, once"


@dataclass(frozen=True, slots=True)
class Named:
    """A request under its caller's key, as it is stored: `kept_for` is for how long the key stands for it."""

    name: str
    owner: str
    operation: str
    request: bytes = field(repr=False)
    kept_for: timedelta

    def mac(self, secret: bytes) -> str:
        """Return what tells this request from another to whoever has the secret, and nothing to anyone else."""
        return hmac.digest(secret, self.request, "sha256").hex()


class Keys:
    """Names the keys of callers, and knows which are at work in this process.

    Example:
        >>> keys = Keys(bytes(32), timedelta(days=7))
        >>> with keys.at_work(keys.named("bank-1", "order 17", ("createScore", b"{}"))):  # doctest: +SKIP
        ...     ...  # of two at once the second is told to come again
    """

    def __init__(self, master: bytes, kept_for: timedelta) -> None:
        self._secret = hmac.digest(master, b"idempotency keys", "sha256")
        self._kept_for = kept_for
        self._at_work: set[str] = set()
        self._lock = threading.Lock()

    def named(self, owner: str, key: str, asked: tuple[str, bytes]) -> Named:
        """Return what is stored of a caller's key; `asked` is the operation and the canonical JSON of the request."""
        name = hmac.digest(self._secret, canonical_json([owner, key]), "sha256").hex()
        return Named(name, owner, *asked, self._kept_for)

    @contextmanager
    def at_work(self, named: Named) -> Iterator[None]:
        """Hold a key while its request is worked on.

        Two processes that work on the same key at once meet in the database, where one of them waits for the other.

        Raises:
            IdempotencyKeyInFlight: another request with it is being worked on.
        """
        with self._lock:
            if named.name in self._at_work:
                raise IdempotencyKeyInFlight
            self._at_work.add(named.name)
        try:
            yield
        finally:
            with self._lock:
                self._at_work.remove(named.name)


def _allowed(key: str) -> str:
    if not (0 < len(key) <= LONGEST and key.isascii() and key.isprintable()):
        raise PydanticCustomError("idempotency_key", _MESSAGE)
    return key


async def _given(
    request: Request,
    key: Annotated[
        str | None,
        AfterValidator(lambda key: key if key is None else _allowed(key)),
        Header(
            alias=HEADER,
            description=f"Your name for this request: 1 to {LONGEST} printable ASCII characters, another for each "
            "request. Sent again, it is answered as it was, and nothing is done twice. Without it, each call counts.",
            examples=["application-4711"],
        ),
    ] = None,
) -> str | None:
    # of two the framework would take either; neither is what a careful caller means
    if len(request.headers.getlist(HEADER)) > 1:
        raise RequestValidationError([{"type": "idempotency_key", "loc": ("header", HEADER), "msg": _MESSAGE}])
    return key


IdempotencyKey = Annotated[str | None, Depends(_given)]
"""The type by which an endpoint takes the header."""

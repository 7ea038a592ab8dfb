"""Checkpoints: signed tips of all chains, kept outside the database, and posted to an address at intervals.

A chain that was cut or rewritten no longer has the head in an earlier checkpoint. If the receiver is unavailable, the
log, readiness and metrics report it; scoring continues.
"""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPException
from typing import Any, Final
from urllib.parse import urlsplit

from sqlalchemy import Connection, Engine

from api.auth.signing_keys import KeyRing
from api.errors import DatabaseUnavailable, InputError, OutputError, SignatureError
from api.kit.background import DegradedConditions
from api.kit.database import snapshot
from api.kit.fields import format_timestamp
from api.ledger import store
from api.ledger.chain import Tip
from api.ledger.receipts import join_canonical, read_object
from api.settings import without_login
from scoring.canonical import canonical_json

TIMEOUT_SECONDS: Final = 10.0

_FIELD: Final = "signature"
_KIND: Final = "checkpoint+jws"
_ATTEMPTS: Final = 4
_FIRST_PAUSE: Final = 1.0
_MAX_DOUBLINGS: Final = 20


@dataclass(frozen=True)
class SentCheckpoint:
    """A checkpoint that the receiver accepted: its time, and the number of rows that it covers."""

    at: datetime
    rows: int


@dataclass
class SentCheckpoints:
    """The latest checkpoint that was sent since the service started."""

    latest: SentCheckpoint | None = None


def make_checkpoint(connection: Connection, ring: KeyRing, now: datetime) -> bytes:
    """Return a checkpoint of all chains as a signed JSON object.

    Example:
    `{"chains":[{"chain":"bank-3f9c","head":"5f70...","position":4812}],"created_at":"...","signature":"..."}`.
    """
    return sign_checkpoint(store.tips(connection), ring, now)


def sign_checkpoint(tips: Mapping[str, Tip], ring: KeyRing, now: datetime) -> bytes:
    """Return a checkpoint of these tips; see `make_checkpoint`."""
    chains = [{"chain": name, "position": tip.position, "head": tip.head.hex()} for name, tip in tips.items()]
    fields = {"chains": canonical_json(chains), "created_at": canonical_json(format_timestamp(now))}
    signature = ring.sign(join_canonical(fields), _KIND)
    return join_canonical({**fields, _FIELD: canonical_json(signature)})


def read_checkpoint(content: bytes, jwks: Mapping[str, Any]) -> dict[str, Tip]:
    """Verify a checkpoint and return its tips.

    Raises:
        SignatureError: It is not a checkpoint, was changed, or no key of the set signed it.
    """
    fields = read_object(content, _FIELD, _KIND, jwks)
    try:
        return {each["chain"]: Tip(int(each["position"]), bytes.fromhex(each["head"])) for each in fields["chains"]}
    except (KeyError, TypeError, ValueError) as error:
        raise SignatureError(
            "The signature is valid, but the object is not a checkpoint. Use a file of `ledger checkpoint`."
        ) from error


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Rejects redirects: only the configured receiver gets the checkpoint."""

    def redirect_request(self, *_: object) -> None:
        """Follow no redirect. The response counts as an error."""


def host_of(address: str) -> str:
    """Return the host of an address, which is the only part that messages show: the rest may hold a secret.

    Raises:
        InputError: It is not an http or https URL, or has a user or password.
    """
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError:
        parts, host = urlsplit(""), None
    if parts.scheme not in {"http", "https"} or not host:
        raise InputError("The address of a checkpoint must be a URL that starts with https:// or http://.")
    try:
        without_login(address)
    except ValueError as error:
        raise InputError(f"The address of a checkpoint {error}.") from error
    return host


def post(address: str, content: bytes) -> None:
    """Post a checkpoint once. Any response but a success is an error, redirects included.

    Raises:
        InputError: The address is not an http or https URL.
        OutputError: It was not accepted. The message names only the host, because the address may hold a secret.
    """
    host = host_of(address)
    request = urllib.request.Request(  # noqa: S310 - the scheme was checked
        address, content, {"Content-Type": "application/json", "User-Agent": "sellerscore"}, method="POST"
    )
    try:
        opener = urllib.request.build_opener(_NoRedirect)
        with opener.open(request, timeout=TIMEOUT_SECONDS):
            return
    except urllib.error.HTTPError as error:
        error.close()
        reason = f"status {error.code}"
    except (OSError, HTTPException, ValueError) as error:
        cause = error.reason if isinstance(error, urllib.error.URLError) else error
        reason = getattr(cause, "strerror", None) or type(cause).__name__
    raise OutputError(f"{host} did not accept the checkpoint ({reason}). Check the receiver and send it again.")


def post_with_retries(address: str, content: bytes) -> None:
    """Post a checkpoint, with several attempts and growing pauses.

    Raises:
        InputError: As for `post`.
        OutputError: The last attempt failed as well.
    """
    for number in range(_ATTEMPTS - 1):
        try:
            post(address, content)
        except OutputError:
            time.sleep(_FIRST_PAUSE * 2**number)
        else:
            return
    post(address, content)


class CheckpointSender:
    """Posts checkpoints to an address.

    Example: `CheckpointSender(engine, address, minutes=60, keys=keys, degraded=degraded, sent=sent).send()` returns the
    number of seconds until the next checkpoint.
    """

    def __init__(
        self,
        engine: Engine,
        address: str,
        *,
        minutes: float,
        keys: Callable[[], KeyRing],
        degraded: DegradedConditions,
        sent: SentCheckpoints,
    ) -> None:
        self._engine = engine
        self._address = address
        self._interval = 60.0 * minutes
        self._keys = keys
        self._degraded = degraded
        self._sent = sent
        self._failures = 0

    def send(self) -> float:
        """Send a checkpoint and return the pause until the next. After a failure it is short and grows."""
        now, latest = datetime.now(UTC), self._sent.latest
        try:
            with snapshot(self._engine) as connection:
                tips = store.tips(connection)
            post(self._address, sign_checkpoint(tips, self._keys(), now))
        except (OutputError, DatabaseUnavailable) as error:
            since = "the service started" if latest is None else f"{latest.at:%Y-%m-%d %H:%M} UTC"
            self._degraded.report("checkpoints", f"none was accepted since {since}.", str(error))
            self._failures += 1
            return min(_FIRST_PAUSE * 2.0 ** min(self._failures, _MAX_DOUBLINGS), self._interval)
        self._failures = 0
        self._sent.latest = SentCheckpoint(now, sum(tip.position for tip in tips.values()))
        self._degraded.report("checkpoints", None)
        return self._interval

"""Checkpoints: where every chain stood at a moment, signed, to be kept where the database's keepers cannot reach.

A chain that was cut, or written anew, no longer comes to the head that a checkpoint tells.

Posts a checkpoint to an address: no redirects, a few seconds, and no secret of the address in a message.

Checkpoints that leave the database by themselves: posted to an address that its keepers cannot reach.

A receiver that is away is told in the log, in readiness and in the metrics; it never stops a score.
"""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from http.client import HTTPException
from typing import Any, Final
from urllib.parse import urlsplit

from sqlalchemy import Connection

from api.auth.signing_keys import KeyRing
from api.errors import InputError, OutputError, SignatureError
from api.ledger import store
from api.ledger.chain import Tip, format_timestamp
from api.ledger.receipts import join_canonical, read_object
from api.settings import without_login
from scoring.canonical import canonical_json

_FIELD: Final = "signature"


_KIND: Final = "checkpoint+jws"


@dataclass(frozen=True)
class SentCheckpoint:
    """A checkpoint that was taken: when, and how many rows of all chains it covers."""

    at: datetime
    rows: int


@dataclass
class SentCheckpoints:
    """What was sent since the service began; `latest` is replaced whole."""

    latest: SentCheckpoint | None = None


def make_checkpoint(connection: Connection, ring: KeyRing, now: datetime) -> bytes:
    """Return a checkpoint of all chains as a signed JSON object.

    Example: `{"chains":[{"chain":"bank-3f9c","head":"5f70...","position":4812}],"made_at":"...","signature":"..."}`.
    """
    tips = store.tips(connection)
    chains = [{"chain": name, "position": tip.position, "head": tip.head.hex()} for name, tip in tips.items()]
    fields = {"chains": canonical_json(chains), "made_at": canonical_json(format_timestamp(now))}
    signature = ring.sign(join_canonical(fields), _KIND)
    return join_canonical({**fields, _FIELD: canonical_json(signature)})


def read_checkpoint(content: bytes, jwks: Mapping[str, Any]) -> dict[str, Tip]:
    """Return where each chain stood by a checkpoint.

    Raises:
        SignatureError: it is no checkpoint, is altered, or is signed by no key of the set.
    """
    found = read_object(content, _FIELD, _KIND, jwks)
    try:
        return {each["chain"]: Tip(int(each["position"]), bytes.fromhex(each["head"])) for each in found["chains"]}
    except (KeyError, TypeError, ValueError) as error:
        raise SignatureError("It is signed, but holds no chains; give a file made by `ledger checkpoint`.") from error


TIMEOUT_SECONDS: Final = 10.0


_TRIES: Final = 4


_FIRST_TRY_PAUSE: Final = 1.0


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Whoever was named takes the checkpoint, and nobody to whom they point."""

    def redirect_request(self, *_: object) -> None:
        """Follow none; the answer counts as a refusal."""


def host_of(address: str) -> str:
    """Return the host of an address, which is all that is told of it: the rest may hold a secret.

    Raises:
        InputError: it is neither https nor http, or holds a user or password.
    """
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError:
        parts, host = urlsplit(""), None
    if parts.scheme not in {"http", "https"} or not host:
        raise InputError("A checkpoint is sent to an address that begins with https:// or http://; give such a one.")
    try:
        without_login(address)
    except ValueError as error:
        raise InputError(f"The address of a checkpoint {error}.") from error
    return host


def post(address: str, content: bytes) -> None:
    """Post a checkpoint once; anything but a success is a refusal, a redirect too.

    Raises:
        InputError: the address is neither https nor http.
        OutputError: it was not taken; the message names the host alone, since an address may hold a secret.
    """
    host = host_of(address)
    request = urllib.request.Request(  # noqa: S310 - its scheme was looked at
        address, content, {"Content-Type": "application/json", "User-Agent": "sellerscore"}, method="POST"
    )
    try:
        opener = urllib.request.build_opener(_NoRedirect)
        with opener.open(request, timeout=TIMEOUT_SECONDS):
            return
    except urllib.error.HTTPError as error:
        error.close()
        reason = f"it answered {error.code}"
    except (OSError, HTTPException, ValueError) as error:
        cause = error.reason if isinstance(error, urllib.error.URLError) else error
        reason = getattr(cause, "strerror", None) or type(cause).__name__
    raise OutputError(f"The checkpoint was not taken by {host} ({reason}); see that it listens, and send again.")


def post_with_patience(address: str, content: bytes, tries: int = _TRIES) -> None:
    """Post a checkpoint, a few times with growing pauses where it is not taken.

    Raises:
        InputError: as `post`.
        OutputError: it was not taken the last time either.
    """
    for number in range(tries - 1):
        try:
            post(address, content)
        except OutputError:
            time.sleep(_FIRST_TRY_PAUSE * 2**number)
        else:
            return
    post(address, content)

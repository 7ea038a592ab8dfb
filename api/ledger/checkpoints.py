"""Checkpoints: where every chain stood at a moment, signed, to be kept where the database's keepers cannot reach.

A chain that was cut, or written anew, no longer comes to the head that a checkpoint tells.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection

from api.errors import SignatureError
from api.keyring import KeyRing
from api.ledger import repository
from api.ledger.chain import Tip, written
from api.signed import joined, read_object
from scoring.canonical import canonical_json

_FIELD: Final = "signature"
_KIND: Final = "checkpoint+jws"


@dataclass(frozen=True)
class Latest:
    """A checkpoint that was taken: when, and how many rows of all chains it covers."""

    at: datetime
    rows: int


@dataclass
class Sent:
    """What was sent since the service began; `latest` is replaced whole."""

    latest: Latest | None = None


def make(connection: Connection, ring: KeyRing, now: datetime) -> bytes:
    """Return a checkpoint of all chains as a signed JSON object.

    Example: `{"chains":[{"chain":"bank-3f9c","head":"5f70...","position":4812}],"made_at":"...","signature":"..."}`.
    """
    tips = repository.tips(connection)
    chains = [{"chain": name, "position": tip.position, "head": tip.head.hex()} for name, tip in tips.items()]
    fields = {"chains": canonical_json(chains), "made_at": canonical_json(written(now))}
    signature = ring.sign(joined(fields), _KIND)
    return joined({**fields, _FIELD: canonical_json(signature)})


def read(content: bytes, jwks: Mapping[str, Any]) -> dict[str, Tip]:
    """Return where each chain stood by a checkpoint.

    Raises:
        SignatureError: it is no checkpoint, is altered, or is signed by no key of the set.
    """
    found = read_object(content, _FIELD, _KIND, jwks)
    try:
        return {each["chain"]: Tip(int(each["position"]), bytes.fromhex(each["head"])) for each in found["chains"]}
    except (KeyError, TypeError, ValueError) as error:
        raise SignatureError("It is signed, but holds no chains; give a file made by `ledger checkpoint`.") from error

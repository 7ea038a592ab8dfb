"""JSON objects that carry their own signature: one field is a compact JWS over the canonical JSON of all the others.

The payload is attached, so whoever has the public keys needs nothing else; receipts and checkpoints are such objects.

What makes a receipt good: a signature over the very answer, and points that sum to its score.

Which public keys a command trusts: those of a file, or the service's own.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from api.auth.signing_keys import KeyRing, verified
from api.errors import InputError, SignatureError
from api.settings import Settings
from scoring.canonical import canonical_json

_SEGMENTS: Final = 3


def join_canonical(parts: Mapping[str, bytes]) -> bytes:
    """Return the canonical JSON of an object whose members are canonical JSON already.

    Example:
        >>> joined({"b": b"[1]", "a": b'"x"'})
        b'{"a":"x","b":[1]}'
    """
    return b"{" + b",".join(canonical_json(name) + b":" + parts[name] for name in sorted(parts)) + b"}"


def detach_payload(signed: str) -> str:
    """Return a compact JWS without its payload, which stands elsewhere: `header..signature`."""
    header, _, signature = signed.split(".")
    return f"{header}..{signature}"


def attach_payload(signed: str, payload: bytes) -> str:
    """Return a detached JWS with its payload back in place, as it was signed."""
    header, _, signature = signed.split(".")
    return f"{header}.{_encoded(payload)}.{signature}"


def read_object(content: bytes, field: str, kind: str, jwks: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was signed of an object whose field `field` is the JWS, of the type `kind`, over all the others.

    Example: `read_object(answer, "receipt", "receipt+jws", jwks)["assessment"]["score"]`.

    Raises:
        SignatureError: it is no such object, is altered, or is signed by no key of the set.
    """
    fields = _parsed(content)
    signed = fields.pop(field, None)
    if not isinstance(signed, str):
        raise SignatureError(
            f"It has no field {field} that holds a signature; give the whole object as it was answered."
        )
    payload = verify_strictly(signed, kind, jwks)
    try:
        same = canonical_json(fields) == payload
    except (ValueError, RecursionError):
        same = False
    if not same:
        raise SignatureError(f"What stands beside the {field} is not what was signed; it was altered.")
    return fields


def verify_strictly(signed: str, kind: str, jwks: Mapping[str, Any]) -> bytes:
    """Return the payload of a JWS, which must be written in the one way that signing writes it.

    Raises:
        SignatureError: it is altered, were it in a bit that base64 leaves free, or signed by no key of the set.
    """
    payload = verified(signed, kind, jwks)
    segments = signed.split(".")
    if len(segments) != _SEGMENTS or any(_encoded(_decoded(each)) != each for each in segments):
        raise SignatureError("It is not written as it was signed; it was altered.")
    return payload


def _parsed(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise SignatureError("It is no JSON object with every name once; give the file as it was answered.") from error
    if not isinstance(found, dict):
        raise SignatureError("It is no JSON object; give the file as it was answered.")
    return found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # of a name given twice one reader takes the first and another the last
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is given twice")
    return found


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode("ascii")


def _decoded(segment: str) -> bytes:
    return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))


@dataclass(frozen=True)
class Receipt:
    """What a genuine receipt says."""

    score_id: str
    seller_id: str
    scored_at: str
    outcome: str
    score: int | None
    chain: str
    position: int
    head: str


def verify_receipt(answer: bytes, jwks: Mapping[str, Any]) -> Receipt:
    """Return what an answer says whose receipt is genuine.

    Example: `verify(response.content, jwks).score` is 625.

    Raises:
        SignatureError: it is altered, unsigned or signed by no key of the set, or the points do not sum.
    """
    fields = read_object(answer, "receipt", RECEIPT, jwks)
    try:
        assessment, place = fields["assessment"], fields["ledger"]
        explanation = assessment["explanation"]
        if explanation is not None:
            points = sum(each["points"] for each in explanation["contributions"])
            if explanation["base_points"] + points != assessment["score"]:
                raise SignatureError("It is signed, but its points do not sum to its score; report it.")
        said = (fields["id"], fields["seller_id"], fields["scored_at"], assessment["outcome"], assessment["score"])
        return Receipt(*said, place["chain"], place["position"], place["head"])
    except (KeyError, TypeError) as error:
        raise SignatureError("It is signed, but is no score; give an answer of POST /v1/scores.") from error


def load_trusted_keys(settings: Settings, file: Path | None = None) -> dict[str, Any]:
    """Return a JWK set: of the file, such as `/.well-known/jwks.json` served, or of the state folder.

    Raises:
        InputError: the file holds no JWK set, or the state folder no keys.
        KeyRingError: the state folder's keys cannot be used.
    """
    if file is not None:
        return _set_in(file)
    # none are made here: keys made now verify nothing that was signed before
    if not any(settings.receipt_keys_path.glob("*.jwk")):
        raise InputError(
            f"There are no keys in {settings.receipt_keys_path}; give the service's public ones with --jwks, or set "
            "SELLERSCORE_HOME."
        )
    return KeyRing.open(settings.receipt_keys_path).jwks


def _set_in(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_bytes())
        sound = all(isinstance(key[name], str) for key in found["keys"] for name in ("kid", "kty", "crv", "x"))
    except OSError as error:
        raise InputError(f"The keys in {file} cannot be read ({error.strerror}); name another file.") from error
    except (ValueError, TypeError, KeyError, RecursionError):
        sound = False
    if not sound:
        raise InputError(f"The file {file} holds no JWK set; save what /.well-known/jwks.json answers.")
    return {"keys": found["keys"]}


RECEIPT: Final = "receipt+jws"

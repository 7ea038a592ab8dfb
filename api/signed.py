"""JSON objects that carry their own signature: one field is a compact JWS over the canonical JSON of all the others.

The payload is attached, so whoever has the public keys needs nothing else; receipts and checkpoints are such objects.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any, Final

from api.errors import SignatureError
from api.keyring import verified
from scoring.canonical import canonical_json

_SEGMENTS: Final = 3


def joined(parts: Mapping[str, bytes]) -> bytes:
    """Return the canonical JSON of an object whose members are canonical JSON already.

    Example:
        >>> joined({"b": b"[1]", "a": b'"x"'})
        b'{"a":"x","b":[1]}'
    """
    return b"{" + b",".join(canonical_json(name) + b":" + parts[name] for name in sorted(parts)) + b"}"


def detached(signed: str) -> str:
    """Return a compact JWS without its payload, which stands elsewhere: `header..signature`."""
    header, _, signature = signed.split(".")
    return f"{header}..{signature}"


def attached(signed: str, payload: bytes) -> str:
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
    payload = strictly_verified(signed, kind, jwks)
    try:
        same = canonical_json(fields) == payload
    except (ValueError, RecursionError):
        same = False
    if not same:
        raise SignatureError(f"What stands beside the {field} is not what was signed; it was altered.")
    return fields


def strictly_verified(signed: str, kind: str, jwks: Mapping[str, Any]) -> bytes:
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

"""Signed JSON objects: scores with their receipt, and checkpoints.

One field of a signed object, such as `receipt`, is a compact JWS over the canonical JSON of all other fields. It can be
verified with the public keys alone.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import msgspec

from api.auth.signing_keys import KeyRing, verify_jws
from api.errors import InputError, SignatureError
from api.settings import Settings
from features.regular_files import read_small_file
from scoring.canonical import canonical_json

RECEIPT: Final = "receipt+jws"


def join_canonical(parts: Mapping[str, bytes]) -> bytes:
    """Return the canonical JSON of an object whose values are canonical JSON already.

    Example:
        >>> join_canonical({"b": b"[1]", "a": b'"x"'})
        b'{"a":"x","b":[1]}'
    """
    return b"{" + b",".join(_encode_name(name) + parts[name] for name in sorted(parts)) + b"}"


@lru_cache(1_000)
def _encode_name(name: str) -> bytes:
    return canonical_json(name) + b":"


def split_canonical(content: bytes) -> dict[str, bytes]:
    """Return the values of an object as JSON, without parsing them; the reverse of `join_canonical`.

    Example:
        >>> split_canonical(b'{"a":"x","b":[1]}')
        {'a': b'"x"', 'b': b'[1]'}

    Raises:
        ValueError: It is not a JSON object.
    """
    try:
        return {name: bytes(value) for name, value in msgspec.json.decode(content, type=dict[str, msgspec.Raw]).items()}
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from error


def detach_payload(signed: str) -> str:
    """Return a compact JWS without its payload: `header..signature`."""
    header, _, signature = signed.split(".")
    return f"{header}..{signature}"


def attach_payload(signed: str, payload: bytes) -> str:
    """Return a detached JWS with its payload restored."""
    header, _, signature = signed.split(".")
    return f"{header}.{_encode(payload)}.{signature}"


def read_object(content: bytes, field: str, kind: str, jwks: Mapping[str, Any]) -> dict[str, Any]:
    """Return the verified fields of an object whose field `field` is a JWS of type `kind` over all other fields.

    Example: `read_object(body, "receipt", "receipt+jws", jwks)["assessment"]["score"]`.

    Raises:
        SignatureError: The object has no such field, was changed, or no key of the set signed it.
    """
    fields = _parse(content)
    signed = fields.pop(field, None)
    if not isinstance(signed, str):
        raise SignatureError(f"The object has no field {field} with a signature. Use the complete response or file.")
    payload = verify_jws(signed, kind, jwks)
    try:
        unchanged = canonical_json(fields) == payload
    except (ValueError, RecursionError):
        unchanged = False
    if not unchanged:
        raise SignatureError(f"The fields differ from those that the {field} signs: the object was changed.")
    return fields


def _parse(body: bytes) -> dict[str, Any]:
    try:
        content = json.loads(body, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise SignatureError(
            "The file is not a JSON object, or a name occurs twice in it. Use the complete response or file."
        ) from error
    if not isinstance(content, dict):
        raise SignatureError("The file is not a JSON object. Use the complete response or file.")
    return content


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # parsers differ in which value of a repeated name they use
    unique = dict(pairs)
    if len(unique) != len(pairs):
        raise ValueError("a name occurs twice")
    return unique


def _encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode("ascii")


@dataclass(frozen=True)
class VerifiedScore:
    """The content of a score whose receipt is valid."""

    score_id: str
    seller_id: str
    scored_at: str
    outcome: str
    score: int | None
    chain: str
    position: int
    head: str


def verify_receipt(body: bytes, jwks: Mapping[str, Any]) -> VerifiedScore:
    """Verify the receipt of a score and return the content of the score.

    Example: `verify_receipt(response.content, jwks).score` is 625.

    Raises:
        SignatureError: The score was changed, no key of the set signed it, or its points do not sum to the score.
    """
    fields = read_object(body, "receipt", RECEIPT, jwks)
    try:
        assessment, position = fields["assessment"], fields["ledger"]
        explanation = assessment["explanation"]
        if explanation is not None:
            points = sum(each["points"] for each in explanation["contributions"])
            if explanation["base_points"] + points != assessment["score"]:
                raise SignatureError(
                    "The signature is valid, but the points do not sum to the score. Report this to the operator."
                )
        values = (fields["id"], fields["seller_id"], fields["scored_at"], assessment["outcome"], assessment["score"])
        return VerifiedScore(*values, position["chain"], position["position"], position["head"])
    except (KeyError, TypeError) as error:
        raise SignatureError(
            "The signature is valid, but the object is not a score. Use a response of POST /v1/scores."
        ) from error


def load_trusted_keys(settings: Settings, file: Path | None = None) -> dict[str, Any]:
    """Return the JWK set of a file, such as the response of `/.well-known/jwks.json`, or of the state folder.

    Raises:
        InputError: The file is not a JWK set, or the state folder has no keys.
        KeyRingError: The keys of the state folder cannot be used.
    """
    if file is not None:
        return _read_jwks(file)
    # no keys are created here: new keys cannot verify existing signatures
    if not any(settings.receipt_keys_path.glob("*.jwk")):
        raise InputError(
            f"There are no keys in {settings.receipt_keys_path}. Pass the public keys of the service with --jwks, or "
            "set SELLERSCORE_HOME."
        )
    return KeyRing.open(settings.receipt_keys_path).jwks


def _read_jwks(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(read_small_file(file))
        valid = all(isinstance(key[name], str) for key in content["keys"] for name in ("kid", "kty", "crv", "x"))
    except OSError as error:
        raise InputError(f"The keys in {file} cannot be read ({error.strerror}).") from error
    except (ValueError, TypeError, KeyError, RecursionError):
        valid = False
    if not valid:
        raise InputError(f"The file {file} is not a JWK set. Save the response of /.well-known/jwks.json.")
    return {"keys": content["keys"]}

"""Canonical JSON and SHA-256 digests: equal values have equal bytes."""

import hashlib
import json

# created once: with these options json.dumps would create an encoder on every call
_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


def canonical_json(value: object) -> bytes:
    """Return `value` as JSON in UTF-8, with sorted keys and without spaces.

    Example:
        >>> canonical_json({"b": 0.1, "a": None})
        b'{"a":null,"b":0.1}'

    Raises:
        ValueError: a number is NaN or infinite.
    """
    return _encode(value).encode()


def sha256(content: bytes) -> str:
    """Return a digest in the form that all version identifiers use.

    Example:
        >>> sha256(b"")[:15]
        'sha256:e3b0c442'
    """
    return "sha256:" + hashlib.sha256(content).hexdigest()

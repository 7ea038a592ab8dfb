"""One way to write a value as bytes, so that equal values have equal bytes and digests."""

import hashlib
import json

# made once: json.dumps makes one for every call that is not its default
_WRITE = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


def canonical_json(value: object) -> bytes:
    """Return `value` as JSON with sorted keys, no spaces and UTF-8 text; NaN and infinities are refused.

    Example:
        >>> canonical_json({"b": 0.1, "a": None})
        b'{"a":null,"b":0.1}'

    Raises:
        ValueError: a number is NaN or infinite.
    """
    return _WRITE(value).encode()


def sha256(content: bytes) -> str:
    """Return the digest in the form that all versions are written in.

    Example:
        >>> sha256(b"")[:15]
        'sha256:e3b0c442'
    """
    return "sha256:" + hashlib.sha256(content).hexdigest()

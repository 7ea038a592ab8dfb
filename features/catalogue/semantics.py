"""Digests of definitions: SHA-256 over their canonical JSON.

Expressions and facts are named by their tags, so that a digest depends neither on class names nor on Python's `repr`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields
from datetime import date

from features.expressions import Expr
from features.facts import Fact


def to_json(value: object) -> object:
    """Return a definition as JSON values. An expression or a fact is an object with its tag as the only key.

    Example:
        >>> to_json(Root(Number(2.0)))
        {'root': {'of': {'number': {'value': 2.0}}}}

    Raises:
        TypeError: the value, or a value inside it, has an unsupported type.
    """
    match value:
        case None | bool() | int() | float() | str():
            return value
        case date():
            return value.isoformat()
        case tuple() | list():
            return [to_json(item) for item in value]
        case dict():
            return {key: to_json(item) for key, item in value.items()}
        case Expr() | Fact():
            return {value.tag: {field.name: to_json(getattr(value, field.name)) for field in fields(value)}}
    raise TypeError(f"A {type(value).__name__} cannot be part of a definition: {value!r}.")


def digest_of(definition: Mapping[str, object]) -> str:
    """Return the SHA-256 over a definition, `sha256:` and 64 hexadecimal digits.

    Example:
        >>> digest_of({"steps": 12, "step_days": 30}) == digest_of({"step_days": 30, "steps": 12})
        True

    Raises:
        TypeError: see `to_json`.
        ValueError: a number is NaN or infinite.
    """
    content = json.dumps(to_json(definition), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return "sha256:" + hashlib.sha256(content.encode()).hexdigest()

"""Client secrets: random, shown once, kept as argon2id hashes, and proved in the same time whatever is wrong.

A secret is `sellerscore_<name>_<random>`: the name, no secret itself, finds the one hash to compare with, so that each
attempt costs one comparison, of an unknown client too.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError

_BYTES: Final = 32
_NAME_BYTES: Final = 6
_MOST_CHARACTERS: Final = 200
_SHAPE: Final = re.compile(r"sellerscore_([0-9a-f]{12})_[A-Za-z0-9_-]{43}")

_hasher: Final = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
"""Second of OWASP's settings for argon2id: 20 ms; a secret of 256 random bits needs no more."""

_NOBODYS: Final = "$argon2id$v=19$m=19456,t=2,p=1$LLHthjBSyno8n5UUUOiOgg$Pf2rJF/knxRjkhFEcCvcgCkdcnzls4NMDS0cMzOAnC0"
"""A hash of the same cost that no secret has, to compare with where there is none."""


@dataclass(frozen=True)
class NewSecret:
    """A secret that was just made: `text` goes to the client, once; `name` and `hash` are kept."""

    name: str
    text: str = field(repr=False)
    hash: str = field(repr=False)


def make_secret() -> NewSecret:
    """Make a secret of 256 random bits.

    Example: its text is like `sellerscore_5f0c6f3e0f0b_Jq7…`.
    """
    name = secrets.token_hex(_NAME_BYTES)
    text = f"sellerscore_{name}_{secrets.token_urlsafe(_BYTES)}"
    return NewSecret(name, text, _hasher.hash(text))


def name_in(text: str) -> str | None:
    """Return the name that a secret carries, None where it cannot be one of ours."""
    found = _SHAPE.fullmatch(text)
    return None if found is None else found[1]


def matches(text: str, kept: str | None) -> bool:
    """Tell whether the text is the secret with this hash; without a hash it takes as long, and is not."""
    try:
        return _hasher.verify(kept or _NOBODYS, text[:_MOST_CHARACTERS]) and kept is not None
    except VerificationError:
        return False

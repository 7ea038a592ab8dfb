"""Sellers who were erased, by keyed hashes of their ids: no row of theirs is kept, whenever it is delivered again.

The list says that somebody was erased and never who; whether an id is one of theirs can be asked, with the key at hand.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

from features.durable import flush, replace_text
from features.errors import StoreError

_LIST: Final = "erased.json"
_KEY: Final = "erased.key"
ID_COLUMNS: Final = ("seller_id", "store_id", "loan_id")
"""By which of its columns a row is a seller's, in the order in which they are found out."""

_BETWEEN: Final = re.compile(r"[,;\t|\"\s]+")


@dataclass(frozen=True)
class Erased:
    """The hashes of erased ids by column; `swept` says that no stored row has one of them any more."""

    key: bytes
    hashes: Mapping[str, frozenset[str]] = field(default_factory=lambda: MappingProxyType({}))
    swept: bool = True

    def __bool__(self) -> bool:
        """Return whether anybody was erased."""
        return any(self.hashes.values())

    def holds(self, column: str, value: str | None) -> bool:
        """Return whether an id is an erased one."""
        return value is not None and self._hash(column, value) in self.hashes.get(column, ())

    def named_in(self, line: str | None) -> bool:
        """Return whether a line that could not be read as a row names an erased id."""
        words = _BETWEEN.split(line) if line else ()
        return any(self.holds(column, word) for column in ID_COLUMNS for word in words)

    def among(self, column: str, values: Iterable[str | None]) -> list[str]:
        """Return those of some ids that were erased."""
        return [value for value in values if value is not None and self.holds(column, value)]

    def with_ids(self, column: str, values: Iterable[str]) -> Erased:
        """Return the list with more ids in it, to be swept for."""
        known = self.hashes.get(column, frozenset())
        more = known | {self._hash(column, value) for value in values}
        if more == known:
            return self
        return replace(self, hashes=MappingProxyType({**self.hashes, column: more}), swept=False)

    def _hash(self, column: str, value: str) -> str:
        content = f"{column} {value}".encode("utf-8", "surrogateescape")
        return hmac.new(self.key, content, hashlib.sha256).hexdigest()


def read_erased(store: Path) -> Erased:
    """Return who was erased from the store in a folder; nobody where there is no list.

    Raises:
        StoreError: the list or its key cannot be read, so that nobody knows whose rows may be kept.
    """
    try:
        if not (store / _LIST).exists():
            return Erased(_read_key(store) or b"")
        content = json.loads((store / _LIST).read_text(encoding="utf-8"))
        hashes = {column: frozenset(map(str, content["hashes"][column])) for column in ID_COLUMNS}
        key = _read_key(store)
        if key is None:
            raise ValueError("no key")
        return Erased(key, MappingProxyType(hashes), bool(content["swept"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{store / _LIST} or {_KEY} beside it cannot be read, which say whose rows may not be kept; restore both "
            "from a backup"
        ) from error


def write_erased(store: Path, erased: Erased) -> None:
    """Write the list durably and in one step; from then on it binds whoever takes a delivery."""
    hashes = {column: sorted(erased.hashes.get(column, ())) for column in ID_COLUMNS}
    replace_text(store / _LIST, json.dumps({"swept": erased.swept, "hashes": hashes}, indent=1) + "\n")


def with_key(store: Path, erased: Erased) -> Erased:
    """Return the list with a key, making one for its owner alone where there is none."""
    if erased.key:
        return erased
    key = secrets.token_bytes(32)
    draft = store / f"{_KEY}.new"
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(key.hex() + "\n")
    flush(draft)
    draft.replace(store / _KEY)
    flush(store)
    return replace(erased, key=key)


def _read_key(store: Path) -> bytes | None:
    path = store / _KEY
    return bytes.fromhex(path.read_text(encoding="ascii").strip()) if path.exists() else None

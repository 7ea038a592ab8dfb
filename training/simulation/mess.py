"""What goes wrong on the way: rows that no contract allows, rows sent twice, and rows that contradict another.

Bad rows are added beside the good ones, never put in their place, so that their number is known exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from training.simulation.rows import Coded, Rows

_MALFORMED_SHARE: Final = 0.001
_DUPLICATE_SHARE: Final = 0.0003
_CONFLICT_SHARE: Final = 0.0001
_NOWHERE: Final = "T-999999-9"
"""A store that no seller has."""
_UNKNOWN_CURRENCY: Final = "XXQ"
_UNKNOWN_CHANNEL: Final = "pigeon"
_UNKNOWN_COUNTRY: Final = "UK"


@dataclass(frozen=True)
class Mess:
    """How many bad rows of each sort were added."""

    malformed: int = 0
    duplicates: int = 0
    conflicts: int = 0


Flaw = Callable[[Rows], Rows]


def _negative(money: str) -> Flaw:
    return lambda rows: rows.replace(**{money: -rows.array(money) - 1.0})


def _not_a_number(money: str) -> Flaw:
    return lambda rows: rows.replace(**{money: np.full(len(rows), np.nan)})


def _word(column: str, word: str) -> Flaw:
    return lambda rows: rows.replace(**{column: Coded(np.zeros(len(rows), dtype=np.int32), (word,))})


_FLAWS: Final[Mapping[str, tuple[Flaw, ...]]] = {
    "orders": (
        _negative("amount"),
        _not_a_number("amount"),
        _word("currency", _UNKNOWN_CURRENCY),
        _word("channel", _UNKNOWN_CHANNEL),
        _word("buyer_country", _UNKNOWN_COUNTRY),
        _word("store_id", _NOWHERE),
    ),
    "refunds": (
        _negative("amount"),
        _not_a_number("amount"),
        _word("currency", _UNKNOWN_CURRENCY),
        _word("reason", _UNKNOWN_CHANNEL),
        _word("store_id", _NOWHERE),
    ),
    "traffic": (
        _negative("ad_spend"),
        _word("currency", _UNKNOWN_CURRENCY),
        _word("channel", _UNKNOWN_CHANNEL),
        _word("store_id", _NOWHERE),
    ),
}
_MONEY: Final = {"orders": "amount", "refunds": "amount", "traffic": "ad_spend"}


def with_mess(rows: Rows, rng: np.random.Generator) -> tuple[Rows, Mess]:
    """Add the bad rows; tables without money that buyers or ads move stay clean.

    A malformed row is a copy of a good one with one flaw and, where the table has ids of its own, a new id
    (`X-...`); a conflict repeats a key with another amount. No row is the model of two bad ones.
    """
    if rows.table not in _FLAWS:
        return rows, Mess()
    luck = rng.random(len(rows))
    edges = np.cumsum([_MALFORMED_SHARE, _DUPLICATE_SHARE, _CONFLICT_SHARE])
    sort = np.searchsorted(edges, luck, side="right")
    models = [np.flatnonzero(sort == n) for n in range(3)]
    messy = rows
    for bad in (*_malformed(_renamed(rows.take(models[0]))), rows.take(models[1]), _conflicting(rows.take(models[2]))):
        messy = messy.append(bad) if len(bad) else messy
    return messy, Mess(*(len(model) for model in models))


def _malformed(rows: Rows) -> list[Rows]:
    """The rows dealt out to the flaws of their table in turn."""
    flaws = _FLAWS[rows.table]
    turn = np.arange(len(rows)) % len(flaws)
    return [flaw(rows.take(turn == n)) for n, flaw in enumerate(flaws)]


def _renamed(rows: Rows) -> Rows:
    """Rows with ids of their own get fresh ones: the first letter becomes X."""
    key = {"orders": "order_id", "refunds": "refund_id"}.get(rows.table)
    if key is None or not len(rows):
        return rows
    ids = np.ascontiguousarray(rows.array(key)).copy()
    ids.view(np.uint8).reshape(len(ids), -1)[:, 0] = ord("X")
    return rows.replace(**{key: ids})


def _conflicting(rows: Rows) -> Rows:
    money = _MONEY[rows.table]
    return rows.replace(**{money: rows.array(money) + 1.0})

"""Check that each score uses exactly the corrections that decisions in the ledger gave before it.

The table of corrections is compared with the ledger when `ledger verify` runs. A row that someone inserted, changed or
deleted for a moment only shows in the inputs of the scores that were issued at that time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, select

from api.ledger.chain import CLOCK_TOLERANCE, SELF_CHAIN, EntryKind, Header, LedgerFault
from api.ledger.checks import CheckedRow, Page
from api.ledger.encryption import seller_keys
from api.ledger.store import ledger

_CORRECTED: Final = b'"corrections":'
_DECIDED = select(ledger.c.subject).where(ledger.c.chain == SELF_CHAIN, ledger.c.kind == EntryKind.DECISION).distinct()


@dataclass(frozen=True)
class _Given:
    """A correction that a decision gave for one midnight; `used` is its form in the inputs of a score."""

    header: Header
    as_of: str
    feature: str
    catalogue: str | None
    used: Mapping[str, Any]


@dataclass(frozen=True)
class _Inputs:
    """The corrections in the inputs of a score, by feature."""

    header: Header
    as_of: str | None
    catalogue: str | None
    corrections: Mapping[str, Any]


class UsedCorrectionCheck:
    """Compares the corrections in the inputs of scores with the decisions.

    A correction applies to the figures of its midnight from its decision on, until a later decision about the same
    figure. The decision and a score of a bank are in different chains, so their times are compared, with the tolerance
    for the clocks of several hosts. Within it, a score may be with or without the correction.

    Only the inputs of sellers with a decision, or with a correction, are parsed.

    Example: `verify(engine, ledger, jwks, [UsedCorrectionCheck()])`.
    """

    def __init__(self) -> None:
        self._decided: frozenset[str] | None = None
        self._given: list[_Given] = []
        self._inputs: list[_Inputs] = []
        # by chain, because a chain is verified again if an erasure was recorded during the check
        self._all_given: dict[str, list[_Given]] = {}
        self._all_inputs: dict[str, list[_Inputs]] = {}

    def remember(self, rows: Sequence[CheckedRow]) -> None:
        """Take in earlier decisions."""
        self._given += filter(None, map(_given, rows))

    def page(self, connection: Connection, page: Page) -> Iterator[LedgerFault]:
        """Take in the decisions and the corrected inputs of these rows. They are compared at the end."""
        if self._decided is None:
            self._decided = frozenset(connection.scalars(_DECIDED))
        for row in page.rows:
            self._given += filter(None, [_given(row)])
            if (inputs := _inputs(row, self._decided)) is not None:
                self._inputs.append(inputs)
        return iter(())

    def end_chain(self, connection: Connection, chain: str) -> Iterator[LedgerFault]:  # noqa: ARG002
        """Keep what the chain has: the chain with the decisions, `self`, comes after those of banks."""
        self._all_given[chain], self._given = self._given, []
        self._all_inputs[chain], self._inputs = self._inputs, []
        return iter(())

    def other_chains(self, connection: Connection, chains: Set[str]) -> Iterator[LedgerFault]:  # noqa: ARG002
        """Yield the scores with another correction than the decisions gave, or without it."""
        given: dict[tuple[str, str], list[_Given]] = {}
        for each in self._all_given.get(SELF_CHAIN, []):
            given.setdefault((each.header.subject, each.as_of), []).append(each)
        for inputs in (each for chain in self._all_inputs.values() for each in chain):
            faults = list(_faults(inputs, given.get((inputs.header.subject, inputs.as_of or ""), [])))
            # the decisions of a seller who was erased during the check can no longer be read
            if faults and _has_key(connection, inputs.header.subject):
                yield from map(inputs.header.fault, faults)


def _given(row: CheckedRow) -> _Given | None:
    header = row.row.header
    if row.content is None or (header.chain, header.kind) != (SELF_CHAIN, EntryKind.DECISION):
        return None
    try:
        figure = row.fields["correction"]
        if figure is None:
            return None
        used = {"found": figure["found"], "review_id": row.fields["review_id"], "value": figure["value"]}
        return _Given(header, str(figure["as_of"]), str(figure["feature"]), figure.get("catalogue"), used)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None  # `ReviewCheck` reports it


def _inputs(row: CheckedRow, decided: Set[str]) -> _Inputs | None:
    """Return the corrections of a score; None if it has none and its seller has no decision."""
    header = row.row.header
    if row.content is None or header.kind != EntryKind.SCORE:
        return None
    try:
        stored = row.parts["inputs"]
        if header.subject not in decided and _CORRECTED not in stored:
            return None
        fields: dict[str, Any] = msgspec.json.decode(stored)
        return _Inputs(header, fields.get("as_of"), fields.get("catalogue"), dict(fields.get("corrections", {})))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None  # `ScoreIndexCheck` reports it


def _faults(inputs: _Inputs, given: Sequence[_Given]) -> Iterator[str]:
    """Yield the faults of a score, with the corrections for its seller and midnight in the order of the chain."""
    scored_at = datetime.fromisoformat(inputs.header.recorded_at)
    possible: dict[str, list[_Given]] = {}
    in_force: dict[str, _Given] = {}
    for each in given:
        decided_at = datetime.fromisoformat(each.header.recorded_at)
        if decided_at <= scored_at - CLOCK_TOLERANCE:
            in_force[each.feature], possible[each.feature] = each, [each]
        elif decided_at <= scored_at + CLOCK_TOLERANCE:
            possible.setdefault(each.feature, []).append(each)
    for feature, used in inputs.corrections.items():
        if used not in [each.used for each in possible.get(feature, [])]:
            yield f"the score uses a correction of {feature} that no decision gave, or that was not in force"
    for feature, each in in_force.items():
        # with another catalogue, the model may lack the feature
        if feature not in inputs.corrections and each.catalogue == inputs.catalogue:
            yield f"the score does not use the correction of {feature} that was in force"


def _has_key(connection: Connection, subject: str) -> bool:
    return connection.execute(select(seller_keys.c.subject).where(seller_keys.c.subject == subject)).first() is not None

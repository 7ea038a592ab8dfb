"""The reason catalogue: reason groups, and the statement of each reason by audience and language."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from string import Formatter
from typing import Literal

from scoring.errors import BundleError
from scoring.formatting import Language, format_value
from scoring.sheet import FeatureSheet

ReasonSide = Literal["high", "low", "missing"]
"""The value is above typical, below typical or missing."""

Audience = Literal["bank", "seller", "letter"]
"""Readers of a statement: a credit officer, the seller, or the recipient of an adverse-action letter."""


@dataclass(frozen=True)
class Wording:
    """One text in each language."""

    en: str
    zh: str

    def of(self, language: Language) -> str:
        """Return the text in a language."""
        return self.en if language is Language.ENGLISH else self.zh


@dataclass(frozen=True)
class Texts:
    """One statement for each audience."""

    bank: Wording
    seller: Wording
    letter: Wording

    def of(self, audience: Audience, language: Language) -> str:
        """Return the text for an audience in a language."""
        wording: Wording = getattr(self, audience)
        return wording.of(language)

    def all(self) -> Iterator[str]:
        """Yield each text."""
        for wording in (self.bank, self.seller, self.letter):
            yield from (wording.en, wording.zh)


@dataclass(frozen=True)
class GroupEntry:
    """A reason group: features with the same meaning for people."""

    name: str
    label: Wording


@dataclass(frozen=True)
class ReasonEntry:
    """The statements of a feature: on its risky side, with `{value}` and `{typical}`, and if it cannot be computed."""

    feature: str
    side: Texts
    missing: Texts


@dataclass(frozen=True)
class Reason:
    """One principal reason.

    Attributes:
        code: stable identifier of the feature and the side, `RETURN_RATE_90D_HIGH`.
        group: the feature's reason group.
        feature: the feature's name.
        label: the feature's label.
        side: `high` or `low` compared with typical, or `missing`.
        value: the seller's value; None if missing.
        typical: the median of the reference population.
        unit: the unit of both values.
        table: if the value is missing because a table was not used, that table; else None.
        data_through: the day through which that table was delivered; None if it was not delivered.
        points: the feature's contribution, negative.
        gain: the points that the score gains with the feature at its typical value, before an end of the scale
            applies.
        statement: the statement for a credit officer.
    """

    code: str
    group: str
    feature: str
    label: str
    side: ReasonSide
    value: float | None
    typical: float
    unit: str
    table: str | None
    data_through: str | None
    points: int
    gain: int
    statement: str = ""


def code_of(feature: str, side: ReasonSide) -> str:
    """Return the stable code of a feature and a side.

    Example:
        >>> code_of("return_rate_90d", "high")
        'RETURN_RATE_90D_HIGH'
    """
    return f"{feature}_{side}".upper()


@dataclass(frozen=True)
class ReasonCatalogue:
    """One version of the texts: groups in display order, and the statements of each scored feature.

    `tables` are labels of the operating tables. `not_delivered` and `too_old` are the statements about a table, with
    the placeholders `{table}` and `{through}`.
    """

    version: str
    groups: tuple[GroupEntry, ...]
    entries: tuple[ReasonEntry, ...]
    tables: Mapping[str, Wording]
    not_delivered: Texts
    too_old: Texts

    def require(self, sheet: FeatureSheet) -> None:
        """Check that each scored feature has its statements, each group its label, and each text its placeholders.

        Raises:
            BundleError: a statement or label is absent or duplicated, or a text is empty or has other placeholders.
        """
        groups, features = [group.name for group in self.groups], [entry.feature for entry in self.entries]
        _expect_once({entry.reason_group for entry in sheet.scored_entries}, groups, "reason group")
        _expect_once({entry.name for entry in sheet.scored_entries}, features, "scored feature")
        _expect_once(set(sheet.optional_tables), list(self.tables), "optional table")
        for entry in self.entries:
            _expect_placeholders(f"A statement of {entry.feature}", entry.side.all(), {"value", "typical"})
            _expect_placeholders(f"The statement that {entry.feature} is missing", entry.missing.all(), set())
        _expect_placeholders("The statement that a table was not delivered", self.not_delivered.all(), {"table"})
        _expect_placeholders("The statement that a table is too old", self.too_old.all(), {"table", "through"})
        labels = [*self.tables.values(), *(group.label for group in self.groups)]
        _expect_placeholders("A label", [text for label in labels for text in (label.en, label.zh)], set())

    @cached_property
    def of_feature(self) -> Mapping[str, ReasonEntry]:
        """The statements by feature."""
        return {entry.feature: entry for entry in self.entries}

    def label_of(self, group: str, language: Language = Language.ENGLISH) -> str:
        """Return the label of a group; for a group that is not in the catalogue, its name."""
        label = next((entry.label for entry in self.groups if entry.name == group), None)
        return label.of(language) if label else group

    def statement(self, reason: Reason, audience: Audience = "bank", language: Language = Language.ENGLISH) -> str:
        """Return the statement of a reason for an audience in a language.

        Example: "High return rate, 90 days: 6.2% of sales, typical 3.4%".
        """
        if reason.side != "missing":
            text = self.of_feature[reason.feature].side.of(audience, language)
            value, typical = (format_value(number, reason.unit, language) for number in (reason.value, reason.typical))
            return text.format(value=value, typical=typical)
        if reason.table is None:
            return self.of_feature[reason.feature].missing.of(audience, language)
        texts = self.too_old if reason.data_through else self.not_delivered
        table = self.tables[reason.table].of(language)
        return texts.of(audience, language).format(table=table, through=reason.data_through)


def _expect_placeholders(what: str, texts: Iterable[object], needed: set[str]) -> None:
    for text in texts:
        if not isinstance(text, str) or not text.strip() or _placeholders(text) != needed:
            allowed = " and ".join(f"{{{name}}}" for name in sorted(needed)) or "no placeholder"
            raise BundleError(f"{what} must be a text with {allowed} and nothing else in braces; found {text!r:.200}.")


def _placeholders(text: str) -> set[str] | None:
    """Return the names in braces; None if braces hold anything but a name."""
    try:
        fields = [field for field in Formatter().parse(text) if field[1] is not None]
    except ValueError:
        return None
    if any(spec or conversion for _, _, spec, conversion in fields):
        return None
    return {name for _, name, _, _ in fields if name is not None}


def _expect_once(needed: set[str], names: Sequence[str], what: str) -> None:
    absent = sorted(needed - set(names))
    duplicated = sorted(name for name, count in Counter(names).items() if count > 1)
    if absent or duplicated:
        raise BundleError(
            f"The reason catalogue needs each {what} exactly once; absent: {', '.join(absent) or 'none'}, duplicated: "
            f"{', '.join(duplicated) or 'none'}."
        )

"""Principal reasons: at most four, each one feature, one side, its value and the typical one; verified by scoring.

A reason is shown only if its group costs points in sum, the value lies on the risky side of typical or is missing, and
the score with that feature at its typical value is at least `LEAST_GAIN` points higher. What fails is not a reason,
whatever its points. Gains are measured before an end of the scale cuts the score off: the worst sellers would otherwise
have the fewest reasons.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from string import Formatter
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from numpy.typing import NDArray

from scoring.errors import BundleError
from scoring.explain import contributions
from scoring.figures import Language, figure
from scoring.freshness import TableGap
from scoring.points import Points, to_unlimited_scores
from scoring.sheet import FeatureEntry, FeatureSheet

if TYPE_CHECKING:
    from scoring.bundle import Bundle

MOST_REASONS: Final = 4
"""No more are given: a longer list hides what matters (US Regulation B, commentary to 1002.9(b)(2))."""

LEAST_GAIN: Final = 2
"""Points by which the score must rise with the feature at its typical value."""

Side = Literal["high", "low", "missing"]
"""Where the value lies: above typical, below it, or nowhere."""

Audience = Literal["bank", "seller", "letter"]
"""Who reads a statement: a credit officer, the seller, or the reader of an adverse-action letter."""


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
    """A reason group: features that say the same thing to a person."""

    name: str
    label: Wording


@dataclass(frozen=True)
class ReasonEntry:
    """What is said of a feature on its risky side, with `{value}` and `{typical}`, and where it cannot be computed."""

    feature: str
    side: Texts
    missing: Texts


@dataclass(frozen=True)
class ReasonCatalogue:
    """The words of one version: groups in the order in which they are shown, and the statements of each scored feature.

    `tables` names the operating tables, `not_delivered` and `too_old` say what is wrong with one, with `{table}` and
    `{through}`.
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
            BundleError: one lacks them or has them twice, or a text is empty or has other placeholders than it needs.
        """
        groups, features = [each.name for each in self.groups], [each.feature for each in self.entries]
        _expect_each({entry.reason_group for entry in sheet.scored_entries}, groups, "reason group")
        _expect_each({entry.name for entry in sheet.scored_entries}, features, "scored feature")
        _expect_each(set(sheet.optional_tables), list(self.tables), "optional table")
        for entry in self.entries:
            _expect_placeholders(f"A statement of {entry.feature}", entry.side.all(), {"value", "typical"})
            _expect_placeholders(f"What is said where {entry.feature} is missing", entry.missing.all(), set())
        _expect_placeholders("What is said of a table not delivered", self.not_delivered.all(), {"table"})
        _expect_placeholders("What is said of a table too old", self.too_old.all(), {"table", "through"})
        labels = [*self.tables.values(), *(each.label for each in self.groups)]
        _expect_placeholders("A label", [text for each in labels for text in (each.en, each.zh)], set())

    @cached_property
    def of_feature(self) -> Mapping[str, ReasonEntry]:
        """The statements by feature."""
        return {entry.feature: entry for entry in self.entries}

    def label_of(self, group: str, language: Language = Language.ENGLISH) -> str:
        """Return what a group is called; a group that the catalogue lacks is called by its name."""
        found = next((each.label for each in self.groups if each.name == group), None)
        return found.of(language) if found else group

    def statement(self, reason: Reason, audience: Audience = "bank", language: Language = Language.ENGLISH) -> str:
        """Return a reason in words.

        Example: "High return rate, 90 days: 6.2% of sales, typical 3.4%".
        """
        if reason.side != "missing":
            text = self.of_feature[reason.feature].side.of(audience, language)
            value, typical = (figure(each, reason.unit, language) for each in (reason.value, reason.typical))
            return text.format(value=value, typical=typical)
        if reason.table is None:
            return self.of_feature[reason.feature].missing.of(audience, language)
        texts = self.too_old if reason.data_through else self.not_delivered
        table = self.tables[reason.table].of(language)
        return texts.of(audience, language).format(table=table, through=reason.data_through)


@dataclass(frozen=True)
class Reason:
    """One principal reason.

    Attributes:
        code: stable identifier of the feature and the side, `RETURN_RATE_90D_HIGH`.
        group: the feature's reason group.
        feature: its name.
        label: its label.
        side: `high` or `low` of typical, or `missing`.
        value: the seller's; None where missing.
        typical: the median of the reference population.
        unit: of both.
        table: where missing, the table that was not used; None where the table is there and the figure is not.
        data_through: up to which day that table goes; None where it was not delivered.
        points: the feature's contribution, negative.
        gain: by how many points the score is higher with the feature at its typical value, before an end of the scale
            cuts it off.
        statement: what a credit officer reads.
    """

    code: str
    group: str
    feature: str
    label: str
    side: Side
    value: float | None
    typical: float
    unit: str
    table: str | None
    data_through: str | None
    points: int
    gain: int
    statement: str = ""


def code_of(feature: str, side: Side) -> str:
    """Return the stable code of a feature and a side.

    Example:
        >>> code_of("return_rate_90d", "high")
        'RETURN_RATE_90D_HIGH'
    """
    return f"{feature}_{side}".upper()


def principal_reasons(
    bundle: Bundle, rows: NDArray[np.float64], points: Points, gaps: Sequence[tuple[TableGap, ...]]
) -> list[tuple[Reason, ...]]:
    """Return each row's principal reasons, the one with the largest gain first.

    Of each group the costliest feature is named that passes, ties in catalogue order.

    Args:
        bundle: the model.
        rows: values as they were scored, shape (rows, features), NaN where missing.
        points: of these rows.
        gaps: the optional tables that were not used, for each row.
    """
    sheet = bundle.sheet
    row_of, column_of = _candidates(sheet, rows, points)
    gains = _gains(bundle, rows, points, row_of, column_of)
    found: list[dict[str, Reason]] = [{} for _ in rows]
    for row, column, gain in zip(row_of.tolist(), column_of.tolist(), gains.tolist(), strict=True):
        entry = sheet.scored_entries[column]
        if gain < LEAST_GAIN:
            continue
        value = float(rows[row, sheet.scored[column]])
        reason = _reason(entry, value, int(points.features[row, column]), int(gain), gaps[row])
        best = found[row].get(entry.reason_group)
        if reason is not None and (best is None or reason.points < best.points):
            found[row][entry.reason_group] = reason
    return [tuple(_principal(bundle.reasons, each.values())) for each in found]


def _candidates(
    sheet: FeatureSheet, rows: NDArray[np.float64], points: Points
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return rows and scored columns of the values that cost enough points on the risky side, or by being missing.

    The groups of all of them cost points in sum: else a reason would contradict the points of its group.
    """
    values = rows[:, sheet.scored]
    typical, signs = sheet.typical_and_signs
    # a comparison with NaN, also a typical value that is not known, is false
    risky = (values - typical) * signs > 0
    missing = np.isnan(values) & ~np.isnan(typical)
    costly = (points.features <= -LEAST_GAIN) & (points.features @ sheet.shared_group < 0)
    found = np.nonzero(costly & (risky | missing))
    return found[0], found[1]


def _gains(
    bundle: Bundle,
    rows: NDArray[np.float64],
    points: Points,
    row_of: NDArray[np.int64],
    column_of: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Return by how many points each candidate's score rises with that feature at its typical value."""
    sheet, policy = bundle.sheet, bundle.policy
    changed = rows[row_of]
    typical, _ = sheet.typical_and_signs
    changed[np.arange(len(changed)), np.array(sheet.scored)[column_of]] = typical[column_of]
    scores = to_unlimited_scores(contributions(bundle.model, changed), policy.calibration, policy.scale)
    gains: NDArray[np.int64] = scores - points.unlimited[row_of]
    return gains


def _reason(entry: FeatureEntry, value: float, points: int, gain: int, gaps: Sequence[TableGap]) -> Reason | None:
    """Return a reason without its statement; None where a reader could not tell the value from the typical one."""
    if entry.typical is None:
        return None
    gap = None
    side: Side = "missing"
    if not np.isnan(value):
        side = entry.side
        if figure(value, entry.unit) == figure(entry.typical, entry.unit):
            return None
    else:
        gap = next((each for each in gaps if each.table in entry.tables), None)
    return Reason(
        code=code_of(entry.name, side),
        group=entry.reason_group,
        feature=entry.name,
        label=entry.label,
        side=side,
        value=None if side == "missing" else value,
        typical=entry.typical,
        unit=entry.unit,
        table=gap.table if gap else None,
        data_through=gap.data_through if gap else None,
        points=points,
        gain=gain,
    )


def _principal(catalogue: ReasonCatalogue, found: Iterable[Reason]) -> Iterator[Reason]:
    """Yield the reasons with the largest gains, with their statements; a table that is not there is one reason."""
    told: set[tuple[str, str | None]] = set()
    for reason in sorted(found, key=lambda each: -each.gain):
        missing = (reason.table or "", reason.data_through)
        if reason.table is not None and missing in told:
            continue
        if len(told) == MOST_REASONS:
            return
        told.add(missing if reason.table is not None else (reason.code, None))
        yield replace(reason, statement=catalogue.statement(reason))


def _expect_placeholders(what: str, texts: Iterable[object], needed: set[str]) -> None:
    for text in texts:
        if not isinstance(text, str) or not text.strip() or _placeholders(text) != needed:
            wanted = " and ".join(f"{{{name}}}" for name in sorted(needed)) or "no placeholder"
            raise BundleError(f"{what} must be a text with {wanted} and nothing else in braces; found {text!r:.200}.")


def _placeholders(text: str) -> set[str] | None:
    """Return the names in braces; None where braces hold anything but a name."""
    try:
        parts = [part for part in Formatter().parse(text) if part[1] is not None]
    except ValueError:
        return None
    if any(spec or conversion for _, _, spec, conversion in parts):
        return None
    return {name for _, name, _, _ in parts if name is not None}


def _expect_each(needed: set[str], found: Sequence[str], what: str) -> None:
    lacking = sorted(needed - set(found))
    twice = sorted(name for name, count in Counter(found).items() if count > 1)
    if lacking or twice:
        raise BundleError(
            f"The reason catalogue needs each {what} once; lacking: {', '.join(lacking) or 'none'}, twice: "
            f"{', '.join(twice) or 'none'}."
        )

"""Principal reasons of scores: at most four each, verified by scoring again.

A reason is one feature whose value costs points. It is given only if its group costs points in total, the value is on
the risky side of typical or missing, and the score with that feature at its typical value is at least `MIN_GAIN` points
higher; otherwise it is no reason, however many points the feature costs. Gains are measured before an end of the scale
applies, because the sellers with the lowest scores would otherwise have the fewest reasons.

The reasons of many rows are found at once, as columns; `to_reasons` describes them in words.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scoring.bundle import Bundle
from scoring.explain import margin_changes
from scoring.formatting import format_value
from scoring.freshness import TableGap, UnusedTables
from scoring.points import Points, points_of_margins
from scoring.reason_catalogue import Reason, ReasonSide, code_of
from scoring.sheet import FeatureSheet

MAX_REASONS: Final = 4
"""A longer list hides what matters (US Regulation B, commentary to 1002.9(b)(2))."""

MIN_GAIN: Final = 2
"""Points that the score must gain with the feature at its typical value."""

_RESOLUTION: Final = {"ratio": 0.0011, "pp": 0.0011, "days": 0.11, "hours": 0.11}
_FINEST_RESOLUTION: Final = 0.011
_COARSEST_RESOLUTION: Final = 1.1
"""Values that differ by more look different when formatted: a unit of the last digit and a little, by the unit."""

_FROM_COARSE: Final = 999
"""Larger values are formatted without decimals."""


@dataclass(frozen=True)
class ReasonColumns:
    """The principal reasons of many rows, ordered by row, then by gain, largest first; ties in catalogue order.

    `row` is the number of the row, `column` that of the scored feature, and `gain` is in points.
    """

    row: NDArray[np.int64]
    column: NDArray[np.int64]
    gain: NDArray[np.int64]

    def take(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> ReasonColumns:
        """Return the chosen reasons, in the order in which they are chosen."""
        return ReasonColumns(self.row[chosen], self.column[chosen], self.gain[chosen])


def principal_reasons(bundle: Bundle, rows: NDArray[np.float64], points: Points, unused: UnusedTables) -> ReasonColumns:
    """Return the principal reasons of all rows.

    Of each group, the reason is the feature that costs most among those that qualify, ties in catalogue order.

    Args:
        bundle: the model.
        rows: the values that were scored, shape (rows, features), NaN if missing.
        points: the points of these rows.
        unused: the optional tables that were not used.
    """
    sheet = bundle.sheet
    is_candidate = _candidates(sheet, rows, points)
    row, column = np.nonzero(is_candidate)
    found = ReasonColumns(row, column, _gains(bundle, rows, points, is_candidate))
    found = found.take(found.gain >= MIN_GAIN)
    found = found.take(~_looks_typical(sheet, rows, found))
    found = _costliest_of_each_group(sheet, points, found)
    found = found.take(np.lexsort((found.column, -found.gain, found.row)))
    found = found.take(_first_of_each_table(sheet, rows, unused, found))
    rank = np.arange(len(found.row)) - np.searchsorted(found.row, found.row)
    return found.take(rank < MAX_REASONS)


def to_reasons(
    bundle: Bundle, rows: NDArray[np.float64], points: Points, unused: UnusedTables, found: ReasonColumns
) -> list[tuple[Reason, ...]]:
    """Return the reasons of each row with their statements."""
    reasons: list[list[Reason]] = [[] for _ in rows]
    for row, reason in _described(bundle, rows, points, unused, found):
        reasons[row].append(replace(reason, statement=bundle.reasons.statement(reason)))
    return [tuple(of_row) for of_row in reasons]


def _described(
    bundle: Bundle, rows: NDArray[np.float64], points: Points, unused: UnusedTables, found: ReasonColumns
) -> Iterator[tuple[int, Reason]]:
    sheet = bundle.sheet
    for row, column, gain in zip(found.row.tolist(), found.column.tolist(), found.gain.tolist(), strict=True):
        entry, value = sheet.scored_entries[column], float(rows[row, sheet.scored[column]])
        if entry.typical is None:  # such a value is no candidate
            continue
        is_missing = np.isnan(value)
        side: ReasonSide = "missing" if is_missing else entry.side
        gap = _gap_of(unused.of(row), entry.tables) if is_missing else None
        yield (
            row,
            Reason(
                code=code_of(entry.name, side),
                group=entry.reason_group,
                feature=entry.name,
                label=entry.label,
                side=side,
                value=None if is_missing else value,
                typical=entry.typical,
                unit=entry.unit,
                table=gap.table if gap else None,
                data_through=gap.data_through if gap else None,
                points=int(points.features[row, column]),
                gain=gain,
            ),
        )


def _gap_of(gaps: tuple[TableGap, ...], tables: tuple[str, ...]) -> TableGap | None:
    return next((gap for gap in gaps if gap.table in tables), None)


def _candidates(sheet: FeatureSheet, rows: NDArray[np.float64], points: Points) -> NDArray[np.bool_]:
    """Return the values that are risky or missing and cost enough points, shape (rows, scored features).

    The group of each costs points in total; otherwise the reason would contradict the points of its group.
    """
    values = rows[:, sheet.scored]
    typical, signs = sheet.typical_and_signs
    # comparisons with NaN are false, including those with an unknown typical value
    risky = (values - typical) * signs > 0
    missing = np.isnan(values) & ~np.isnan(typical)
    costly = (points.features <= -MIN_GAIN) & (group_sums(sheet, points) < 0)[:, sheet.group_of_scored]
    candidates: NDArray[np.bool_] = costly & (risky | missing)
    return candidates


def group_sums(sheet: FeatureSheet, points: Points) -> NDArray[np.int64]:
    """Return the points of each reason group, shape (rows, groups), in the order of `sheet.scored_groups`."""
    sums = np.zeros((len(points.features), len(sheet.scored_groups)), dtype=np.int64)
    for column, group in enumerate(sheet.group_of_scored.tolist()):
        sums[:, group] += points.features[:, column]
    return sums


def _gains(
    bundle: Bundle, rows: NDArray[np.float64], points: Points, is_candidate: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Return the points that each candidate's score gains with that feature at its typical value."""
    sheet, policy = bundle.sheet, bundle.policy
    values, chosen = np.full(rows.shape[1], np.nan), np.zeros(rows.shape, dtype=bool)
    values[np.array(sheet.scored)] = sheet.typical_and_signs[0]
    chosen[:, sheet.scored] = is_candidate
    changes = margin_changes(bundle.model, rows, values, chosen)
    row, _ = np.nonzero(is_candidate)
    improved = points.exact_score[row] + points_of_margins(changes, policy.calibration, policy.scale)
    gains: NDArray[np.int64] = np.floor(improved + 0.5).astype(np.int64) - points.unlimited[row]
    return gains


def _looks_typical(sheet: FeatureSheet, rows: NDArray[np.float64], found: ReasonColumns) -> NDArray[np.bool_]:
    """Return whether value and typical value look the same when formatted, so that the reason would look untrue."""
    typical = sheet.typical_and_signs[0][found.column]
    value = rows[found.row, np.array(sheet.scored)[found.column]]
    resolution = np.array([_RESOLUTION.get(entry.unit, _FINEST_RESOLUTION) for entry in sheet.scored_entries])
    is_large = np.maximum(np.abs(value), np.abs(typical)) >= _FROM_COARSE
    near: NDArray[np.bool_] = np.abs(value - typical) <= np.where(
        is_large, _COARSEST_RESOLUTION, resolution[found.column]
    )
    for index in np.flatnonzero(near).tolist():
        unit = sheet.scored_entries[found.column[index]].unit
        near[index] = format_value(float(value[index]), unit) == format_value(float(typical[index]), unit)
    return near


def _costliest_of_each_group(sheet: FeatureSheet, points: Points, found: ReasonColumns) -> ReasonColumns:
    group = sheet.group_of_scored[found.column]
    order = np.lexsort((found.column, points.features[found.row, found.column], group, found.row))
    ordered, group = found.take(order), group[order]
    is_first = np.ones(len(order), dtype=bool)
    is_first[1:] = (ordered.row[1:] != ordered.row[:-1]) | (group[1:] != group[:-1])
    return ordered.take(is_first)


def _first_of_each_table(
    sheet: FeatureSheet, rows: NDArray[np.float64], unused: UnusedTables, found: ReasonColumns
) -> NDArray[np.bool_]:
    """Return which reasons to keep, as a table that is not used is one reason, once."""
    keep = np.ones(len(found.row), dtype=bool)
    seen: set[tuple[int, str]] = set()
    is_missing = np.isnan(rows[found.row, np.array(sheet.scored)[found.column]]) & unused.any_of(found.row)
    for index in np.flatnonzero(is_missing).tolist():
        row = int(found.row[index])
        gap = _gap_of(unused.of(row), sheet.scored_entries[found.column[index]].tables)
        if gap is not None:
            keep[index] = (row, gap.table) not in seen
            seen.add((row, gap.table))
    return keep

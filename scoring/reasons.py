"""Principal reasons of a score: at most four, each verified by scoring again.

A reason is one feature whose value costs points. It is given only if its group costs points in total, the value is on
the risky side of typical or missing, and the score with that feature at its typical value is at least `MIN_GAIN` points
higher; otherwise it is no reason, however many points the feature costs. Gains are measured before an end of the scale
applies, because the sellers with the lowest scores would otherwise have the fewest reasons.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scoring.bundle import Bundle
from scoring.explain import contributions
from scoring.formatting import format_value
from scoring.freshness import TableGap
from scoring.points import Points, to_unlimited_scores
from scoring.reason_catalogue import Reason, ReasonCatalogue, ReasonSide, code_of
from scoring.sheet import FeatureEntry, FeatureSheet

MAX_REASONS: Final = 4
"""A longer list hides what matters (US Regulation B, commentary to 1002.9(b)(2))."""

MIN_GAIN: Final = 2
"""Points that the score must gain with the feature at its typical value."""


def principal_reasons(
    bundle: Bundle, rows: NDArray[np.float64], points: Points, gaps: Sequence[tuple[TableGap, ...]]
) -> list[tuple[Reason, ...]]:
    """Return each row's principal reasons, largest gain first.

    Of each group, the reason is the feature that costs most among those that qualify, ties in catalogue order.

    Args:
        bundle: the model.
        rows: the values that were scored, shape (rows, features), NaN if missing.
        points: the points of these rows.
        gaps: the optional tables that were not used, for each row.
    """
    sheet = bundle.sheet
    row_of, column_of = _candidates(sheet, rows, points)
    gains = _gains(bundle, rows, points, row_of, column_of)
    by_group: list[dict[str, Reason]] = [{} for _ in rows]
    for row, column, gain in zip(row_of.tolist(), column_of.tolist(), gains.tolist(), strict=True):
        entry = sheet.scored_entries[column]
        if gain < MIN_GAIN:
            continue
        value = float(rows[row, sheet.scored[column]])
        reason = _reason(entry, value, int(points.features[row, column]), int(gain), gaps[row])
        best = by_group[row].get(entry.reason_group)
        if reason is not None and (best is None or reason.points < best.points):
            by_group[row][entry.reason_group] = reason
    return [tuple(_with_statements(bundle.reasons, reasons.values())) for reasons in by_group]


def _candidates(
    sheet: FeatureSheet, rows: NDArray[np.float64], points: Points
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return rows and scored columns of the values that are risky or missing and cost enough points.

    The group of each costs points in total; otherwise the reason would contradict the points of its group.
    """
    values = rows[:, sheet.scored]
    typical, signs = sheet.typical_and_signs
    # comparisons with NaN are false, including those with an unknown typical value
    risky = (values - typical) * signs > 0
    missing = np.isnan(values) & ~np.isnan(typical)
    costly = (points.features <= -MIN_GAIN) & (points.features @ sheet.shared_group < 0)
    rows_found, columns_found = np.nonzero(costly & (risky | missing))
    return rows_found, columns_found


def _gains(
    bundle: Bundle,
    rows: NDArray[np.float64],
    points: Points,
    row_of: NDArray[np.int64],
    column_of: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Return the points that each candidate's score gains with that feature at its typical value."""
    sheet, policy = bundle.sheet, bundle.policy
    changed = rows[row_of]
    typical, _ = sheet.typical_and_signs
    changed[np.arange(len(changed)), np.array(sheet.scored)[column_of]] = typical[column_of]
    scores = to_unlimited_scores(contributions(bundle.model, changed), policy.calibration, policy.scale)
    gains: NDArray[np.int64] = scores - points.unlimited[row_of]
    return gains


def _reason(entry: FeatureEntry, value: float, points: int, gain: int, gaps: Sequence[TableGap]) -> Reason | None:
    """Return a reason without its statement; None if the value and the typical value look the same when formatted."""
    if entry.typical is None:
        return None
    gap = None
    side: ReasonSide = "missing"
    if not np.isnan(value):
        side = entry.side
        if format_value(value, entry.unit) == format_value(entry.typical, entry.unit):
            return None
    else:
        gap = next((gap for gap in gaps if gap.table in entry.tables), None)
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


def _with_statements(catalogue: ReasonCatalogue, reasons: Iterable[Reason]) -> Iterator[Reason]:
    """Yield the reasons with the largest gains, with statements; a table that is not used is one reason, once."""
    keys: set[tuple[str, str | None]] = set()
    for reason in sorted(reasons, key=lambda reason: -reason.gain):
        table_key = (reason.table or "", reason.data_through)
        if reason.table is not None and table_key in keys:
            continue
        if len(keys) == MAX_REASONS:
            return
        keys.add(table_key if reason.table is not None else (reason.code, None))
        yield replace(reason, statement=catalogue.statement(reason))

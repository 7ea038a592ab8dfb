"""Scores and explanations of whole frames: one row per seller, one column per feature, for analysis and notebooks.

A frame is a pandas DataFrame, or any mapping from a feature's name to its values. This module imports no frame library:
it reads columns by name and returns a frame of the same type. Each number is that of `scoring.assess`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from scoring.assess import SCALE_LIMIT, Outcome, outcome_of, probability_of
from scoring.errors import VectorError
from scoring.explain import contributions
from scoring.freshness import optional_gaps
from scoring.points import to_points
from scoring.vector import Vector

if TYPE_CHECKING:
    from scoring.bundle import Bundle
    from scoring.sheet import FeatureSheet

_ANY_DAY: Final = date(1970, 1, 1)
_NAMED: Final = 5
AS_OF: Final = "as_of"


class FrameLike(Protocol):
    """Columns by name: a pandas DataFrame, or a mapping."""

    def __contains__(self, name: object, /) -> bool:
        """Return whether there is such a column."""

    def __getitem__(self, name: str, /) -> Any:
        """Return the values of a column."""


Frame = TypeVar("Frame", bound=FrameLike)


@dataclass(frozen=True)
class FrameExplanation(Generic[Frame]):
    """Why each row of a frame has its score.

    Attributes:
        base_points: the points that each score begins with.
        points: a frame of the whole points of each scored feature, and of `scale_limit`, which is not 0 where an end of
            the scale limits the score. `base_points` plus a row's points is its score. Rows without a score are NaN.
        is_scored: True for the rows with a score, shape (rows,).
        feature_names: the scored features, in catalogue order.
        values: contributions in log-odds of default of the rows with a score, shape (scored rows, features).
        base_value: the log-odds of default that each row begins with.
        data: the feature values of the rows with a score, shape (scored rows, features), NaN where missing.
    """

    base_points: int
    points: Frame
    is_scored: NDArray[np.bool_]
    feature_names: tuple[str, ...]
    values: NDArray[np.float64]
    base_value: float
    data: NDArray[np.float64]

    def as_shap(self) -> dict[str, Any]:
        """Return the arguments of `shap.Explanation`, for the rows with a score.

        A row's base value plus its values is its log-odds of default.

        Example: `shap.plots.beeswarm(shap.Explanation(**bundle.explain_frame(frame).as_shap()))`.
        """
        return {
            "values": self.values,
            "base_values": np.full(len(self.values), self.base_value),
            "data": self.data,
            "feature_names": list(self.feature_names),
        }


def score_frame(bundle: Bundle, frame: Frame, covers_through: Mapping[str, date] | None = None) -> Frame:
    """Return outcome, score, band and probability of default of each row; see `Bundle.score_frame`."""
    outcomes, rows = _outcomes(bundle.sheet, frame, covers_through)
    is_scored = np.array([outcome is Outcome.SCORED for outcome in outcomes], dtype=bool)
    explained = contributions(bundle.model, rows[is_scored])
    points = to_points(explained, bundle.policy.calibration, bundle.policy.scale, bundle.sheet.scored)
    probability = [probability_of(each) for each in points.log_odds.tolist()]
    bands = np.full(len(rows), None, dtype=object)
    bands[is_scored] = [bundle.policy.bands.of(each) for each in probability]
    return _frame_like(
        frame,
        {
            "outcome": np.array([outcome.value for outcome in outcomes], dtype=object),
            "score": _spread(points.score, is_scored),
            "band": bands,
            "probability_of_default": _spread(np.array(probability), is_scored),
        },
    )


def explain_frame(
    bundle: Bundle, frame: Frame, covers_through: Mapping[str, date] | None = None
) -> FrameExplanation[Frame]:
    """Return the points of each feature in each row, and SHAP values; see `Bundle.explain_frame`."""
    outcomes, rows = _outcomes(bundle.sheet, frame, covers_through)
    is_scored = np.array([outcome is Outcome.SCORED for outcome in outcomes], dtype=bool)
    explained = contributions(bundle.model, rows[is_scored])
    calibration, scored = bundle.policy.calibration, bundle.sheet.scored
    points = to_points(explained, calibration, bundle.policy.scale, scored)
    names = tuple(entry.name for entry in bundle.sheet.scored_entries)
    columns = {name: _spread(points.features[:, place], is_scored) for place, name in enumerate(names)}
    return FrameExplanation(
        base_points=points.base,
        points=_frame_like(frame, {**columns, SCALE_LIMIT: _spread(points.scale_limit, is_scored)}),
        is_scored=is_scored,
        feature_names=names,
        values=calibration.slope * explained.values[:, scored],
        base_value=calibration.intercept + calibration.slope * explained.base,
        data=rows[is_scored][:, scored],
    )


def _outcomes(
    sheet: FeatureSheet, frame: FrameLike, covers_through: Mapping[str, date] | None
) -> tuple[list[Outcome], NDArray[np.float64]]:
    """Return the outcome of each row, and the values as the model reads them.

    A row is requested on the day of its midnight; every table is delivered unless `covers_through` states it.
    """
    matrix = _matrix(sheet, frame)
    if covers_through is None:
        days: Sequence[date] = [_ANY_DAY] * len(matrix)
        covers_through = dict.fromkeys((*sheet.required_tables, *sheet.optional_tables), _ANY_DAY)
    else:
        days = _days(frame)
    outcomes = [outcome_of(sheet, vector)[0] for vector in _vectors(sheet, matrix, days, covers_through)]
    of_day = np.array(days, dtype="datetime64[D]")
    for day in set(days):
        for gap in optional_gaps(sheet, Vector("", day, day, covers_through, sheet.catalogue, ())):
            matrix[np.ix_(of_day == np.datetime64(day), sheet.resting_on[gap.table])] = np.nan
    return outcomes, matrix


def _matrix(sheet: FeatureSheet, frame: FrameLike) -> NDArray[np.float64]:
    """Return the features of a frame, shape (rows, features), NaN where missing."""
    missing = [name for name in sheet.names if name not in frame]
    if missing:
        more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        raise VectorError(
            f"The frame lacks {len(missing)} of {len(sheet.names)} features: {', '.join(missing[:_NAMED])}{more}. "
            f"Compute it with the catalogue of the model, {sheet.catalogue[:19]}."
        )
    columns = [_column(name, frame[name]) for name in sheet.names]
    return np.column_stack(columns) if columns else np.empty((0, 0))


def _column(name: str, values: Any) -> NDArray[np.float64]:
    kind = np.asarray(values).dtype.kind
    if kind in "mM":
        raise VectorError(f"The feature {name} holds dates or durations; allowed are finite numbers, NaN if missing.")
    try:
        column = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise VectorError(f"A value of {name} is not a number; allowed are finite numbers, NaN if missing.") from error
    infinite = int(np.isinf(column).sum())
    if infinite:
        raise VectorError(f"{infinite} values of {name} are infinite; allowed are finite numbers, NaN if missing.")
    return column


def _vectors(
    sheet: FeatureSheet, matrix: NDArray[np.float64], days: Sequence[date], covers_through: Mapping[str, date]
) -> Iterator[Vector]:
    """Yield a vector per row with the values that decide its outcome; all others are missing, to save time."""
    deciding = {threshold.feature for threshold in sheet.history}
    if sheet.activity:
        deciding |= {sheet.activity.feature, sheet.activity.since}
    places = sorted(sheet.place_of[name] for name in deciding)
    for day, row in zip(days, matrix[:, places].tolist(), strict=True):
        values: list[float | None] = [None] * len(sheet.entries)
        for place, value in zip(places, row, strict=True):
            if not math.isnan(value):
                values[place] = value
        yield Vector("", day, day, covers_through, sheet.catalogue, tuple(values))


def _days(frame: FrameLike) -> Sequence[date]:
    """Return the `as_of` of each row, from a column or from a level of the index."""
    index = getattr(frame, "index", None)
    if AS_OF in frame:
        values = frame[AS_OF]
    elif AS_OF in getattr(index, "names", ()):
        values = index.get_level_values(AS_OF)  # type: ignore[union-attr]
    else:
        raise VectorError("With covers_through, the frame needs as_of, as a column or as a level of its index.")
    try:
        days = np.asarray(values, dtype="datetime64[D]")
    except (TypeError, ValueError) as error:
        raise VectorError(
            "A value of as_of is not a date; give dates such as 2026-01-31 without a time zone."
        ) from error
    if np.isnat(days).any():
        raise VectorError(f"{int(np.isnat(days).sum())} rows have no as_of; give a date for each row.")
    found: list[date] = days.tolist()
    return found


def _spread(values: NDArray[Any], chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return values at the chosen rows, NaN at the others."""
    whole = np.full(len(chosen), np.nan)
    whole[chosen] = values
    return whole


def _frame_like(frame: Frame, columns: dict[str, NDArray[Any]]) -> Frame:
    """Return columns as a frame of the same type, with the same index if it has one."""
    if isinstance(frame, Mapping):
        return columns  # type: ignore[return-value]
    index = getattr(frame, "index", None)
    kind: Any = type(frame)
    made: Frame = kind(columns) if index is None else kind(columns, index=index)
    return made

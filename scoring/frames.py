"""Scores and explanations of whole frames: one row per seller, one column per feature, for analysis and notebooks.

A frame is a pandas DataFrame, or any mapping from feature names to values. This module imports no frame library: it
reads columns by name and returns a frame of the same type. All numbers equal those of `scoring.assess`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from scoring.assessment import SCALE_LIMIT
from scoring.errors import VectorError
from scoring.explain import contributions
from scoring.freshness import optional_gaps
from scoring.model import Model
from scoring.outcome import Outcome, outcomes_of_rows
from scoring.points import to_points
from scoring.policy import Policy, to_probability
from scoring.sheet import FeatureSheet
from scoring.vector import Vector

_ANY_DAY: Final = date(1970, 1, 1)
_MAX_NAMES: Final = 5
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
    """The explanation of the score of each row of a frame.

    Attributes:
        base_points: the points that each score begins with.
        points: a frame of the whole points of each scored feature, and of `scale_limit`, which is not 0 if an end of
            the scale limits the score. `base_points` plus a row's points is its score. Rows without a score are NaN.
        is_scored: True for the rows with a score, shape (rows,).
        feature_names: the scored features, in catalogue order.
        values: contributions in log-odds of default of the rows with a score, shape (scored rows, features).
        base_value: the log-odds of default that each row begins with.
        data: the feature values of the rows with a score, shape (scored rows, features), NaN if missing.
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


def score_frame(
    model: Model, sheet: FeatureSheet, policy: Policy, frame: Frame, covers_through: Mapping[str, date] | None = None
) -> Frame:
    """Return outcome, score, band and probability of default of each row; see `Bundle.score_frame`."""
    is_scored, outcomes, rows = _outcomes(sheet, frame, covers_through)
    explained = contributions(model, rows[is_scored])
    points = to_points(explained, policy.calibration, policy.scale, sheet.scored)
    probabilities = [to_probability(log_odds) for log_odds in points.log_odds.tolist()]
    bands = np.full(len(rows), None, dtype=object)
    bands[is_scored] = [policy.bands.of(probability) for probability in probabilities]
    return _frame_like(
        frame,
        {
            "outcome": outcomes,
            "score": _scatter(points.score, is_scored),
            "band": bands,
            "probability_of_default": _scatter(np.array(probabilities), is_scored),
        },
    )


def explain_frame(
    model: Model, sheet: FeatureSheet, policy: Policy, frame: Frame, covers_through: Mapping[str, date] | None = None
) -> FrameExplanation[Frame]:
    """Return the points of each feature in each row, and SHAP values; see `Bundle.explain_frame`."""
    is_scored, _, rows = _outcomes(sheet, frame, covers_through)
    explained = contributions(model, rows[is_scored])
    calibration, scored = policy.calibration, sheet.scored
    points = to_points(explained, calibration, policy.scale, scored)
    names = tuple(entry.name for entry in sheet.scored_entries)
    columns = {name: _scatter(points.features[:, index], is_scored) for index, name in enumerate(names)}
    return FrameExplanation(
        base_points=points.base,
        points=_frame_like(frame, {**columns, SCALE_LIMIT: _scatter(points.scale_limit, is_scored)}),
        is_scored=is_scored,
        feature_names=names,
        values=calibration.slope * explained.values[:, scored],
        base_value=calibration.intercept + calibration.slope * explained.base,
        data=rows[is_scored][:, scored],
    )


def _outcomes(
    sheet: FeatureSheet, frame: FrameLike, covers_through: Mapping[str, date] | None
) -> tuple[NDArray[np.bool_], NDArray[np.object_], NDArray[np.float64]]:
    """Return whether each row is scored, the name of its outcome, and the values that the model reads.

    The day of the request is each row's `as_of`. Without `covers_through`, every table counts as delivered.
    """
    matrix = _matrix(sheet, frame)
    if covers_through is None:
        days = np.full(len(matrix), _ANY_DAY, dtype="datetime64[D]")
        covers_through = dict.fromkeys((*sheet.required_tables, *sheet.optional_tables), _ANY_DAY)
    else:
        days = _days(frame)
    outcomes = np.full(len(matrix), None, dtype=object)
    for day in np.unique(days).tolist():
        chosen = days == np.datetime64(day)
        vector = Vector("", day, day, covers_through, sheet.catalogue, ())
        outcomes[chosen] = outcomes_of_rows(sheet, vector, matrix[chosen])
        for gap in optional_gaps(sheet, vector):
            matrix[np.ix_(chosen, sheet.columns_of_table[gap.table])] = np.nan
    return outcomes == Outcome.SCORED.value, outcomes, matrix


def _matrix(sheet: FeatureSheet, frame: FrameLike) -> NDArray[np.float64]:
    """Return the features of a frame, shape (rows, features), NaN if missing."""
    missing = [name for name in sheet.names if name not in frame]
    if missing:
        rest = f" and {len(missing) - _MAX_NAMES} more" if len(missing) > _MAX_NAMES else ""
        raise VectorError(
            f"The frame lacks {len(missing)} of {len(sheet.names)} features: {', '.join(missing[:_MAX_NAMES])}{rest}. "
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


def _days(frame: FrameLike) -> NDArray[np.datetime64]:
    """Return the `as_of` of each row, from a column or from a level of the index."""
    index = getattr(frame, "index", None)
    if AS_OF in frame:
        values = frame[AS_OF]
    elif AS_OF in getattr(index, "names", ()):
        values = index.get_level_values(AS_OF)  # type: ignore[union-attr]
    else:
        raise VectorError("With covers_through, the frame needs as_of, as a column or as a level of its index.")
    try:
        dates = np.asarray(values, dtype="datetime64[D]")
    except (TypeError, ValueError) as error:
        raise VectorError(
            "A value of as_of is not a date; give dates such as 2026-01-31 without a time zone."
        ) from error
    if np.isnat(dates).any():
        raise VectorError(f"{int(np.isnat(dates).sum())} rows have no as_of; give a date for each row.")
    return dates


def _scatter(values: NDArray[Any], is_chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return values at the chosen rows, NaN in all other rows."""
    column = np.full(len(is_chosen), np.nan)
    column[is_chosen] = values
    return column


def _frame_like(frame: Frame, columns: dict[str, NDArray[Any]]) -> Frame:
    """Return columns as a frame of the same type, with the same index if it has one."""
    if isinstance(frame, Mapping):
        return columns  # type: ignore[return-value]
    index = getattr(frame, "index", None)
    frame_type: Any = type(frame)
    result: Frame = frame_type(columns) if index is None else frame_type(columns, index=index)
    return result

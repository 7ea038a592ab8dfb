"""Corrections of figures: the effect of a value on the score before it is saved, its confirmation, and reversals."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from api.errors import CorrectionNotActive, CorrectionUnconfirmed, InvalidRequest
from api.reviews.ranges import allowed_range, is_unusual
from api.scores import inputs, self_view
from api.scores.inputs import CorrectedVector, Correction, assess_inputs
from api.services import Services
from scoring import Assessment, Bundle
from scoring.formatting import format_value
from scoring.sheet import FeatureEntry

NO_BAND: Final = "none"
"""Confirms that the seller gets no band."""

audit = logging.getLogger("api.audit")


@dataclass(frozen=True)
class Figure:
    """A figure of a seller with its correct value."""

    seller_id: str
    feature: str | None
    value: float | None


@dataclass(frozen=True)
class Preview:
    """A correction that is not stored, and the assessments before and after it.

    `low` and `high` limit the correct value; `correction.found` is the value that would be replaced.
    """

    entry: FeatureEntry
    correction: Correction
    low: float
    high: float
    before: Assessment
    after: Assessment

    @property
    def in_range(self) -> bool:
        """Whether the correct value is allowed."""
        value = self.correction.value
        return value is None or self.low <= value <= self.high

    def require_range(self) -> None:
        """Require that the correct value is allowed.

        Raises:
            InvalidRequest: it is not.
        """
        if not self.in_range:
            value, unit = self.correction.value or 0.0, self.entry.unit
            shown = f"{value:g} is {format_value(value, unit)}, which is out of range"
            raise _not_allowed("value", f"{shown}. Allowed are values from {self.range}")

    @property
    def range(self) -> str:
        """The allowed range, as numbers to enter and as people read them."""
        low, high = (f"{value:.10g} ({format_value(value, self.entry.unit)})" for value in (self.low, self.high))
        return f"{low} to {high}"

    @property
    def changes_band(self) -> bool:
        """Whether the band changes, or the outcome if there is no band."""
        return (self.before.band, self.before.outcome) != (self.after.band, self.after.outcome)

    @property
    def new_band(self) -> str:
        """The band after the correction, which confirms it."""
        return self.after.band or NO_BAND

    @property
    def is_unusual(self) -> bool:
        """Whether the correct value differs so much from the current one that the unit may be mistaken."""
        return is_unusual(self.correction.value, self.correction.found, self.entry.typical)

    def require_usual(self, *, confirmed: bool) -> None:
        """Require that an unusual value is confirmed.

        Raises:
            CorrectionUnconfirmed: it is not.
        """
        if self.is_unusual and not confirmed:
            found, value = (
                format_value(each, self.entry.unit) for each in (self.correction.found, self.correction.value)
            )
            raise CorrectionUnconfirmed(
                f"The correction changes the value from {found} to {value}, which is unusual. Check the unit: 0.04 is "
                "4%. Send confirm_value with true to confirm the value, or correct it. Nothing was changed."
            )

    def require_band(self, band: str | None) -> None:
        """Require that a change of the band is confirmed by the name of the new band.

        Raises:
            CorrectionUnconfirmed: it is not.
        """
        if self.changes_band and band != self.new_band:
            raise CorrectionUnconfirmed(
                f"The correction changes the result from {_describe(self.before)} to {_describe(self.after)}. Send the "
                f"confirm_band '{self.new_band}' to confirm it, or correct the value. Nothing was changed."
            )


def _describe(assessment: Assessment) -> str:
    return str(assessment.outcome) if assessment.band is None else f"{assessment.score} (band {assessment.band})"


def preview_correction(services: Services, connection: Connection, figure: Figure, now: datetime) -> Preview:
    """Return the effect of a correct value on the seller's current figures; nothing is stored.

    Raises:
        InvalidRequest: the figure is unknown, or the value is not a number.
        SellerUnknown: there are no data of the seller to correct.
        VectorsUnavailable: there is no snapshot, or it cannot be read.
        VectorsDoNotFitModel: the feature catalogue of the vectors differs from the model's.
    """
    bundle, value = services.champion.bundle, figure.value
    if figure.feature is None or figure.feature not in bundle.sheet.names:
        raise _not_allowed("feature", "Select the figure to correct")
    if value is None or not math.isfinite(value):
        raise _not_allowed("value", "Enter the correct value as a number")
    current = self_view.latest_inputs(services, connection, figure.seller_id, now)
    return _preview(bundle, current, figure.feature, value, now)


def preview_reversal(
    services: Services, connection: Connection, seller_id: str, review_id: str, now: datetime
) -> Preview:
    """Return the effect of restoring the delivered value of the figure that a review corrected; nothing is stored.

    Raises:
        CorrectionNotActive: the current figures do not use a correction of the review.
        SellerUnknown: there are no data of the seller.
        VectorsUnavailable: there is no snapshot, or it cannot be read.
        VectorsDoNotFitModel: the feature catalogue of the vectors differs from the model's.
    """
    bundle = services.champion.bundle
    current = self_view.latest_inputs(services, connection, seller_id, now)
    active = next((item for item in current.corrections if item.review_id == review_id), None)
    if active is None:
        raise CorrectionNotActive
    delivered = inputs.load_inputs(services, seller_id, now.date(), ())
    value = delivered.stored.values[bundle.sheet.names.index(active.feature)]
    if active.value == value:
        # it is a reversal itself
        raise CorrectionNotActive
    return _preview(bundle, current, active.feature, value, now)


def log_preview(preview: Preview, review_id: str, by: str) -> None:
    """Log that an operator read the figures of a preview, which stores nothing. The line names no seller."""
    audit.info("%s previewed a correction of %s for the review %s", by, preview.entry.name, review_id)


def _preview(bundle: Bundle, current: CorrectedVector, feature: str, value: float | None, now: datetime) -> Preview:
    stored, place = current.stored, bundle.sheet.names.index(feature)
    entry, found = bundle.sheet.entries[place], stored.values[place]
    correction = Correction("", stored.seller_id, stored.snapshot.as_of.isoformat(), feature, found, value, now)
    values = (*stored.values[:place], value, *stored.values[place + 1 :])
    after = replace(current, stored=replace(stored, values=values))
    return Preview(entry, correction, *allowed_range(entry, found), *assess_inputs(bundle, [current, after]))


def _not_allowed(field: str, message: str) -> InvalidRequest:
    return InvalidRequest(invalid=[{"where": f"body/{field}", "rule": "review", "message": message}])

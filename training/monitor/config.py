"""Limits of monitoring: beyond what a figure is an alarm, if its whole interval lies there and not it alone."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Annotated

from pydantic import Field

from training.settings import STRICT


@dataclass(frozen=True)
class DriftLimits:
    """The population: which days count as now, and from what PSI on it has moved.

    Attributes:
        days: scores of so many days up to today are held against the training population.
        score_psi_most: PSI of the score; the practice acts above 0.25.
        feature_psi_most: PSI of a feature.
        least_sellers: fewer sellers than this are no population.
        unusable_share_most: of answers in those days, how many may be `insufficient_data` or `stale_data`.
    """

    __pydantic_config__ = STRICT

    days: Annotated[int, Field(ge=1)] = 90
    score_psi_most: Annotated[float, Field(gt=0)] = 0.25
    feature_psi_most: Annotated[float, Field(gt=0)] = 0.25
    least_sellers: Annotated[int, Field(ge=20)] = 50
    unusable_share_most: Annotated[float, Field(ge=0, le=1)] = 0.05


@dataclass(frozen=True)
class OutcomeLimits:
    """Performance: how far outcomes may lie from what the model said.

    Attributes:
        vintages: so many of the latest months with matured loans are judged; older ones are only shown.
        least_of_a_kind: fewer bad or good loans than this are not ranked, nor is a slope fitted to them.
        observed_over_expected_least: below it the model is too strict.
        observed_over_expected_most: above it the model is too lenient.
        slope_least: of calibration; below it predictions are too extreme.
        slope_most: above it they are too timid.
        auc_loss_most: how far AUC may fall below that of the bundle's validation.
    """

    __pydantic_config__ = STRICT

    vintages: Annotated[int, Field(ge=1)] = 12
    least_of_a_kind: Annotated[int, Field(ge=2)] = 10
    observed_over_expected_least: Annotated[float, Field(ge=0, le=1)] = 0.8
    observed_over_expected_most: Annotated[float, Field(ge=1)] = 1.25
    slope_least: Annotated[float, Field(ge=0, le=1)] = 0.8
    slope_most: Annotated[float, Field(ge=1)] = 1.25
    auc_loss_most: Annotated[float, Field(ge=0, le=1)] = 0.05


@dataclass(frozen=True)
class FreshnessLimits:
    """Age of the data; that of the tables which scores rest on is limited by the bundle (`max_age_days`).

    Attributes:
        outcome_days_most: age of loans, instalments and payments, without which nobody learns how scores fared.
    """

    __pydantic_config__ = STRICT

    outcome_days_most: Annotated[int, Field(ge=0)] = 45


@dataclass(frozen=True)
class PortfolioTerms:
    """What a file of `score-portfolio` does not say of its scores: for how many days each is relied on."""

    __pydantic_config__ = STRICT

    validity_days: Annotated[int, Field(ge=1)] = 30


@dataclass(frozen=True)
class MonitorConfig:
    """All settings of monitoring; in a file each field is a section, see `settings.read_settings`.

    Example:
        >>> MonitorConfig(drift=DriftLimits(days=30)).as_toml().splitlines()[:2]
        ['[drift]', 'days = 30']
    """

    __pydantic_config__ = STRICT

    drift: DriftLimits = field(default_factory=DriftLimits)
    outcomes: OutcomeLimits = field(default_factory=OutcomeLimits)
    freshness: FreshnessLimits = field(default_factory=FreshnessLimits)
    portfolio: PortfolioTerms = field(default_factory=PortfolioTerms)

    def as_toml(self) -> str:
        """Write every setting as a settings file."""
        return "\n".join(
            f"[{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in section.items())
            for name, section in asdict(self).items()
        )

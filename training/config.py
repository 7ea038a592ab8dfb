"""Settings of training and of monitoring: all sections of the settings files with their defaults."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from training.errors import ConfigError
from training.evidence.fake_order_strategies import FakeOrdersConfig
from training.fit import FitConfig
from training.labels import LabelConfig
from training.refits import RefitConfig
from training.search import SearchConfig
from training.settings import STRICT
from training.split import SplitConfig, longest_days

if TYPE_CHECKING:
    from training.dataset import Dataset
    from training.evidence.metrics import Estimate


@dataclass(frozen=True)
class FeatureConfig:
    """The `[features]` section: the features that a model may read.

    Attributes:
        only: the features that a model may read; empty for all scored features.
        exclude: features that a model may not read.

    Example: `FeatureConfig(exclude=("average_order_180d",))`.
    """

    __pydantic_config__ = STRICT

    only: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def apply(self, dataset: Dataset) -> Dataset:
        """Return the dataset with all other features marked as not scored.

        Raises:
            ConfigError: a name is not the name of a scored feature, or no feature is left.
        """
        names = [str(name) for name in dataset.features]
        scored = [name for name in names if name not in dataset.not_scored]
        for setting, values in (("only", self.only), ("exclude", self.exclude)):
            if unknown := [name for name in values if name not in scored]:
                raise ConfigError(
                    f"features.{setting} names {unknown[0]!r}, which is not a feature that a model may read. Use one "
                    f"of {', '.join(scored)}."
                )
        selected = [name for name in scored if (not self.only or name in self.only) and name not in self.exclude]
        if not selected:
            raise ConfigError("features.only and features.exclude leave no feature that a model may read.")
        return replace(dataset, not_scored=frozenset(names) - frozenset(selected))


@dataclass(frozen=True)
class TrainConfig:
    """All settings of a training run. In the settings file each field is a section; see `settings.read_settings`.

    The embargo of the split must cover the time that an outcome takes: `labels.months` for loans,
    `labels.horizon_days` for a label table. If a horizon is set and `split.embargo_days` has its default value, the
    embargo becomes the horizon.

    Example:
        >>> TrainConfig(labels=LabelConfig(days_past_due=60)).as_toml().splitlines()[:2]
        ['[labels]', 'days_past_due = 60']
        >>> TrainConfig(labels=LabelConfig(horizon_days=56)).split.embargo_days
        56

    Raises:
        ConfigError: the embargo is shorter than an outcome takes.
    """

    __pydantic_config__ = STRICT

    labels: LabelConfig = field(default_factory=LabelConfig)
    split: SplitConfig = field(default_factory=SplitConfig)
    features: FeatureConfig = field(default_factory=FeatureConfig)
    search: SearchConfig = field(default_factory=SearchConfig)
    fit: FitConfig = field(default_factory=FitConfig)
    refits: RefitConfig = field(default_factory=RefitConfig)
    fake_orders: FakeOrdersConfig = field(default_factory=FakeOrdersConfig)

    def __post_init__(self) -> None:
        horizon = self.labels.horizon_days
        if horizon and self.split.embargo_days == SplitConfig().embargo_days:
            object.__setattr__(self, "split", replace(self.split, embargo_days=horizon))
        needed = horizon or longest_days(self.labels.months)
        if self.split.embargo_days < needed:
            setting = f"horizon_days is {horizon}" if horizon else f"months is {self.labels.months}"
            raise ConfigError(
                f"Outcomes take up to {needed} days (labels.{setting}), but split.embargo_days is "
                f"{self.split.embargo_days}. Set it to {needed} or more, so that training outcomes are known before "
                "the test begins."
            )

    @property
    def digest(self) -> str:
        """SHA-256 over every setting."""
        return "sha256:" + hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    def as_toml(self) -> str:
        """Return all settings as the text of a settings file."""
        return _sections_as_toml(asdict(self))


@dataclass(frozen=True)
class Threshold:
    """The allowed range of a monitored metric.

    Example:
        >>> str(Threshold(0.8, 1.25)), str(Threshold(upper=0.25))
        ('0.8 to 1.25', 'at most 0.25')
    """

    lower: float = -math.inf
    upper: float = math.inf

    def is_breached(self, metric: Estimate) -> bool:
        """Return whether the whole interval of a metric lies outside the range."""
        return metric.low > self.upper or metric.high < self.lower

    def __str__(self) -> str:
        if math.isinf(self.lower):
            return f"at most {self.upper:g}"
        return f"at least {self.lower:g}" if math.isinf(self.upper) else f"{self.lower:g} to {self.upper:g}"


@dataclass(frozen=True)
class DriftThresholds:
    """Thresholds of drift and of the availability of scores.

    Attributes:
        days: length of the analysis period, which ends today.
        score_psi_most: largest PSI of the score; banks usually act above 0.25.
        feature_psi_most: largest PSI of a feature.
        least_sellers: smallest number of sellers for which drift is measured.
        unusable_share_most: largest share of `insufficient_data` and `stale_data` in the analysis period.
    """

    __pydantic_config__ = STRICT

    days: Annotated[int, Field(ge=1)] = 90
    score_psi_most: Annotated[float, Field(gt=0)] = 0.25
    feature_psi_most: Annotated[float, Field(gt=0)] = 0.25
    least_sellers: Annotated[int, Field(ge=20)] = 50
    unusable_share_most: Annotated[float, Field(ge=0, le=1)] = 0.05


@dataclass(frozen=True)
class OutcomeThresholds:
    """Thresholds of performance and calibration.

    Attributes:
        vintages: number of the latest vintages with matured loans that can raise alarms; older ones are only shown.
        least_of_a_kind: smallest number of bad loans, and of good loans, for an AUC or a calibration slope.
        observed_over_expected_least: below it the model is too strict.
        observed_over_expected_most: above it the model is too lenient.
        slope_least: smallest calibration slope; below it predictions are too extreme.
        slope_most: largest calibration slope; above it predictions are too close to the average.
        auc_loss_most: largest loss of AUC since the validation of the bundle.
    """

    __pydantic_config__ = STRICT

    vintages: Annotated[int, Field(ge=1)] = 12
    least_of_a_kind: Annotated[int, Field(ge=2)] = 10
    observed_over_expected_least: Annotated[float, Field(ge=0, le=1)] = 0.8
    observed_over_expected_most: Annotated[float, Field(ge=1)] = 1.25
    slope_least: Annotated[float, Field(ge=0, le=1)] = 0.8
    slope_most: Annotated[float, Field(ge=1)] = 1.25
    auc_loss_most: Annotated[float, Field(ge=0, le=1)] = 0.05

    @property
    def observed_over_expected(self) -> Threshold:
        """The allowed range of observed over expected defaults."""
        return Threshold(self.observed_over_expected_least, self.observed_over_expected_most)

    @property
    def slope(self) -> Threshold:
        """The allowed range of the calibration slope."""
        return Threshold(self.slope_least, self.slope_most)


@dataclass(frozen=True)
class FreshnessThresholds:
    """Largest age of the data. For the tables that scores need, the bundle sets it (`max_age_days`).

    Attributes:
        outcome_days_most: largest age of loans, instalments and payments, in days.
    """

    __pydantic_config__ = STRICT

    outcome_days_most: Annotated[int, Field(ge=0)] = 45


@dataclass(frozen=True)
class PortfolioConfig:
    """What a file of `score-portfolio` does not contain: the number of days for which each score is valid."""

    __pydantic_config__ = STRICT

    validity_days: Annotated[int, Field(ge=1)] = 30


@dataclass(frozen=True)
class MonitorConfig:
    """All settings of monitoring; in a file each field is a section, see `settings.read_settings`.

    Example:
        >>> MonitorConfig(drift=DriftThresholds(days=30)).as_toml().splitlines()[:2]
        ['[drift]', 'days = 30']
    """

    __pydantic_config__ = STRICT

    drift: DriftThresholds = field(default_factory=DriftThresholds)
    outcomes: OutcomeThresholds = field(default_factory=OutcomeThresholds)
    freshness: FreshnessThresholds = field(default_factory=FreshnessThresholds)
    portfolio: PortfolioConfig = field(default_factory=PortfolioConfig)

    def as_toml(self) -> str:
        """Return all settings as the text of a settings file."""
        return _sections_as_toml(asdict(self))


def _sections_as_toml(sections: dict[str, dict[str, object]]) -> str:
    return "\n".join(
        f"[{name}]\n" + "".join(f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in section.items())
        for name, section in sections.items()
    )

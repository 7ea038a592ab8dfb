"""Features that the settings keep out of a model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from training.errors import ConfigError
from training.settings import STRICT

if TYPE_CHECKING:
    from training.dataset import Dataset


@dataclass(frozen=True)
class FeatureConfig:
    """The `[features]` section: what a model may read.

    Attributes:
        only: the features that a model may read; empty for all that are scored.
        exclude: features that it may not read.

    Example: `FeatureConfig(exclude=("average_order_180d",))`.
    """

    __pydantic_config__ = STRICT

    only: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def apply(self, dataset: Dataset) -> Dataset:
        """Return the dataset with the other features marked as not scored.

        Raises:
            ConfigError: a name is not that of a scored feature, or no feature is left.
        """
        names = [str(name) for name in dataset.features]
        scored = [name for name in names if name not in dataset.not_scored]
        for setting, listed in (("only", self.only), ("exclude", self.exclude)):
            if unknown := [name for name in listed if name not in scored]:
                raise ConfigError(
                    f"features.{setting} names {unknown[0]!r}, which is not a feature that a model may read; allowed "
                    f"are {', '.join(scored)}."
                )
        kept = [name for name in scored if (not self.only or name in self.only) and name not in self.exclude]
        if not kept:
            raise ConfigError("features.only and features.exclude leave no feature that a model may read.")
        return replace(dataset, not_scored=frozenset(names) - frozenset(kept))

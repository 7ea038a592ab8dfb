"""Refits on bootstrap samples of sellers: they show how much a result depends on the sellers in the training data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from scoring.bundle import Bundle, BundleParts, pack
from scoring.sheet import FeatureSheet
from training.candidates import Recipe
from training.fit import FitConfig, fit_rows
from training.sample import Sample
from training.scorecard import Scorecard, fit_scorecard
from training.settings import STRICT

if TYPE_CHECKING:
    from training.dataset import Dataset


@dataclass(frozen=True)
class RefitConfig:
    """The `[refits]` section: number of refits. With 0, the studies of stability have nothing to compare."""

    __pydantic_config__ = STRICT

    count: Annotated[int, Field(ge=0, le=100)] = 5


def refit_models(
    sample: Sample, config: FitConfig, recipe: Recipe, parts: BundleParts, *, count: int, step: Callable[[str], None]
) -> tuple[Bundle, ...]:
    """Return copies of a bundle whose models are fitted on bootstrap samples of the sellers.

    A bootstrap sample has as many sellers as the training data, drawn with replacement, each with all their loans.
    Features are selected on the sample, and the sheet marks them as scored. The calibration stays that of `parts`,
    because folds for each refit would cost as much as the refits.

    Args:
        sample: the training rows.
        config: the settings that the model was fitted with; its seed is the seed of the bootstrap.
        recipe: the recipe of the model.
        parts: the parts of the bundle.
        count: number of refits.
        step: reports progress.
    """
    bundles = []
    for number, rows in enumerate(_bootstrap(sample.sellers, count, config.seed), 1):
        step(f"refit on a bootstrap sample of {sample.words.units}, {number} of {count}")
        features, model = fit_rows(sample.take(rows), config, recipe)
        refit = replace(parts, model_text=model.model_to_string(), sheet=_with_scored(parts.sheet, features))
        bundles.append(Bundle.from_files(pack(refit)))
    return tuple(bundles)


def refit_scorecards(
    part: Dataset, sellers: NDArray[np.int64], seed: int, count: int, step: Callable[[str], None]
) -> tuple[Scorecard, ...]:
    """Return benchmark scorecards fitted on the same bootstrap samples as `refit_models` with this seed.

    Args:
        part: the training rows.
        sellers: number of each row's seller, as in `Sample.sellers`.
        seed: seed of the bootstrap.
        count: number of refits.
        step: reports progress.
    """
    cards = []
    features = part.scored_features
    for number, rows in enumerate(_bootstrap(sellers, count, seed), 1):
        step(f"scorecard on a bootstrap sample of {part.words.units}, {number} of {count}")
        cards.append(fit_scorecard(features.iloc[rows], part.rows["bad"].iloc[rows], seed, part.signs))
    return tuple(cards)


def _with_scored(sheet: FeatureSheet, features: frozenset[str]) -> FeatureSheet:
    """Return the sheet with only these features scored. A feature that is always missing has no typical value."""
    entries = []
    for entry in sheet.entries:
        scored = entry.name in features and entry.typical is not None
        entries.append(replace(entry, scored=scored, reach=entry.reach if scored else ()))
    return replace(sheet, entries=tuple(entries))


def _bootstrap(sellers: NDArray[np.int64], count: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Yield the rows of bootstrap samples of sellers."""
    rng = np.random.default_rng(seed)
    total = int(sellers.max()) + 1
    for _ in range(count):
        times = np.bincount(rng.integers(0, total, total), minlength=total)
        yield np.repeat(np.arange(len(sellers)), times[sellers])

"""Refits: the model trained anew on bootstrap samples of its sellers, to show what rests on whom was drawn."""

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
    """How many refits a run makes; with none, studies of stability have nothing to compare."""

    __pydantic_config__ = STRICT

    count: Annotated[int, Field(ge=0, le=100)] = 5


def refits(
    sample: Sample, config: FitConfig, recipe: Recipe, parts: BundleParts, *, count: int, step: Callable[[str], None]
) -> tuple[Bundle, ...]:
    """Return bundles as `parts` but for their models, fitted with the same recipe to other draws of sellers.

    A draw takes as many sellers as there are, with replacement, each with all their loans. Features are those that the
    draw selects, and the sheet marks them as scored; the calibration is that of `parts`, since folds for each refit
    would cost as much as the refits.

    Args:
        sample: the training rows.
        config: the settings that the model was fitted with; its seed begins the draws.
        recipe: how the model was fitted.
        parts: the bundle's parts.
        count: how many refits.
        step: told which refit begins.
    """
    made = []
    for number, rows in enumerate(_draws(sample.sellers, count, config.seed), 1):
        step(f"refit on a bootstrap sample of sellers, {number} of {count}")
        shown, model = fit_rows(sample.rows(rows), config, recipe)
        refit = replace(parts, model_text=model.model_to_string(), sheet=_scoring(parts.sheet, shown))
        made.append(Bundle.from_files(pack(refit)))
    return tuple(made)


def _scoring(sheet: FeatureSheet, shown: frozenset[str]) -> FeatureSheet:
    """Return the sheet with only these features scored. A feature that is always missing has no typical value."""
    entries = []
    for entry in sheet.entries:
        scored = entry.name in shown and entry.typical is not None
        entries.append(replace(entry, scored=scored, reach=entry.reach if scored else ()))
    return replace(sheet, entries=tuple(entries))


def scorecard_refits(
    part: Dataset, sellers: NDArray[np.int64], seed: int, count: int, step: Callable[[str], None]
) -> tuple[Scorecard, ...]:
    """Return scorecards that learnt from the same draws of sellers as `refits` of this seed.

    Args:
        part: the training rows.
        sellers: the number of each row's seller, as `Sample.sellers` has it.
        seed: begins the draws.
        count: how many refits.
        step: told which refit begins.
    """
    made = []
    features = part.features[[name for name in part.features if name not in part.not_scored]]
    for number, rows in enumerate(_draws(sellers, count, seed), 1):
        step(f"scorecard on a bootstrap sample of sellers, {number} of {count}")
        made.append(fit_scorecard(features.iloc[rows], part.rows["bad"].iloc[rows], seed, part.signs))
    return tuple(made)


def _draws(sellers: NDArray[np.int64], count: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Yield the rows of as many sellers as there are, drawn with replacement."""
    rng = np.random.default_rng(seed)
    known = int(sellers.max()) + 1
    for _ in range(count):
        times = np.bincount(rng.integers(0, known, known), minlength=known)
        yield np.repeat(np.arange(len(sellers)), times[sellers])

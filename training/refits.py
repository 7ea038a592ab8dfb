"""Refits: the model trained anew on bootstrap samples of its sellers, to show what rests on whom was drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from pydantic import Field

from scoring.bundle import Bundle, BundleParts, pack
from training.fit import FitConfig, boost
from training.sample import Sample
from training.settings import STRICT


@dataclass(frozen=True)
class RefitConfig:
    """How many refits a run makes; with none, studies of stability have nothing to compare."""

    __pydantic_config__ = STRICT

    count: Annotated[int, Field(ge=0, le=100)] = 5


def refits(
    sample: Sample, config: FitConfig, parts: BundleParts, count: int, step: Callable[[str], None]
) -> tuple[Bundle, ...]:
    """Return bundles as `parts` but for their models, which learnt with the same settings from other draws of sellers.

    A draw takes as many sellers as there are, with replacement, each with all their loans. The number of rounds is that
    of the model in `parts`; so is the calibration, which folds for each refit would cost as much as the refits.

    Args:
        sample: the training rows.
        config: the settings that the model was fitted with; its seed begins the draws.
        parts: the bundle's parts.
        count: how many refits.
        step: told which refit begins.
    """
    rng = np.random.default_rng(config.seed)
    sellers = int(sample.sellers.max()) + 1
    rounds = parts.model_text.count("\nTree=")
    made = []
    for number in range(1, count + 1):
        step(f"refit on a bootstrap sample of sellers, {number} of {count}")
        times = np.bincount(rng.integers(0, sellers, sellers), minlength=sellers)
        drawn = sample.rows(np.repeat(np.arange(len(sample.bad)), times[sample.sellers]))
        again = sample.columns.merge(boost(drawn, config, rounds))
        made.append(Bundle.from_files(pack(replace(parts, model_text=again.model_to_string()))))
    return tuple(made)

"""Features that fake orders move cheaply are declared gameable, for every strategy."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
import pytest

from features.catalogue import CATALOGUE, Feature
from features.ingest import OperatingStore
from features.pipeline import compute_frame
from tests.training.datasets import dataset
from tests.training.evidence.subjects import boosted, bundle
from training.columns import Columns
from training.evidence import store_copies
from training.evidence.fake_order_attack import HONEST, run_attack
from training.evidence.fake_order_strategies import STRATEGIES
from training.evidence.store_copies import copy_rows

pytestmark = pytest.mark.slow

_WEIGHS: Final = 0.06
"""Of a feature's value, at least of 1: what a twentieth of a month's money can move of a month, and rounding."""


@pytest.fixture(scope="module")
def moves(store: OperatingStore, known: pd.DataFrame) -> pd.DataFrame:
    """By feature, the most that any mix raises and lowers it for either shop, against what money could."""
    seen: list[pd.DataFrame] = []

    def spy(copies: OperatingStore, pairs: pd.DataFrame) -> pd.DataFrame:
        seen.append(compute_frame(copies, pairs))
        return seen[0]

    made = dataset(600, 200)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store_copies, "compute_frame", spy)
        run_attack(bundle(made, boosted(made)), store, known)
    of_each = {
        name: seen[0].loc[[copy_rows(seller, name) for seller, _ in known.index]].to_numpy()
        for name in (HONEST, *(mix.name for mix in STRATEGIES))
    }
    before = of_each[HONEST]
    change = np.array([of_each[mix.name] - before for mix in STRATEGIES]) / (_WEIGHS * np.maximum(np.abs(before), 1.0))
    flat = np.nan_to_num(change.reshape(-1, len(CATALOGUE)))
    return pd.DataFrame({"up": flat.max(axis=0), "down": -flat.min(axis=0)}, index=[each.name for each in CATALOGUE])


@pytest.mark.parametrize("feature", CATALOGUE, ids=[each.name for each in CATALOGUE])
def test_a_feature_that_fake_orders_move_cheaply_is_declared_so(feature: Feature, moves: pd.DataFrame) -> None:
    for way in ("up", "down"):
        if feature.gameable not in (way, "both"):
            assert moves.loc[feature.name, way] <= 1.0, f"it can be bought {way}"


def test_declared_features_can_be_moved(moves: pd.DataFrame) -> None:
    """Shops whose every day is alike show half of what can be bought; the rest needs returns, livestreams, a slump."""
    declared = [each for each in CATALOGUE if each.gameable != "no"]
    shown = [each.name for each in declared if moves.loc[each.name].max() > 1.0]
    assert len(shown) >= 0.5 * len(declared), sorted({each.name for each in declared} - set(shown))


@pytest.mark.parametrize("feature", CATALOGUE, ids=[each.name for each in CATALOGUE])
def test_no_column_rewards_what_can_be_bought(feature: Feature) -> None:
    columns = Columns.of([feature.name])
    if feature.gameable in ("up", "both"):
        assert -1 not in columns.signs, "lower risk for more of it"
    if feature.gameable in ("down", "both"):
        assert 1 not in columns.signs, "lower risk for less of it"
    # what has no direction is not scored at all
    if feature.gameable == "no" or not feature.sign:
        assert columns.signs == ((feature.sign,) if feature.sign else ())

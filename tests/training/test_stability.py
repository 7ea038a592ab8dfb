"""Selection by stability: what holds in every period is kept, and what turns between periods is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from training.columns import Columns
from training.evidence.metrics import auc
from training.sample import Sample
from training.stability import MIN_SELECTED, MOST_PERIODS, Stability, measure_stability, stability_finding

NAMES = ("steady", "weaker", "noise", "turning", "constant", "falling")
SIGNS = {"steady": 1, "weaker": 1, "noise": 1, "turning": 1, "constant": 1, "falling": -1}


def loans(rows: int = 4_000, days: int = 400, seed: int = 1) -> tuple[pd.DataFrame, pd.Series, pd.Series]:
    """Return features, outcomes and midnights; `turning` follows risk in the first six tenths, then goes against it."""
    rng = np.random.default_rng(seed)
    day = np.sort(rng.integers(0, days, rows))
    risk = rng.normal(size=rows)
    bad = rng.random(rows) < 1 / (1 + np.exp(2.0 - 1.5 * risk))
    turns = np.where(day < 0.6 * days, 3.0, -1.5)
    features = pd.DataFrame(
        {
            "steady": risk + rng.normal(size=rows),
            "weaker": risk + 2.0 * rng.normal(size=rows),
            "noise": rng.normal(size=rows),
            "turning": turns * risk + rng.normal(size=rows),
            "constant": 1.0,
            "falling": -risk + rng.normal(size=rows),
        }
    )
    return features, pd.Series(bad), pd.Series(pd.Timestamp("2024-01-01") + pd.to_timedelta(day, unit="D"))


def sample_of(seed: int = 1, *, timed: bool = True) -> Sample:
    features, bad, as_of = loans(seed=seed)
    sellers = pd.Series(range(len(bad)))
    return Sample.of(features, bad, sellers, as_of if timed else None, Columns.of(NAMES, SIGNS, not_scored=()))


def kept_names(found: Stability) -> set[str]:
    return {NAMES[place] for place in found.selected}


def test_a_column_that_turns_between_periods_is_dropped_though_it_ranks_well_pooled() -> None:
    sample = sample_of()
    pooled = auc(sample.bad == 1, np.asarray(sample.matrix)[:, NAMES.index("turning")])
    assert pooled > 0.6
    found = measure_stability(sample, 2.5)
    assert found.periods == MOST_PERIODS
    assert kept_names(found) == {"steady", "weaker", "falling"}
    # without time nothing shows that it turns
    timeless = measure_stability(sample_of(timed=False), 2.5)
    assert timeless.periods == 1
    assert "turning" in kept_names(timeless)


def test_the_gini_is_the_mean_over_periods_in_the_declared_direction() -> None:
    sample = sample_of()
    found = measure_stability(sample, 2.5)
    for place, sign in enumerate(sample.columns.signs):
        values = np.asarray(sample.matrix)[:, place]
        ginis = [2 * auc(sample.bad[rows] == 1, sign * values[rows]) - 1 for rows in sample.periods(MOST_PERIODS, 10)]
        assert found.gini[place] == pytest.approx(np.mean(ginis), abs=1e-9)
        between, chance = np.std(ginis, ddof=1) / np.sqrt(len(ginis)), 1 / np.sqrt(3 * sample.bad.sum())
        assert found.error[place] == pytest.approx(max(between, chance))


def test_a_column_bound_the_wrong_way_is_dropped() -> None:
    sample = sample_of()
    wrong = replace(sample.columns, signs=(-1, *sample.columns.signs[1:]))
    found = measure_stability(replace(sample, columns=wrong), 2.5)
    assert found.gini[0] < -0.2
    assert "steady" not in kept_names(found)


def test_with_no_errors_every_column_is_kept() -> None:
    assert kept_names(measure_stability(sample_of(), 0.0)) == set(NAMES)


def test_the_strongest_are_kept_where_hardly_any_is_beyond_chance() -> None:
    rng = np.random.default_rng(4)
    names = [f"noise_{number}" for number in range(8)]
    features = pd.DataFrame(rng.normal(size=(300, 8)), columns=names)
    bad = pd.Series(rng.random(300) < 0.1)
    columns = Columns.of(names, dict.fromkeys(names, 1), not_scored=())
    found = measure_stability(Sample.of(features, bad, pd.Series(range(300)), columns=columns), 10.0)
    assert len(found.selected) == MIN_SELECTED
    assert set(found.selected) == set(np.argsort(-found.gini)[:MIN_SELECTED])


def test_both_columns_of_a_feature_without_a_direction_are_kept() -> None:
    """Risk that is high at both ends ranks loans in neither direction, yet trees learn it from the two columns."""
    rng = np.random.default_rng(5)
    names = ["valley", *(f"told_{number}" for number in range(MIN_SELECTED)), "noise"]
    features = pd.DataFrame(rng.normal(size=(3_000, len(names))), columns=names)
    margin = features["valley"] ** 2 + features[names[1:-1]].sum(axis=1) - 3.0
    bad = pd.Series(rng.random(3_000) < 1 / (1 + np.exp(-margin)))
    columns = Columns.of(names, {name: 1 for name in names if name != "valley"}, not_scored=())
    found = measure_stability(Sample.of(features, bad, pd.Series(range(3_000)), columns=columns), 2.5)
    assert np.abs(found.gini[:2]).max() < 0.1
    assert [names[columns.feature_of[place]] for place in found.selected] == ["valley", "valley", *names[1:-1]]


def test_outcomes_of_one_kind_rank_nothing() -> None:
    sample = sample_of()
    found = measure_stability(replace(sample, bad=np.ones(len(sample.bad)), days=None), 2.5)
    assert not found.gini.any()


def test_the_finding_lists_every_column_with_its_gini() -> None:
    sample = sample_of()
    found = stability_finding(sample, measure_stability(sample, 2.5))
    assert found.figures == {"kept": 3, "dropped": 3, "periods": MOST_PERIODS}
    assert found.said.startswith("Of 6 columns that a model may read, 3 are selected: over 8 periods")
    assert found.said.endswith("The other columns would rank loans by what held in one period only, or by chance.")
    table = found.tables["Features"].set_index("feature")
    assert table["gini"].is_monotonic_decreasing
    assert set(table.index[table["kept"]]) == {"steady", "weaker", "falling"}
    assert table.loc["falling", "direction"] == "lowers risk"
    assert table.loc["constant", "gini"] == 0.0


def said(sample: Sample, errors: float) -> str:
    return stability_finding(sample, measure_stability(sample, errors)).said


def test_with_a_threshold_of_0_the_text_claims_no_selection() -> None:
    for timed in (True, False):
        text = said(sample_of(timed=timed), 0.0)
        assert text.startswith("All 6 columns that a model may read are selected: the threshold of the selection")
        assert "by more than chance" not in text
        assert ("Stability over time cannot be measured" in text) != timed


def test_of_one_period_the_text_claims_no_stability() -> None:
    text = said(sample_of(timed=False), 2.5)
    assert "4 are selected: over all training loans they rank" in text
    assert "Stability over time cannot be measured: the training loans make one period only." in text
    assert "1 periods" not in text


def test_columns_that_are_kept_without_ranking_are_counted() -> None:
    sample = sample_of()
    columns = Columns.of(NAMES, {**SIGNS, "noise": 0}, not_scored=())
    assert "Exceptions are 2 that belong to a feature without a declared direction." in said(
        replace(sample, matrix=np.asarray(sample.matrix)[:, columns.feature_of], columns=columns), 2.5
    )
    assert f"of the {MIN_SELECTED} strongest, which are always selected." in said(sample, 1_000.0)


def test_the_text_explains_why_there_are_more_columns_than_features() -> None:
    sample = sample_of()
    assert "The columns come from" not in said(sample, 0.0)
    columns = Columns.of(NAMES, {**SIGNS, "noise": 0}, not_scored=())
    free = replace(sample, matrix=np.asarray(sample.matrix)[:, columns.feature_of], columns=columns)
    assert "The columns come from 6 features: a feature without a declared direction has two columns" in said(free, 0.0)
    names = ("steady", "age_rising", "age_falling", "turning", "constant", "falling")
    split = replace(sample, columns=Columns(names, sample.columns.feature_of, sample.columns.signs))
    assert "along NAME_falling it may only fall (1 such column)" in said(split, 0.0)

"""Feature selection by stability: columns that rank in every period are selected."""

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


def test_a_column_that_reverses_between_periods_is_not_selected() -> None:
    sample = sample_of()
    pooled = auc(sample.bad == 1, np.asarray(sample.matrix)[:, NAMES.index("turning")])
    assert pooled > 0.6
    found = measure_stability(sample, 2.5)
    assert found.periods == MOST_PERIODS
    assert kept_names(found) == {"steady", "weaker", "falling"}
    assert kept_names(measure_stability(sample, 0.0)) == set(NAMES)
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


def test_a_column_with_the_wrong_sign_is_not_selected() -> None:
    sample = sample_of()
    wrong = replace(sample.columns, signs=(-1, *sample.columns.signs[1:]))
    found = measure_stability(replace(sample, columns=wrong), 2.5)
    assert found.gini[0] < -0.2
    assert "steady" not in kept_names(found)
    assert not measure_stability(replace(sample, bad=np.ones(len(sample.bad)), days=None), 2.5).gini.any()


def test_the_strongest_columns_are_always_selected() -> None:
    rng = np.random.default_rng(4)
    names = [f"noise_{number}" for number in range(8)]
    features = pd.DataFrame(rng.normal(size=(300, 8)), columns=names)
    bad = pd.Series(rng.random(300) < 0.1)
    columns = Columns.of(names, dict.fromkeys(names, 1), not_scored=())
    found = measure_stability(Sample.of(features, bad, pd.Series(range(300)), columns=columns), 10.0)
    assert len(found.selected) == MIN_SELECTED
    assert set(found.selected) == set(np.argsort(-found.gini)[:MIN_SELECTED])


def test_both_columns_of_a_feature_without_a_direction_are_selected() -> None:
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


def test_the_finding_lists_every_column_with_its_gini() -> None:
    sample = sample_of()
    found = stability_finding(sample, measure_stability(sample, 2.5))
    assert found.figures == {"kept": 3, "dropped": 3, "periods": MOST_PERIODS}
    assert found.summary.startswith("Of 6 columns that a model may read, 3 are selected: over 8 periods")
    assert found.summary.endswith("The other columns would rank loans by what held in one period only, or by chance.")
    table = found.tables["Features"].set_index("feature")
    assert table["gini"].is_monotonic_decreasing
    assert set(table.index[table["kept"]]) == {"steady", "weaker", "falling"}
    assert table.loc["falling", "direction"] == "lowers risk"
    assert table.loc["constant", "gini"] == 0.0


def summary(sample: Sample, errors: float) -> str:
    return stability_finding(sample, measure_stability(sample, errors)).summary


@pytest.fixture
def free() -> Sample:
    """The sample with a feature without a declared direction, which has two columns."""
    sample, columns = sample_of(), Columns.of(NAMES, {**SIGNS, "noise": 0}, not_scored=())
    return replace(sample, matrix=np.asarray(sample.matrix)[:, columns.feature_of], columns=columns)


def test_the_text_claims_only_what_was_measured() -> None:
    for timed in (True, False):
        text = summary(sample_of(timed=timed), 0.0)
        assert text.startswith("All 6 columns that a model may read are selected: the threshold of the selection")
        assert "by more than chance" not in text
        assert ("Stability over time cannot be measured" in text) != timed
    text = summary(sample_of(timed=False), 2.5)
    assert "4 are selected: over all training loans they rank" in text
    assert "Stability over time cannot be measured: the training loans make one period only." in text
    assert "1 periods" not in text


def test_columns_selected_without_ranking_are_counted(free: Sample) -> None:
    assert "Exceptions are 2 that belong to a feature without a declared direction." in summary(free, 2.5)
    assert f"of the {MIN_SELECTED} strongest, which are always selected." in summary(sample_of(), 1_000.0)


def test_the_text_explains_why_there_are_more_columns_than_features(free: Sample) -> None:
    sample = sample_of()
    assert "The columns come from" not in summary(sample, 0.0)
    assert "The columns come from 6 features: a feature without a declared direction has two columns" in summary(
        free, 0.0
    )
    names = ("steady", "age_rising", "age_falling", "turning", "constant", "falling")
    split = replace(sample, columns=Columns(names, sample.columns.feature_of, sample.columns.signs))
    assert "along NAME_falling it may only fall (1 such column)" in summary(split, 0.0)

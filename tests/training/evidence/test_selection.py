"""Selection bias: the draw of sellers without a loan, their difference, and reweighted calibration."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from features.ingest import OperatingStore, open_store
from features.pipeline import accepted_rows
from tests.frames import frame_of
from tests.training.datasets import INFORMATIVE
from tests.training.evidence.subjects import subject, with_test
from tests.world import shared_world
from training.evidence.drift import Sample
from training.evidence.selection import (
    SelectionSamples,
    compare_samples,
    reweight,
    sample_unlabelled,
    selection_samples,
    study_selection,
)
from training.evidence.study import ReviewedModel

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> OperatingStore:
    return open_store(shared_world(tmp_path_factory).home / "operating")


@pytest.fixture(scope="module")
def loans(store: OperatingStore) -> pd.DataFrame:
    paid_out = accepted_rows(store, "loans")
    rows = paid_out.assign(as_of=paid_out["disbursed_at"].dt.normalize())[["seller_id", "as_of"]]
    return rows.sort_values(["as_of", "seller_id"], ignore_index=True).iloc[::4].reset_index(drop=True)


@pytest.fixture(scope="module")
def lent(store: OperatingStore, loans: pd.DataFrame) -> ReviewedModel:
    """Loans of the world with made features, which are nothing like those of its other sellers."""
    rows = loans.iloc[np.resize(np.arange(len(loans)), 700)].reset_index(drop=True)
    return replace(with_test(subject(), seller_id=rows["seller_id"], as_of=rows["as_of"]), store=store)


@pytest.fixture(scope="module")
def others(store: OperatingStore, lent: ReviewedModel) -> pd.DataFrame:
    """A few features of the sellers without a loan that the study draws."""
    pairs = sample_unlabelled(store, lent.test.rows, lent.seed, each=2)
    return frame_of(store, pairs, ("days_since_first_order", "active_days_365d", *INFORMATIVE))


@pytest.fixture(scope="module")
def samples(store: OperatingStore, lent: ReviewedModel, others: pd.DataFrame) -> SelectionSamples:
    def computed(_: OperatingStore, pairs: pd.DataFrame) -> pd.DataFrame:
        assert set(pairs[["seller_id", "as_of"]].itertuples(index=False, name=None)) == set(others.index)
        return others

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("features.pipeline.compute_frame", computed)
        return selection_samples(lent, store)


def test_any_seller_can_be_drawn_who_was_known_and_had_no_loan_at_that_midnight(
    store: OperatingStore, loans: pd.DataFrame
) -> None:
    known = accepted_rows(store, "sellers").groupby("seller_id")["visible_from"].min()
    first = accepted_rows(store, "loans").groupby("seller_id")["disbursed_at"].min().reindex(known.index)
    drawn = sample_unlabelled(store, loans, seed=1, each=3)
    assert not drawn["seller_id"].isin(loans["seller_id"]).any()
    assert not drawn.duplicated().any()
    assert 2 * len(loans) < len(drawn) <= 3 * len(loans)
    assert set(drawn["as_of"]) <= set(loans["as_of"])
    for seller, as_of in drawn.itertuples(index=False, name=None):
        assert known[seller] <= as_of
        assert not first[seller] < as_of
    last = loans.iloc[[-1] * 4_000].reset_index(drop=True)
    day = last["as_of"].iloc[0]
    free = set(known.index[(known <= day) & ~(first < day)]) - set(last["seller_id"])
    drawn_then = set(sample_unlabelled(store, last, seed=1)["seller_id"])
    assert drawn_then <= free
    assert len(drawn_then) > 0.95 * len(free)


def test_draws_are_those_of_the_seed(store: OperatingStore, loans: pd.DataFrame) -> None:
    one, same, other = (sample_unlabelled(store, loans, seed) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(one, same)
    assert not one.equals(other)


def test_the_study_measures_the_difference(lent: ReviewedModel, samples: SelectionSamples) -> None:
    finding = compare_samples(lent, samples)
    figures = finding.figures
    assert figures["propensity_auc"] > 0.95
    assert figures["propensity_auc_low"] <= figures["propensity_auc"] <= figures["propensity_auc_high"]
    assert figures["score_psi"] > 0.25
    assert figures["others"] >= 50
    assert 0 < figures["others_scorable_share"] <= 1
    assert figures["effective_rows"] <= figures["labelled"]
    assert set(finding.plots) == {"score"}
    assert "does not correct it" in finding.summary
    assert f"{figures['labelled']:,.0f} labelled rows with {figures['others']:,.0f} sellers" in finding.summary


def test_sellers_without_a_loan_have_enough_history_as_of_their_midnights(
    lent: ReviewedModel, samples: SelectionSamples, others: pd.DataFrame
) -> None:
    enough = others[(others["days_since_first_order"] >= 90) & (others["active_days_365d"] >= 10)]
    names = list(lent.bundle.sheet.names)
    assert np.array_equal(samples.others.values[names].to_numpy(), enough[names].to_numpy(), equal_nan=True)
    assert samples.others.sellers.tolist() == enough.index.get_level_values("seller_id").tolist()
    assert samples.scorable_share == pytest.approx(len(enough) / len(others))


def test_what_is_too_small_is_not_weighted_or_compared(lent: ReviewedModel, samples: SelectionSamples) -> None:
    few_bad = compare_samples(with_test(lent, bad=np.arange(700) < 5), samples)
    assert "effective_rows" not in few_bad.figures
    assert "Fewer than 10 of the labelled rows defaulted" in few_bad.summary
    few = Sample(samples.others.values.head(49), samples.others.sellers.head(49))
    small = compare_samples(lent, replace(samples, others=few))
    assert small.figures == study_selection(subject()).figures == {}
    assert "and 49 sellers without a loan at the same midnights" in small.summary
    assert study_selection(subject()).summary.startswith("Not studied: the labels come without operating data")


def test_weights_show_the_calibration_of_sellers_without_outcomes() -> None:
    """The model expects a tenth everywhere; where x is low, where few are approved, a third goes bad."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=40_000)
    propensity = 1 / (1 + np.exp(-x))
    approved, bad = rng.random(40_000) < propensity, rng.random(40_000) < np.where(x < 0, 1 / 3, 0.05)
    found = reweight(bad[approved], np.full(approved.sum(), 0.1), propensity[approved], seed=1)
    assert found.ratio.value == pytest.approx(0.1 / bad[~approved].mean(), rel=0.05)
    assert found.ratio.low < 0.1 / bad[~approved].mean() < found.ratio.high
    assert found.ratio.value < 0.75 * 0.1 / bad[approved].mean()
    assert found.effective_rows < 0.7 * approved.sum()


def test_equal_propensities_change_nothing_and_no_row_has_a_weight_above_49() -> None:
    equal = reweight(np.arange(200) % 10 == 0, np.full(200, 0.2), np.full(200, 0.5), seed=1)
    assert (equal.ratio.value, equal.effective_rows) == pytest.approx((2.0, 200))
    bad = np.arange(1_000) == 0
    found = reweight(bad, np.full(1_000, 0.049), np.where(bad, 1e-9, 0.5), seed=1)
    assert found.ratio.value == pytest.approx(0.049 * (999 + 49) / 49)

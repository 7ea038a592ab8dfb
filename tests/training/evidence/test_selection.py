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
    found = with_test(subject(), seller_id=rows["seller_id"], as_of=rows["as_of"])
    return replace(found, store=store)


@pytest.fixture(scope="module")
def computed() -> list[pd.DataFrame]:
    """The frames that were computed for others, as the study asked for them."""
    return []


@pytest.fixture(scope="module")
def sides(store: OperatingStore, lent: ReviewedModel, computed: list[pd.DataFrame]) -> SelectionSamples:
    def recorded(asked: OperatingStore, pairs: pd.DataFrame) -> pd.DataFrame:
        computed.append(frame_of(asked, pairs, ("days_since_first_order", "active_days_365d", *INFORMATIVE)))
        return computed[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("features.pipeline.compute_frame", recorded)
        return selection_samples(lent, store)


def test_others_were_known_and_had_no_loan_at_that_midnight(store: OperatingStore, loans: pd.DataFrame) -> None:
    known = accepted_rows(store, "sellers").groupby("seller_id")["visible_from"].min()
    first = accepted_rows(store, "loans").groupby("seller_id")["disbursed_at"].min()
    found = sample_unlabelled(store, loans, seed=1, each=3)
    assert not found["seller_id"].isin(loans["seller_id"]).any()
    assert not found.duplicated().any()
    assert 2 * len(loans) < len(found) <= 3 * len(loans)
    assert set(found["as_of"]) <= set(loans["as_of"])
    for seller, as_of in zip(found["seller_id"], found["as_of"], strict=True):
        assert known[seller] <= as_of
        assert seller not in first.index or first[seller] >= as_of


def test_every_seller_without_a_loan_can_be_drawn(store: OperatingStore, loans: pd.DataFrame) -> None:
    last = loans.iloc[[-1] * 4_000].reset_index(drop=True)
    drawn = set(sample_unlabelled(store, last, seed=1)["seller_id"])
    known = accepted_rows(store, "sellers").groupby("seller_id")["visible_from"].min()
    first = accepted_rows(store, "loans").groupby("seller_id")["disbursed_at"].min()
    day = last["as_of"].iloc[0]
    free = set(known.index[known <= day]) - set(first.index[first < day]) - set(last["seller_id"])
    assert len(drawn & free) / len(free) > 0.95
    assert drawn <= free


def test_draws_are_those_of_the_seed(store: OperatingStore, loans: pd.DataFrame) -> None:
    one, again, other = (sample_unlabelled(store, loans, seed) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(one, again)
    assert not one.equals(other)


def test_the_study_measures_the_difference(lent: ReviewedModel, sides: SelectionSamples) -> None:
    finding = compare_samples(lent, sides)
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
    store: OperatingStore, lent: ReviewedModel, sides: SelectionSamples, computed: list[pd.DataFrame]
) -> None:
    found, pairs = computed[0], sample_unlabelled(store, lent.test.rows, lent.seed, each=2)
    assert set(found.index) == set(pairs.itertuples(index=False, name=None))
    enough = found[(found["days_since_first_order"] >= 90) & (found["active_days_365d"] >= 10)]
    names = list(lent.bundle.sheet.names)
    assert np.array_equal(sides.others.values[names].to_numpy(), enough[names].to_numpy(), equal_nan=True)
    assert sides.others.sellers.tolist() == enough.index.get_level_values("seller_id").tolist()
    assert sides.scorable_share == pytest.approx(len(enough) / len(pairs))


def test_few_bad_rows_are_not_weighted(lent: ReviewedModel, sides: SelectionSamples) -> None:
    finding = compare_samples(with_test(lent, bad=np.arange(700) < 5), sides)
    assert "effective_rows" not in finding.figures
    assert "Fewer than 10 of the labelled rows defaulted" in finding.summary


def test_without_operating_data_the_study_is_skipped_with_a_sentence() -> None:
    finding = study_selection(subject())
    assert finding.figures == {}
    assert finding.summary.startswith("Not studied: the labels come without operating data")


def test_a_side_that_is_too_small_is_not_compared(lent: ReviewedModel, sides: SelectionSamples) -> None:
    few = Sample(sides.others.values.head(49), sides.others.sellers.head(49))
    finding = compare_samples(lent, replace(sides, others=few))
    assert finding.figures == {}
    assert "and 49 sellers without a loan at the same midnights" in finding.summary


def population(rows: int, seed: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Rows with two features, and whether they were approved: the better the first, the likelier."""
    rng = np.random.default_rng(seed)
    features = pd.DataFrame(rng.normal(size=(rows, 2)), columns=["x", "y"])
    return features, rng.random(rows) < 1 / (1 + np.exp(-features["x"]))


def test_weights_show_the_calibration_of_sellers_without_outcomes() -> None:
    """The model expects a tenth everywhere; where x is low, where few are approved, a third goes bad."""
    features, approved = population(40_000, 3)
    x = features["x"].to_numpy()
    bad = np.random.default_rng(4).random(40_000) < np.where(x < 0, 1 / 3, 0.05)
    propensity = 1 / (1 + np.exp(-x))
    found = reweight(bad[approved], np.full(approved.sum(), 0.1), propensity[approved], seed=1)
    assert found.ratio.value == pytest.approx(0.1 / bad[~approved].mean(), rel=0.05)
    assert found.ratio.low < 0.1 / bad[~approved].mean() < found.ratio.high
    assert found.ratio.value < 0.75 * 0.1 / bad[approved].mean()
    assert found.effective_rows < 0.7 * approved.sum()


def test_equal_propensities_change_nothing() -> None:
    bad = np.arange(200) % 10 == 0
    found = reweight(bad, np.full(200, 0.2), np.full(200, 0.5), seed=1)
    assert found.ratio.value == pytest.approx(2.0)
    assert found.effective_rows == pytest.approx(200)


def test_no_row_has_a_weight_above_49() -> None:
    bad = np.arange(1_000) == 0
    propensity = np.where(bad, 1e-9, 0.5)
    found = reweight(bad, np.full(1_000, 0.049), propensity, seed=1)
    assert found.ratio.value == pytest.approx(0.049 * (999 + 49) / 49)

"""Comparing two models or versions on the same rows: paired, antisymmetric, and only on comparable loans."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from functools import cache
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

import training.compare_versions
from scoring import Bundle, assess
from tests.training.datasets import COVERED, OBSERVED, dataset
from tests.training.evidence.subjects import boosted, bundle, subject
from training.compare import FIGURES, NEAR, Comparison, compare
from training.compare_versions import Contender, compare_versions
from training.dataset import to_vectors
from training.errors import ComparisonError, LabelError
from training.evidence.metrics import evaluate
from training.holdout import LabelSource, shared_rows
from training.labels import Labels
from training.predictions import COLUMNS, loan_keys, predict, shared_loans
from training.predictions import test_predictions as predictions_of
from training.promotion_cli import comparison_tables
from training.registry import Version

pytestmark = pytest.mark.slow

COVERS = dict.fromkeys(COVERED, OBSERVED)
ROWS, LATER = dataset(900, 400, seed=2), dataset(500, 400, seed=3)
LATER = replace(LATER, rows=LATER.rows.assign(seller_id="T" + LATER.rows["seller_id"]))
BAD = ROWS.rows["bad"].to_numpy()


@cache
def models() -> tuple[Bundle, Bundle]:
    """Return a model of thirty trees and one of two trees, trained on the same rows."""
    train = dataset(1_500, 500, seed=1)
    return bundle(train, boosted(train)), bundle(train, boosted(train, trees=2))


@cache
def comparison() -> Comparison:
    """Return the comparison of both on rows of many Chinese and a few German sellers."""
    return compare(*models(), replace(ROWS, about=ROWS.about.assign(country=["DE"] * 12 + ["CN"] * 888)))


def margins(model: Bundle) -> np.ndarray:
    return np.asarray(model.model.booster.predict(ROWS.features.to_numpy(), raw_score=True))


def test_each_figure_is_that_of_the_model_and_the_difference_is_theirs() -> None:
    found = comparison()
    for side, model in zip(("candidate", "champion"), models(), strict=True):
        alone = evaluate(BAD, 1 / (1 + np.exp(-margins(model))), names=FIGURES)
        assert {name: getattr(paired, side) for name, paired in found.figures.items()} == pytest.approx(
            {name: estimate.value for name, estimate in alone.items()}
        )
    for paired in found.figures.values():
        assert paired.difference.value == pytest.approx(paired.candidate - paired.champion)
        assert paired.difference.low <= paired.difference.value <= paired.difference.high
    assert (found.rows, found.bad) == (900, int(BAD.sum()))


def test_a_better_model_is_detected_although_each_auc_is_uncertain() -> None:
    """Rows that are hard for both cancel out, so the interval of the difference is narrow."""
    found = comparison().figures["auc"]
    own = evaluate(BAD, margins(models()[0]), names=("auc",))["auc"]
    assert found.difference.low > 0
    # on independent resamples it would be 1.4 times as wide
    assert found.difference.high - found.difference.low < 1.2 * (own.high - own.low)


def test_swapping_the_models_changes_the_sign_of_differences() -> None:
    there, back = comparison(), compare(*reversed(models()), ROWS)
    for name in FIGURES:
        one, other = there.figures[name].difference, back.figures[name].difference
        assert (one.value, one.low, one.high) == pytest.approx((-other.value, -other.high, -other.low))
    assert vars(there.agreement) == pytest.approx(vars(back.agreement))


def test_a_model_does_not_differ_from_itself() -> None:
    found = compare(models()[0], models()[0], ROWS)
    for paired in found.figures.values():
        assert (paired.difference.value, paired.difference.low, paired.difference.high) == (0, 0, 0)
    agreement = found.agreement
    assert (agreement.mean_points_apart, agreement.within_20_points, agreement.same_band) == (0, 1, 1)
    assert agreement.rank_correlation == pytest.approx(1)


def test_agreement_equals_that_of_the_assessments() -> None:
    found = comparison().agreement
    indexed = ROWS.features.set_index(pd.MultiIndex.from_frame(ROWS.rows[["seller_id", "as_of"]]))
    pairs = list(zip(*(assess(model, to_vectors(indexed, COVERS)) for model in models()), strict=True))
    apart = [abs(one.score - other.score) for one, other in pairs]
    assert found.mean_points_apart == pytest.approx(np.mean(apart))
    assert found.within_20_points == pytest.approx(np.mean([points <= NEAR for points in apart]))
    assert found.same_band == pytest.approx(np.mean([one.band == other.band for one, other in pairs]))


def test_a_constant_score_has_no_correlation() -> None:
    flat = replace(ROWS, features=ROWS.features * np.nan)
    assert compare(*models(), flat).agreement.rank_correlation is None


def test_segments_contain_every_row_once_and_small_ones_have_no_auc() -> None:
    found = comparison().segments
    for by in ("country", "size"):
        assert sum(each.rows for each in found if each.by == by) == 900
        assert sum(each.bad for each in found if each.by == by) == int(BAD.sum())
    by_country = {each.value: each.auc is None for each in found if each.by == "country"}
    assert by_country == {"DE": True, "CN": False}
    assert [each.value for each in found if each.by == "size"] == ["small", "medium", "large", "unknown"]


def test_the_output_names_both_versions_and_small_segments() -> None:
    console = Console(width=160, record=True, file=StringIO())
    for part in comparison_tables(comparison(), 4, 3):
        console.print(part)
    printed = console.export_text()
    for pattern in (
        "900 loans that neither was trained on",
        r"version 4 +version 3 +difference",
        r"auc +0\.\d{3} +0\.\d{3} +\+0\.\d{3} \(\+",
        r"country DE +12 +\d +too few loans",
        r"size small +\d+ +\d+ +0\.\d{3}",
    ):
        assert re.search(pattern, printed), pattern


OTHER = "sha256:" + "0" * 64


def with_catalogue(model: Bundle, catalogue: str) -> Bundle:
    return replace(model, sheet=replace(model.sheet, catalogue=catalogue))


def test_a_bundle_of_another_catalogue_is_rejected() -> None:
    ours, theirs = models()
    with pytest.raises(ComparisonError, match="The champion was trained with the catalogue sha256:000"):
        compare(ours, with_catalogue(theirs, OTHER), ROWS)
    with pytest.raises(ComparisonError, match=r"The candidate was .*, but the rows have the catalogue sha256:000"):
        compare(ours, theirs, replace(ROWS, catalogue=OTHER))


def version(number: int, **params: object) -> Version:
    """Return a version with a test from 2022-01-01 on, on the sellers held out by the default salt."""
    default = {
        "evidence": "out_of_time",
        "test_from": "2022-01-01",
        "default_definition": ROWS.labels.definition,
        "split.unseen_share": "0.3",
        "split.salt": "sellerscore",
        "split.test_days": "120",
        "split.embargo_days": "366",
    }
    return Version(number, "run", {**default, **{name: str(value) for name, value in params.items()}}, {}, {}, {})


def test_shared_rows_are_later_and_of_sellers_held_out_from_the_champion() -> None:
    default, found, half = (
        shared_rows(ROWS, version(2), version(1, test_from="2024-01-01", **params))
        for params in ({}, {"split.salt": "another"}, {"split.unseen_share": 0.6})
    )
    assert found.rows["as_of"].min() >= pd.Timestamp("2024-01-01")
    assert 0.1 < found.rows["seller_id"].nunique() / ROWS.rows["seller_id"].nunique() < 0.4
    assert set(default.rows["seller_id"]) != set(found.rows["seller_id"])
    assert set(half.rows["seller_id"]) > set(default.rows["seller_id"])


@pytest.mark.parametrize(
    ("candidate", "champion", "message"),
    [
        ({}, {"default_definition": "60+ days"}, 'predicts "90.*, but version 1 predicts "60.* cannot be compared'),
        ({}, {"evidence": "out_of_fold"}, "Version 1 was trained on all rows"),
        ({"evidence": "out_of_fold"}, {}, "Version 2 was trained on all rows"),
    ],
)
def test_models_that_cannot_be_compared_are_rejected(
    candidate: dict[str, object], champion: dict[str, object], message: str
) -> None:
    with pytest.raises(ComparisonError, match=message):
        shared_rows(ROWS, version(2, **candidate), version(1, **champion))


def test_too_few_shared_outcomes_are_rejected() -> None:
    labels = Labels(ROWS.rows, 0, OBSERVED, ROWS.labels.definition)
    few = replace(ROWS, rows=ROWS.rows.assign(bad=False), labels=labels)
    with pytest.raises(LabelError, match="Too few bad rows for the comparison of version 2 with version 1: 0 of"):
        shared_rows(few, version(2), version(1))


def test_a_label_table_is_read_with_the_horizon_and_definition_of_the_version(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("seller_id,bad,as_of\nS-1,true,2024-01-01\nS-2,false,2024-02-01\n")
    labels = {"horizon_days": "56", "days_past_due": "90", "months": "12", "definition": "half the sales"}
    settings = {f"labels.{name}": value for name, value in labels.items()}
    source = LabelSource(None, tmp_path / "labels.csv", date(2024, 3, 1))  # type: ignore[arg-type]
    found = source.labels(version(2, default_definition="half the sales", **settings))
    assert (found.rows["seller_id"].tolist(), found.censored, found.definition) == (["S-1"], 1, "half the sales")
    with pytest.raises(ComparisonError, match='these labels are "as the label table says"'):
        source.labels(version(1))


@pytest.fixture
def stored(monkeypatch: pytest.MonkeyPatch) -> dict[int, pd.DataFrame]:
    """The stored predictions of each version; of version 1, those of the first 300 rows and of some others."""
    second = pd.concat([predict(models()[1], ROWS).iloc[:300], predict(models()[1], LATER)], ignore_index=True)
    tables = {1: second.sample(frac=1.0, random_state=1), 2: predict(models()[0], ROWS)}
    monkeypatch.setattr(training.compare_versions, "load_predictions", lambda _, version: tables.get(version.number))
    return tables


def compared(*, candidate_is_other: bool = False, champion_is_other: bool = True, **champion: str) -> Comparison:
    """Compare version 2 with version 1, either of which may have another catalogue."""
    others = (champion_is_other, candidate_is_other)
    contenders = [
        Contender(version(number, **params), with_catalogue(model, OTHER) if is_other else model, ROWS)
        for number, model, is_other, params in zip((1, 2), reversed(models()), others, (champion, {}), strict=True)
    ]
    return compare_versions(None, None, contenders[1], contenders[0])  # type: ignore[arg-type]


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize("candidate_is_other", [False, True])
def test_versions_of_different_catalogues_are_compared_on_shared_test_loans(candidate_is_other: bool) -> None:
    found = compared(candidate_is_other=candidate_is_other)
    expected = compare(*models(), ROWS.select(ROWS.rows.index.to_series() < 300))
    assert (found.rows, found.figures, found.agreement) == (300, expected.figures, expected.agreement)
    assert expected.figures["auc"].difference.value > 0


def test_versions_of_this_catalogue_need_no_stored_predictions(stored: dict[int, pd.DataFrame]) -> None:
    stored.clear()
    assert 100 < compared(champion_is_other=False).rows < 500


def test_versions_of_different_catalogues_need_predictions_of_enough_shared_loans(
    stored: dict[int, pd.DataFrame],
) -> None:
    with pytest.raises(ComparisonError, match="Version 1 was trained on all rows"):
        compared(evidence="out_of_fold")
    stored[1] = predict(models()[1], LATER)
    with pytest.raises(ComparisonError, match="only 0 loans, 0 of them bad, were in both tests"):
        compared()
    del stored[1]
    with pytest.raises(ComparisonError, match=r"Version 1 was trained with the catalogue sha256:0+, .* stored no test"):
        compared()


def test_predictions_equal_assessments_and_contain_no_seller_id() -> None:
    found = predict(subject().bundle, subject().test)
    rows = subject().test
    indexed = rows.features.set_index(pd.MultiIndex.from_frame(rows.rows[["seller_id", "as_of"]]))
    assessments = assess(subject().bundle, to_vectors(indexed, COVERS))
    assert tuple(found.columns) == COLUMNS
    assert found["score"].tolist() == [each.score for each in assessments]
    assert found["band"].tolist() == [each.band for each in assessments]
    np.testing.assert_allclose(found["probability"], [each.probability_of_default for each in assessments], atol=1e-6)
    assert found["bad"].tolist() == rows.rows["bad"].tolist()
    assert not found.astype(str).apply(lambda column: column.str.contains("S-0")).any(axis=None)


def test_predictions_of_a_run_include_the_benchmark() -> None:
    found = predictions_of(subject())
    np.testing.assert_array_equal(found["probability"], subject().probability)
    np.testing.assert_array_equal(found["scorecard"], subject().scorecard)
    np.testing.assert_array_equal(found["score"], subject().score)


def keyed_rows(rows: pd.DataFrame) -> set[tuple[object, ...]]:
    return set(zip(rows["seller_id"], rows["as_of"], rows["bad"], loan_keys(rows), strict=True))


def test_keys_do_not_depend_on_the_order_of_rows() -> None:
    rows = dataset(300, 20, days=40).rows
    keys = loan_keys(rows)
    assert keys.is_unique
    assert rows.duplicated(["seller_id", "as_of"]).any()
    mixed = rows.sample(frac=1.0, random_state=1)
    assert keyed_rows(mixed) == keyed_rows(rows)
    as_text = rows.assign(as_of=rows["as_of"].dt.strftime("%Y-%m-%d"))
    assert loan_keys(as_text).tolist() == keys.tolist()
    alone = loan_keys(rows.head(1))
    assert loan_keys(rows.head(1).assign(as_of=rows["as_of"].iloc[0] + pd.Timedelta(days=1))).iloc[0] != alone.iloc[0]


def test_shared_loans_are_in_the_same_order() -> None:
    whole = predict(subject().bundle, subject().test)
    ours, theirs = whole.iloc[:500], whole.iloc[300:].sample(frac=1.0, random_state=2)
    one, other = shared_loans(ours, theirs)
    assert len(one) == 200
    pd.testing.assert_frame_equal(one, other[one.columns])

"""Comparing two models on the same rows: paired, antisymmetric, and only where the rows say something."""

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

from scoring import Bundle, assess
from tests.training.datasets import COVERED, OBSERVED, dataset
from tests.training.evidence.subjects import boosted, bundle
from training.compare import FIGURES, NEAR, compare
from training.dataset import Dataset, to_vectors
from training.errors import ComparisonError, LabelError
from training.evidence.metrics import evaluate
from training.holdout import LabelSource, shared_rows
from training.labels import Labels
from training.promotion_cli import comparison_tables
from training.registry import Version

pytestmark = pytest.mark.slow

COVERS = dict.fromkeys(COVERED, OBSERVED)


@cache
def rows() -> Dataset:
    return dataset(900, 400, seed=2)


@cache
def models() -> tuple[Bundle, Bundle]:
    """Return a model of thirty trees and one of two trees, trained on the same rows."""
    train = dataset(1_500, 500, seed=1)
    return bundle(train, boosted(train)), bundle(train, boosted(train, trees=2))


def test_each_figure_is_that_of_the_model_and_the_difference_is_theirs() -> None:
    found = compare(*models(), rows())
    bad = rows().rows["bad"].to_numpy()
    for side, model in zip(("candidate", "champion"), models(), strict=True):
        margin = np.asarray(model.model.booster.predict(rows().features.to_numpy(), raw_score=True))
        alone = evaluate(bad, 1 / (1 + np.exp(-margin)), names=FIGURES)
        assert {name: getattr(paired, side) for name, paired in found.figures.items()} == pytest.approx(
            {name: estimate.value for name, estimate in alone.items()}
        )
    for paired in found.figures.values():
        assert paired.difference.value == pytest.approx(paired.candidate - paired.champion)
        assert paired.difference.low <= paired.difference.value <= paired.difference.high
    assert (found.rows, found.bad) == (900, int(bad.sum()))


def test_a_better_model_is_detected_although_each_auc_is_uncertain() -> None:
    """Rows that are hard for both cancel out, so the interval of the difference is narrow."""
    found = compare(*models(), rows()).figures["auc"]
    margin = np.asarray(models()[0].model.booster.predict(rows().features.to_numpy(), raw_score=True))
    own = evaluate(rows().rows["bad"].to_numpy(), margin, names=("auc",))["auc"]
    assert found.difference.low > 0
    # on independent resamples it would be 1.4 times as wide
    assert found.difference.high - found.difference.low < 1.2 * (own.high - own.low)


def test_swapping_the_models_changes_the_sign_of_differences() -> None:
    there, back = compare(*models(), rows()), compare(*reversed(models()), rows())
    for name in FIGURES:
        one, other = there.figures[name].difference, back.figures[name].difference
        assert (one.value, one.low, one.high) == pytest.approx((-other.value, -other.high, -other.low))
    assert vars(there.agreement) == pytest.approx(vars(back.agreement))


def test_a_model_does_not_differ_from_itself() -> None:
    found = compare(models()[0], models()[0], rows())
    for paired in found.figures.values():
        assert (paired.difference.value, paired.difference.low, paired.difference.high) == (0, 0, 0)
    agreement = found.agreement
    assert (agreement.mean_points_apart, agreement.within_20_points, agreement.same_band) == (0, 1, 1)
    assert agreement.rank_correlation == pytest.approx(1)


def test_agreement_equals_that_of_the_assessments() -> None:
    found = compare(*models(), rows()).agreement
    indexed = rows().features.set_index(pd.MultiIndex.from_frame(rows().rows[["seller_id", "as_of"]]))
    pairs = list(zip(*(assess(model, to_vectors(indexed, COVERS)) for model in models()), strict=True))
    apart = [abs(one.score - other.score) for one, other in pairs]
    assert found.mean_points_apart == pytest.approx(np.mean(apart))
    assert found.within_20_points == pytest.approx(np.mean([points <= NEAR for points in apart]))
    assert found.same_band == pytest.approx(np.mean([one.band == other.band for one, other in pairs]))


def test_a_constant_score_has_no_correlation() -> None:
    train = dataset(1_500, 500, seed=1)
    constant = bundle(train, boosted(train, trees=1))
    flat = replace(rows(), features=rows().features * np.nan)
    assert compare(constant, models()[0], flat).agreement.rank_correlation is None


def test_segments_contain_every_row_once() -> None:
    few = rows().about.assign(country=["DE"] * 12 + ["CN"] * 888)
    found = compare(*models(), replace(rows(), about=few)).segments
    for by in ("country", "size"):
        assert sum(each.rows for each in found if each.by == by) == 900
        assert sum(each.bad for each in found if each.by == by) == int(rows().rows["bad"].sum())
    by_country = {each.value: each.auc for each in found if each.by == "country"}
    assert by_country["DE"] is None
    assert by_country["CN"] is not None
    assert [each.value for each in found if each.by == "size"] == ["small", "medium", "large", "unknown"]


def test_the_output_names_both_versions_and_small_segments() -> None:
    few = rows().about.assign(country=["DE"] * 12 + ["CN"] * 888)
    console = Console(width=160, record=True, file=StringIO())
    for part in comparison_tables(compare(*models(), replace(rows(), about=few)), 4, 3):
        console.print(part)
    printed = console.export_text()
    assert "900 loans that neither was trained on" in printed
    assert re.search(r"version 4 +version 3 +difference", printed)
    assert re.search(r"auc +0\.\d{3} +0\.\d{3} +\+0\.\d{3} \(\+", printed)
    assert re.search(r"country DE +12 +\d +too few loans", printed)
    assert re.search(r"size small +\d+ +\d+ +0\.\d{3}", printed)


def test_a_bundle_of_another_catalogue_is_rejected() -> None:
    ours, theirs = models()
    other = replace(theirs, sheet=replace(theirs.sheet, catalogue="sha256:" + "0" * 64))
    with pytest.raises(ComparisonError, match="The champion was trained with the catalogue sha256:000"):
        compare(ours, other, rows())
    with pytest.raises(ComparisonError, match=r"The candidate was .*, but the rows have the catalogue sha256:111"):
        compare(ours, theirs, replace(rows(), catalogue="sha256:" + "1" * 64))


def version(number: int, **params: object) -> Version:
    """Return a version with a test from 2023-01-01 on, on the sellers held out by the default salt."""
    default = {
        "evidence": "out_of_time",
        "test_from": "2023-01-01",
        "default_definition": rows().labels.definition,
        "split.unseen_share": "0.3",
        "split.salt": "sellerscore",
        "split.test_days": "120",
        "split.embargo_days": "366",
    }
    return Version(number, "run", {**default, **{name: str(value) for name, value in params.items()}}, {}, {}, {})


def test_shared_rows_are_later_and_of_sellers_held_out_from_the_champion() -> None:
    found = shared_rows(rows(), version(2), version(1, test_from="2024-01-01", **{"split.salt": "another"}))
    assert found.rows["as_of"].min() >= pd.Timestamp("2024-01-01")
    sellers, everyone = found.rows["seller_id"].nunique(), rows().rows["seller_id"].nunique()
    assert 0.1 < sellers / everyone < 0.4
    default = shared_rows(rows(), version(2), version(1, test_from="2024-01-01"))
    assert set(default.rows["seller_id"]) != set(found.rows["seller_id"])
    half = shared_rows(rows(), version(2), version(1, test_from="2024-01-01", **{"split.unseen_share": 0.6}))
    assert set(half.rows["seller_id"]) > set(default.rows["seller_id"])


@pytest.mark.parametrize(
    ("candidate", "champion", "message"),
    [
        ({}, {"default_definition": "60+ days"}, 'predicts "90.*", but version 1 predicts "60.* cannot be compared'),
        ({}, {"evidence": "out_of_fold"}, "Version 1 was trained on all rows"),
        ({"evidence": "out_of_fold"}, {}, "Version 2 was trained on all rows"),
    ],
)
def test_models_that_cannot_be_compared_are_rejected(
    candidate: dict[str, object], champion: dict[str, object], message: str
) -> None:
    with pytest.raises(ComparisonError, match=message):
        shared_rows(rows(), version(2, **candidate), version(1, **champion))


def test_too_few_shared_outcomes_are_rejected() -> None:
    labels = Labels(rows().rows, 0, OBSERVED, rows().labels.definition)
    few = replace(rows(), rows=rows().rows.assign(bad=False), labels=labels)
    with pytest.raises(LabelError, match="unseen by version 2 and version 1 part has 0 bad"):
        shared_rows(few, version(2), version(1))


def test_a_label_table_is_read_with_the_horizon_and_definition_of_the_version(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("seller_id,bad,as_of\nS-1,true,2024-01-01\nS-2,false,2024-02-01\n")
    trained = version(2, default_definition="half the sales", **{"labels.horizon_days": 56})
    settings = {"labels.days_past_due": "90", "labels.months": "12", "labels.definition": "half the sales"}
    trained = replace(trained, params={**trained.params, **settings})
    source = LabelSource(None, tmp_path / "labels.csv", date(2024, 3, 1))  # type: ignore[arg-type]
    found = source.labels(trained)
    assert (found.rows["seller_id"].tolist(), found.censored, found.definition) == (["S-1"], 1, "half the sales")
    with pytest.raises(ComparisonError, match='these labels are "as the label table says"'):
        source.labels(version(1))

"""A training run on generated data: bundle, metrics, findings and facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from features.catalogue import CATALOGUE, digest
from scoring import assess
from tests.training.datasets import COVERED, NAMES, dataset, small_scorecard
from training.candidates import SHRINKAGES
from training.config import FeatureConfig, TrainConfig
from training.dataset import Dataset, to_vectors
from training.evidence.metrics import auc
from training.evidence.model_card import sections
from training.evidence.studies import STUDIES, Study
from training.evidence.study import Finding, ReviewedModel, scores
from training.fit import FitConfig
from training.package import ACTIVITY, HISTORY
from training.refits import RefitConfig
from training.run import Run, train
from training.search import SearchConfig
from training.settings import read_settings
from training.split import out_of_time

pytestmark = pytest.mark.slow

ONLY = (*[feature.name for feature in CATALOGUE if feature.scored][:20], "ad_spend_share_90d")
CONFIG = TrainConfig(
    features=FeatureConfig(ONLY),
    fit=FitConfig(learning_rate=0.1, max_rounds=60, patience=10, folds=3, threads=1),
    refits=RefitConfig(0),
)
SOME = {name: STUDIES[name] for name in ("bands", "monotone", "reasons", "fake_orders")}
"""Studies that the assertions need; `evidence/test_studies.py` tests all."""

SEARCHED = replace(CONFIG, search=SearchConfig(2), refits=RefitConfig(2))


@dataclass(frozen=True)
class Observed:
    """A run, its steps, and the model as its studies received it."""

    run: Run
    steps: list[str]
    subject: ReviewedModel

    def finding(self, name: str) -> Finding:
        return next(each for each in self.run.findings if each.name == name)


def observed(loans: Dataset, config: TrainConfig, studies: Mapping[str, Study]) -> Observed:
    steps: list[str] = []
    received: list[ReviewedModel] = []

    def last(subject: ReviewedModel) -> Finding:
        received.append(subject)
        return Finding("last", "Last", "Asked: nothing.")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.run.STUDIES", {**studies, "last": last})
        patch.setattr("training.refits.fit_scorecard", small_scorecard)
        if not studies:
            patch.setattr("training.run.fit_scorecard", small_scorecard)
        found = train(loans, config, steps.append)
    return Observed(found, steps, received[0])


@pytest.fixture(scope="module")
def loans() -> Dataset:
    """Loans with a feature that was never known, as with a table that was not delivered."""
    complete = dataset(1_500, 500)
    return replace(complete, features=complete.features.assign(ad_spend_share_90d=np.nan))


@pytest.fixture(scope="module")
def whole(loans: Dataset) -> Observed:
    """A run with a search, refits and the studies that need them."""
    return observed(loans, SEARCHED, SOME)


@pytest.fixture(scope="module")
def run(whole: Observed) -> Run:
    return whole.run


@pytest.fixture(scope="module")
def of_one_midnight() -> Observed:
    return observed(dataset(300, days=1), CONFIG, {})


def test_progress_is_reported_for_every_long_step(whole: Observed) -> None:
    first = ["search"] * 3 + ["select", "fit", "record", "test"] + ["refit"] * 2 + ["scorecard"] * 2 + ["fit"]
    count = len(SOME) + 1
    assert [step.split()[0] for step in whole.steps] == [*first, *["study"] * count]
    assert whole.steps[-1] == f"study {count} of {count}: last"


def test_the_sheet_has_the_catalogue_and_the_medians_and_tables_of_the_training_data(
    loans: Dataset, whole: Observed
) -> None:
    sheet = whole.run.tested.sheet
    assert [(entry.name, entry.sign, entry.label, entry.unit) for entry in sheet.entries] == [
        (feature.name, feature.sign, feature.label, feature.unit) for feature in CATALOGUE
    ]
    trained = out_of_time(loans, CONFIG.split).train.features
    typical = [np.nan if entry.typical is None else entry.typical for entry in sheet.entries]
    assert typical == pytest.approx(trained.median().tolist(), nan_ok=True)
    assert sheet.entries[NAMES.index("ad_spend_share_90d")].typical is None
    assert sheet.catalogue == digest(CATALOGUE)
    assert sheet.required_tables == ("orders", "refunds")
    assert (sheet.history, sheet.activity) == (HISTORY, ACTIVITY)
    scored = {entry.name for entry in sheet.scored_entries}
    assert scored < set(ONLY) - {"ad_spend_share_90d"}
    assert len(scored) == whole.run.facts["features"]
    needed = {table for feature in CATALOGUE if feature.name in scored for table in feature.tables}
    assert set(sheet.optional_tables) == needed - {*sheet.required_tables}
    selection = whole.finding("stability").tables["Features"]
    assert scored == set(selection["feature"][selection["kept"]])


def test_the_reference_has_the_metrics_the_population_and_the_track_record(
    loans: Dataset, whole: Observed, of_one_midnight: Observed
) -> None:
    reference, trained = whole.run.tested.reference, out_of_time(loans, CONFIG.split).train
    assert reference.validation == {name: estimate.value for name, estimate in whole.run.figures.items()}
    assert reference.population.startswith(f"{len(trained.rows)} training rows as of ")
    assert trained.digest[:19] in reference.population
    assert set(reference.libraries) >= {"lightgbm", "numpy"}
    first, *rest = reference.intended_use
    assert first.startswith("The model ranks online sellers")
    assert any("Not for consumers" in each for each in rest)
    assert all(each.startswith("- ") for each in rest)
    record, alone = reference.track_record, of_one_midnight.run.bundle.reference.track_record
    assert record is not None
    assert alone is not None
    assert record.count == whole.run.facts["test_rows"]
    bands = whole.finding("bands").tables["By band"].to_dict("records")
    assert {each.name: (each.loans, each.bad) for each in record.bands if each.loans} == {
        row["band"]: (row["rows"], row["bad"]) for row in bands
    }
    assert "never saw" in record.loans
    assert "was not trained on its seller" in alone.loans


def test_the_served_bundle_is_trained_on_all_matured_loans(loans: Dataset, whole: Observed) -> None:
    run = whole.run
    matured = loans.rows["as_of"] <= pd.Timestamp(loans.labels.matured_through)
    assert run.facts["served_rows"] == int(matured.sum()) > run.facts["train_rows"] + run.facts["test_rows"]
    assert run.facts["served_before"] == (loans.labels.matured_through + timedelta(days=1)).isoformat()
    assert run.bundle.reference.population.startswith(f"{matured.sum()} training rows as of ")
    assert run.bundle.model_digest != run.tested.model_digest
    assert run.bundle.reference.validation == run.tested.reference.validation
    served, tested = run.bundle.reference.track_record, run.tested.reference.track_record
    assert served is not None
    assert tested is not None
    assert replace(served, loans=tested.loans) == tested
    assert f"predicted by the tested model, which has the same recipe and {run.facts['train_rows']:,}" in served.loans
    found = whole.finding("final_fit")
    assert found.figures["rank_correlation"] > 0.5
    assert found.figures["rows"] == run.facts["served_rows"]


def test_labels_of_one_midnight_are_tested_out_of_fold_and_the_tested_bundle_serves(of_one_midnight: Observed) -> None:
    run = of_one_midnight.run
    assert run.facts["evidence"] == "out_of_fold"
    assert run.facts["train_rows"] == run.facts["test_rows"] == 300
    assert run.figures["auc"].value < 0.95
    assert run.files == run.tested_files
    assert "served_rows" not in run.facts
    assert of_one_midnight.finding("final_fit").summary.startswith("Does not apply")


def test_metrics_and_predictions_are_those_of_later_loans_of_other_sellers(loans: Dataset, whole: Observed) -> None:
    run, test = whole.run, out_of_time(loans, CONFIG.split).test
    indexed = test.features.set_index(pd.MultiIndex.from_frame(test.rows[["seller_id", "as_of"]]))
    vectors = to_vectors(indexed, dict.fromkeys(COVERED, test.rows["as_of"].max().date()))
    probability = np.array([result.probability_of_default for result in assess(run.tested, vectors)])
    bad = test.rows["bad"].to_numpy()
    assert run.figures["auc"].value == pytest.approx(auc(bad, probability), abs=1e-4)
    assert run.figures["brier"].value == pytest.approx(float(((probability - bad) ** 2).mean()), abs=1e-5)
    assert (run.facts["test_rows"], run.facts["evidence"]) == (len(test.rows), "out_of_time")
    assert run.logistic_figures["auc"].value > 0.5
    assert run.predictions is not None
    np.testing.assert_array_equal(run.predictions["probability"], whole.subject.probability)
    assert run.figures["auc"].value == auc(run.predictions["bad"].to_numpy(), whole.subject.probability)


@pytest.fixture
def only_the_bundle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out of a run what takes long and is not in the bundle."""
    monkeypatch.setattr("training.run.STUDIES", {})
    monkeypatch.setattr("training.run.fit_scorecard", small_scorecard)
    monkeypatch.setattr("training.refits.fit_scorecard", small_scorecard)


@pytest.mark.usefixtures("only_the_bundle")
def test_the_same_inputs_give_the_same_bundle_and_digest(loans: Dataset, run: Run) -> None:
    """With a search too, whose trials depend on a seed."""
    again = train(loans, SEARCHED)
    assert again.files == run.files
    assert again.facts == run.facts
    assert (run.facts["dataset"], run.facts["config"]) == (loans.digest, SEARCHED.digest)
    assert str(run.facts["inputs"]).startswith("sha256:")
    assert run.facts["inputs"] not in {run.facts["dataset"], run.facts["config"]}


@pytest.mark.usefixtures("only_the_bundle")
def test_the_settings_of_the_card_reproduce_the_model_without_a_search(
    loans: Dataset, run: Run, tmp_path: Path
) -> None:
    codes = [each.text for part in sections(run) for each in part.blocks if each.kind == "code"]
    (printed,) = (each for each in codes if "[fit]" in each)
    file = tmp_path / "training.toml"
    file.write_text(printed)
    config = read_settings(file, TrainConfig)
    assert config.search.trials == 0
    repeated = train(loans, config)
    assert repeated.bundle.model_digest == run.bundle.model_digest
    assert repeated.facts["inputs"] != run.facts["inputs"], "other settings have another digest"


def test_the_dataset_digest_depends_on_the_content(loans: Dataset) -> None:
    assert replace(loans, data_version="another").digest == loans.digest
    labels = loans.labels
    others = [
        replace(loans, rows=loans.rows.assign(bad=~loans.rows["bad"])),
        replace(loans, features=loans.features.assign(visits_90d=loans.features["visits_90d"].fillna(0.0))),
        replace(loans, about=loans.about.assign(country="US")),
        replace(loans, catalogue="sha256:other"),
        replace(loans, tables=loans.tables[:-1]),
        replace(loans, labels=replace(labels, matured_through=labels.matured_through - timedelta(days=1))),
        replace(loans, labels=replace(labels, definition="60+ days past due within 12 months")),
    ]
    assert len({each.digest for each in [loans, *others]}) == 8


def test_every_study_has_a_finding(whole: Observed) -> None:
    first = ("search", "stability", "candidates", "backtest", "rounds", "scorecard")
    assert [finding.name for finding in whole.run.findings] == [*first, *SOME, "last", "final_fit"]
    weights = whole.finding("scorecard").tables["Features"]
    assert set(weights["feature"]) == set(ONLY) - {"ad_spend_share_90d"}
    assert whole.finding("monotone").figures["violations"] == 0.0
    assert whole.finding("reasons").figures["kept_under_refits"] > 0.0
    assert "there are no operating data" in whole.finding("fake_orders").summary


def test_facts_have_the_recipe_and_the_settings_found_by_the_search(whole: Observed) -> None:
    facts, search = whole.run.facts, whole.finding("search")
    assert len(search.tables["Trials"]) == facts["search.trials"] == 2
    best = search.tables["Trials"].sort_values("log_loss").iloc[0]
    is_used = "The best trial is used." in search.summary
    assert facts["fit.learning_rate"] == (best["learning_rate"] if is_used else CONFIG.fit.learning_rate)
    assert whole.finding("candidates").summary.startswith(f"The {facts['model']} is chosen. ")
    assert facts["model"] in {"average", "lightgbm", "logistic", "scorecard"}
    assert facts["rounds"] == whole.finding("rounds").figures["rounds"]
    assert facts["shrinkage"] in SHRINKAGES


def test_studies_receive_the_scores_of_test_rows_and_out_of_fold_scores_of_training_rows(
    whole: Observed, of_one_midnight: Observed
) -> None:
    """The scores by the model itself separate good and bad better, because it was trained on these rows."""
    for found in (whole.subject, of_one_midnight.subject):
        scale = found.bundle.policy.scale
        points = [scale.points_at(probability) for probability in found.probability]
        assert found.score == pytest.approx(np.clip(points, scale.min, scale.max), abs=0.5001)
    found = whole.subject
    bad = found.train.rows["bad"].to_numpy()
    own = scores(found.bundle, found.train.features.to_numpy())
    assert auc(bad, -own.astype(float)) > auc(bad, -found.train_score.astype(float)) + 0.02
    assert of_one_midnight.subject.train_score.tolist() == of_one_midnight.subject.score.tolist()


def test_every_plot_is_drawn_and_closed(run: Run) -> None:
    assert set(run.plots) == {"roc", "calibration", "score_distribution"}
    assert all(figure.axes and figure.axes[0].has_data() for figure in run.plots.values())
    assert plt.get_fignums() == []

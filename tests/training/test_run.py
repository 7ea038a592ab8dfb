"""A training run on generated data: bundle, metrics, findings and facts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from features.catalogue import CATALOGUE, Feature, digest
from scoring import Bundle, assess
from tests.training.datasets import COVERED, NAMES, dataset, small_scorecard
from training.candidates import SHRINKAGES
from training.config import TrainConfig
from training.dataset import NOT_SCORED, Dataset, to_vectors
from training.evidence.metrics import auc
from training.evidence.model_card import CardInput, sections
from training.evidence.report_blocks import Code
from training.evidence.studies import STUDIES, Study
from training.evidence.study import Finding, ReviewedModel, scores
from training.fit import FitConfig
from training.package import ACTIVITY, HISTORY, reason_catalogue
from training.refits import RefitConfig
from training.run import Run, train
from training.search import SearchConfig
from training.settings import read_settings
from training.split import out_of_time

pytestmark = pytest.mark.slow

CONFIG = TrainConfig(
    fit=FitConfig(learning_rate=0.1, max_rounds=60, patience=10, folds=3, threads=1), refits=RefitConfig(0)
)


@pytest.fixture(scope="module")
def loans() -> Dataset:
    # one feature was never known, as with a table that was not delivered
    made = dataset(1_500, 500)
    return replace(made, features=made.features.assign(ad_spend_share_90d=np.nan))


@dataclass(frozen=True)
class Watched:
    """A run with what it said on its way, and the model as its studies saw it."""

    run: Run
    steps: list[str]
    subject: ReviewedModel


def watched(loans: Dataset, config: TrainConfig, studies: Mapping[str, Study]) -> Watched:
    steps: list[str] = []
    given: list[ReviewedModel] = []

    def seen(subject: ReviewedModel) -> Finding:
        given.append(subject)
        return Finding("seen", "Seen", "Asked: nothing.")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.run.STUDIES", {**studies, "seen": seen})
        patch.setattr("training.refits.fit_scorecard", small_scorecard)
        if not studies:
            patch.setattr("training.run.fit_scorecard", small_scorecard)
        found = train(loans, config, steps.append)
    return Watched(found, steps, given[0])


def _without_studies(patch: pytest.MonkeyPatch) -> None:
    """Leave out of a run what takes long and is not in the bundle."""
    patch.setattr("training.run.STUDIES", {})
    patch.setattr("training.run.fit_scorecard", small_scorecard)
    patch.setattr("training.refits.fit_scorecard", small_scorecard)


@pytest.fixture(scope="module")
def whole(loans: Dataset) -> Watched:
    """A run with a search, refits and every study."""
    return watched(loans, replace(CONFIG, search=SearchConfig(2), refits=RefitConfig(2)), STUDIES)


@pytest.fixture(scope="module")
def run(whole: Watched) -> Run:
    return whole.run


@pytest.fixture(scope="module")
def of_one_midnight() -> Watched:
    return watched(dataset(300, days=1), CONFIG, {})


def test_progress_is_reported_for_every_long_step(whole: Watched) -> None:
    begun = [step.split()[0] for step in whole.steps]
    fitted = [
        "search",
        "search",
        "search",
        "select",
        "fit",
        "record",
        "test",
        "refit",
        "refit",
        "scorecard",
        "scorecard",
        "fit",
    ]
    assert begun == [*fitted, *["study"] * (len(STUDIES) + 1)]
    assert whole.steps[-1] == f"study {len(STUDIES) + 1} of {len(STUDIES) + 1}: seen"


def test_typical_values_are_medians_of_the_training_rows(loans: Dataset, run: Run) -> None:
    trained = out_of_time(loans, CONFIG.split).train.features
    for entry in run.tested.sheet.entries:
        known = trained[entry.name].dropna()
        assert entry.typical == (pytest.approx(float(np.median(known))) if len(known) else None)
    assert run.tested.sheet.entries[NAMES.index("ad_spend_share_90d")].typical is None


def test_the_sheet_has_the_catalogue_and_the_tables_of_the_training_data(run: Run) -> None:
    sheet = run.tested.sheet
    assert sheet.names == tuple(feature.name for feature in CATALOGUE)
    assert [(entry.sign, entry.label, entry.unit) for entry in sheet.entries] == [
        (feature.sign, feature.label, feature.unit) for feature in CATALOGUE
    ]
    assert sheet.catalogue == digest(CATALOGUE)
    assert sheet.required_tables == ("orders", "refunds")
    assert (sheet.history, sheet.activity) == (HISTORY, ACTIVITY)
    scored = {entry.name for entry in sheet.scored_entries}
    assert scored < {entry.name for entry in sheet.entries if entry.typical is not None} - NOT_SCORED
    assert len(scored) == run.facts["features"]
    rested_on = {table for feature in CATALOGUE if feature.name in scored for table in feature.tables}
    assert set(sheet.optional_tables) == rested_on - {*sheet.required_tables}
    (selection,) = (each.tables["Features"] for each in run.findings if each.name == "stability")
    assert scored == set(selection["feature"][selection["kept"]])


def test_the_reference_has_the_metrics_and_the_population(loans: Dataset, run: Run) -> None:
    reference = run.tested.reference
    assert reference.validation == {name: estimate.value for name, estimate in run.figures.items()}
    trained = out_of_time(loans, CONFIG.split).train
    assert reference.population.startswith(f"{len(trained.rows)} training rows as of ")
    assert trained.digest[:19] in reference.population
    assert set(reference.libraries) >= {"lightgbm", "numpy"}


def test_the_track_record_is_that_of_the_test_loans(run: Run, of_one_midnight: Watched) -> None:
    record = run.tested.reference.track_record
    assert record is not None
    assert record.count == run.facts["test_rows"]
    assert "never saw" in record.loans
    (bands,) = (each for each in run.findings if each.name == "bands")
    judged = {row["band"]: (row["rows"], row["bad"]) for row in bands.tables["By band"].to_dict("records")}
    assert {each.name: (each.loans, each.bad) for each in record.bands if each.loans} == judged
    alone = of_one_midnight.run.bundle.reference.track_record
    assert alone is not None
    assert "was not trained on its seller" in alone.loans


def test_the_bundle_states_the_intended_use(run: Run) -> None:
    use = run.bundle.reference.intended_use
    assert use[0].startswith("The model ranks online sellers")
    assert any("Not for consumers" in each for each in use[1:])
    assert all(each.startswith("- ") for each in use[1:])


def test_the_served_bundle_is_trained_on_all_matured_loans(loans: Dataset, run: Run) -> None:
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
    (found,) = (each for each in run.findings if each.name == "final_fit")
    assert found.figures["rank_correlation"] > 0.5
    assert found.figures["rows"] == run.facts["served_rows"]


def test_without_further_loans_the_tested_bundle_serves(of_one_midnight: Watched) -> None:
    run = of_one_midnight.run
    assert run.files == run.tested_files
    assert "served_rows" not in run.facts
    (found,) = (each for each in run.findings if each.name == "final_fit")
    assert found.summary.startswith("Does not apply")


def test_metrics_are_those_of_later_loans_of_other_sellers(loans: Dataset, run: Run) -> None:
    test = out_of_time(loans, CONFIG.split).test
    probability = [
        result.probability_of_default for result in assess(run.tested, to_vectors(indexed(test), covers(test)))
    ]
    assert run.figures["auc"].value == pytest.approx(auc(test.rows["bad"].to_numpy(), np.array(probability)), abs=1e-4)
    errors = np.array(probability) - test.rows["bad"].to_numpy()
    assert run.figures["brier"].value == pytest.approx(float((errors**2).mean()), abs=1e-5)
    assert run.facts["test_rows"] == len(test.rows)
    assert run.facts["evidence"] == "out_of_time"
    assert run.logistic_figures["auc"].value > 0.5


def indexed(part: Dataset) -> pd.DataFrame:
    return part.features.set_index(pd.MultiIndex.from_frame(part.rows[["seller_id", "as_of"]]))


def covers(part: Dataset) -> dict[str, object]:
    last = part.rows["as_of"].max().date()
    return dict.fromkeys(COVERED, last)


def test_the_same_inputs_give_the_same_bundle_and_digest(
    loans: Dataset, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a search too, whose trials depend on a seed."""
    _without_studies(monkeypatch)
    again = train(loans, replace(CONFIG, search=SearchConfig(2), refits=RefitConfig(2)))
    assert again.files == run.files
    assert again.facts == run.facts


def test_other_inputs_have_another_digest(loans: Dataset, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    _without_studies(monkeypatch)
    assert train(loans, CONFIG).facts["inputs"] != run.facts["inputs"]


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


def test_one_digest_identifies_all_inputs(loans: Dataset, run: Run) -> None:
    assert run.facts["dataset"] == loans.digest
    assert run.facts["config"] == replace(CONFIG, search=SearchConfig(2), refits=RefitConfig(2)).digest
    assert str(run.facts["inputs"]).startswith("sha256:")
    assert run.facts["inputs"] not in {run.facts["dataset"], run.facts["config"]}


def test_labels_of_one_midnight_are_tested_out_of_fold(of_one_midnight: Watched) -> None:
    found = of_one_midnight.run
    assert found.facts["evidence"] == "out_of_fold"
    assert found.facts["train_rows"] == found.facts["test_rows"] == 300
    assert found.figures["auc"].value < 0.95
    assert Bundle.from_files(found.files).digest == found.bundle.digest


def test_findings_include_the_scorecard_and_the_search(run: Run) -> None:
    found = {finding.name: finding for finding in run.findings}
    assert len(found["search"].tables["Trials"]) == 2
    weights = found["scorecard"].tables["Features"]
    assert set(weights["feature"]) == set(NAMES) - NOT_SCORED - {"ad_spend_share_90d"}


def test_a_run_has_the_predictions_of_its_metrics(whole: Watched) -> None:
    predictions = whole.run.predictions
    assert predictions is not None
    np.testing.assert_array_equal(predictions["probability"], whole.subject.probability)
    assert whole.run.figures["auc"].value == auc(predictions["bad"].to_numpy(), predictions["probability"].to_numpy())


def test_every_study_has_a_finding(run: Run) -> None:
    assert [finding.name for finding in run.findings] == [
        "search",
        "stability",
        "candidates",
        "backtest",
        "rounds",
        "scorecard",
        *STUDIES,
        "seen",
        "final_fit",
    ]
    found = {finding.name: finding for finding in run.findings}
    assert found["monotone"].figures["violations"] == 0.0
    assert found["reasons"].figures["kept_under_refits"] > 0.0
    assert "there are no operating data" in found["fake_orders"].summary


def test_studies_receive_scores_that_match_the_probabilities(whole: Watched, of_one_midnight: Watched) -> None:
    for found in (whole.subject, of_one_midnight.subject):
        scale = found.bundle.policy.scale
        worth = [scale.points_at(probability) for probability in found.probability]
        assert found.score == pytest.approx(np.clip(worth, scale.min, scale.max), abs=0.5001)


def test_studies_receive_out_of_fold_scores_of_training_rows(whole: Watched, of_one_midnight: Watched) -> None:
    """The scores by the model itself separate good and bad better, because it was trained on these rows."""
    found = whole.subject
    bad = found.train.rows["bad"].to_numpy()
    own = scores(found.bundle, found.train.features.to_numpy())
    assert auc(bad, -own.astype(float)) > auc(bad, -found.train_score.astype(float)) + 0.02
    assert of_one_midnight.subject.train_score.tolist() == of_one_midnight.subject.score.tolist()


def test_facts_have_the_settings_found_by_the_search(run: Run) -> None:
    found = {finding.name: finding for finding in run.findings}["search"]
    best = found.tables["Trials"].sort_values("log_loss").iloc[0]
    taken = "The best trial is used." in found.summary
    assert run.facts["fit.learning_rate"] == (best["learning_rate"] if taken else CONFIG.fit.learning_rate)
    assert run.facts["search.trials"] == 2


def test_the_recipe_is_among_the_facts(run: Run) -> None:
    (choice,) = (each for each in run.findings if each.name == "candidates")
    assert choice.summary.startswith(f"The {run.facts['model']} is chosen. ")
    assert run.facts["model"] in {"average", "lightgbm", "logistic", "scorecard"}
    (rounds,) = (each for each in run.findings if each.name == "rounds")
    assert run.facts["rounds"] == rounds.figures["rounds"]
    assert run.facts["shrinkage"] in SHRINKAGES


def test_the_settings_of_the_card_reproduce_the_model_without_a_search(
    loans: Dataset, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _without_studies(monkeypatch)
    given = CardInput(run.bundle, run.figures, run.logistic_figures, run.findings, run.plots, run.facts)
    codes = [each.text for part in sections(given) for each in part.blocks if isinstance(each, Code)]
    (printed,) = (each for each in codes if "[fit]" in each)
    file = tmp_path / "training.toml"
    file.write_text(printed)
    config = read_settings(file, TrainConfig)
    assert config.search.trials == 0
    assert train(loans, config).bundle.model_digest == run.bundle.model_digest


def test_every_plot_is_drawn_and_closed(run: Run) -> None:
    assert set(run.plots) == {"roc", "calibration", "score_distribution"}
    assert all(figure.axes and figure.axes[0].has_data() for figure in run.plots.values())
    assert plt.get_fignums() == []


@pytest.mark.parametrize("feature", [each for each in CATALOGUE if each.scored], ids=lambda each: each.name)
def test_every_scored_feature_has_texts_for_each_reader_in_both_languages(feature: Feature) -> None:
    catalogue = reason_catalogue()
    entry = catalogue.of_feature[feature.name]
    assert feature.reason_group in {group.name for group in catalogue.groups}
    for text in entry.side.all():
        assert text.count("{value}") == text.count("{typical}") == 1
    assert not any("{" in text for text in entry.missing.all())
    for texts in (entry.side, entry.missing):
        for wording in (texts.bank, texts.seller, texts.letter):
            assert wording.en.isascii()
            assert re.search(r"[\u4e00-\u9fff]", wording.zh)


def test_reasons_about_order_checks_never_accuse() -> None:
    catalogue = reason_catalogue()
    accusing = re.compile(r"fake|fraud|suspicious|unusual|genuine|dishonest|虚假|刷单|可疑|欺诈|异常")
    for feature in CATALOGUE:
        if feature.scored and feature.reason_group == "integrity":
            entry = catalogue.of_feature[feature.name]
            assert not [text for texts in (entry.side, entry.missing) for text in texts.all() if accusing.search(text)]

"""One training run: split, search, fit, calibrate, test, final fit, pack. `registry` registers the result."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from scoring.bundle import Bundle, pack
from scoring.canonical import canonical_json, sha256
from scoring.model import Calibration
from scoring.scale import Scale
from training.config import TrainConfig
from training.engines import TrainingEngine, memory_engine
from training.evidence import plots
from training.evidence.backtest import study_backtest
from training.evidence.final_fit import no_final_fit, study_final_fit
from training.evidence.metrics import Estimate, evaluate
from training.evidence.rounds import loss_curve, study_boosting_rounds
from training.evidence.studies import NOT_FOR_TABLES, STUDIES, table_finding
from training.evidence.study import Finding, ReviewedModel, whole_scores
from training.final_fit import FinalFit, fit_final
from training.fit import FittedModel, calibrate_out_of_fold, fit_calibration, fit_sample, probabilities, repeat_origins
from training.package import BANDS, HISTORY, Package, bundle_parts, track_record
from training.predictions import test_predictions
from training.reach import ObservedReach, observed_reach
from training.refits import refit_models, refit_scorecards
from training.sample import Sample
from training.scorecard import Scorecard, fit_scorecard
from training.search import search
from training.split import Evidence, Split, out_of_time, whole
from training.stability import stability_finding

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from features.ingest import OperatingStore
    from training.dataset import Dataset


@dataclass(frozen=True)
class Run:
    """The result of a training run.

    Attributes:
        files: files of the bundle to serve: the recipe of the tested model, fitted on all matured loans.
        tested_files: files of the tested bundle; the same if it is already trained on all loans.
        figures: metrics of the tested model on the test part.
        logistic_figures: metrics of the benchmark scorecard.
        plots: plots of the test part.
        findings: findings of all studies.
        facts: inputs, counts and settings.
        predictions: predictions of the test part, see `predictions.test_predictions`.
    """

    files: dict[str, bytes]
    tested_files: dict[str, bytes]
    figures: dict[str, Estimate]
    logistic_figures: dict[str, Estimate]
    plots: dict[str, Figure]
    findings: tuple[Finding, ...]
    facts: dict[str, str | int | float]
    predictions: pd.DataFrame | None = None

    @cached_property
    def bundle(self) -> Bundle:
        """The bundle to serve, verified from its files."""
        return Bundle.from_files(self.files)

    @cached_property
    def tested(self) -> Bundle:
        """The tested bundle, verified from its files."""
        return Bundle.from_files(self.tested_files)


@dataclass(frozen=True)
class _Trained:
    """The models of the training part; `config` has the settings that a search found."""

    config: TrainConfig
    sample: Sample
    fitted: FittedModel
    calibration: Calibration
    scorecard: Scorecard
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class _Predicted:
    """Predictions for the test rows: raw margins of the model, and probabilities of default of both models."""

    margins: NDArray[np.float64]
    model: NDArray[np.float64]
    scorecard: NDArray[np.float64]


def train(
    dataset: Dataset,
    config: TrainConfig,
    step: Callable[[str], None] = lambda _: None,
    store: OperatingStore | None = None,
    engine: TrainingEngine | None = None,
    *,
    split: Split | None = None,
) -> Run:
    """Train on earlier loans of some sellers, test on later loans of other sellers, and pack the model.

    If all labels are as of one midnight, there are no later rows to test on. Then the model is trained on all rows and
    tested on its out-of-fold predictions.

    Args:
        dataset: labelled rows with features.
        config: all settings; the same dataset and config give the same model text on the same machine.
        step: reports progress.
        store: the operating data of the dataset, for studies that need more of them.
        engine: where to keep the training data and what fits the trees; by default memory and this process.
        split: training and test part; by default from the settings.

    Raises:
        TrainingError: a part of the split lacks an outcome, or the model ranks no better than chance.
    """
    engine = engine or memory_engine()
    if split is None:
        dataset = config.features.apply(dataset)
        split = out_of_time(dataset, config.split) if dataset.spans_time else whole(dataset)
    trained = _train_models(split.train, config, step, engine)
    step(f"test both models on {len(split.test.rows):,} rows")
    predicted = _predict(split, trained)
    bad, sellers = split.test.rows["bad"].to_numpy(), split.test.rows["seller_id"]
    figures, scorecard_figures = (
        evaluate(bad, each, config.fit.seed, sellers=sellers) for each in (predicted.model, predicted.scorecard)
    )
    if store is not None:
        step("measure how far sellers moved their features in 90 days")
    reached = ObservedReach() if store is None else observed_reach(store, HISTORY)
    record = track_record(split, BANDS, Scale(), predicted.model)
    package = Package(split.train, trained.fitted, trained.calibration, figures, reached, record)
    parts = bundle_parts(package)
    fit, count = trained.config.fit, config.refits.count
    refits = refit_models(trained.sample, fit, trained.fitted.recipe, parts, count=count, step=step)
    cards = refit_scorecards(split.train, trained.sample.sellers, fit.seed, count, step)
    tested_files = files = pack(parts)
    final = None
    if split.evidence is Evidence.OUT_OF_TIME and not dataset.is_table:
        step("fit all matured loans")
        final = fit_final(dataset, split.test, package, fit, engine)
        files = pack(final.parts)
    reviewed = _reviewed_model(Bundle.from_files(tested_files), split, trained, predicted)
    reviewed = replace(reviewed, served=Bundle.from_files(files), refits=refits, card_refits=cards, store=store)
    findings = [
        *_run_studies(reviewed, step),
        no_final_fit(is_table=dataset.is_table) if final is None else study_final_fit(reviewed, final),
    ]
    return Run(
        files,
        tested_files,
        figures,
        scorecard_figures,
        _plots(reviewed),
        (*trained.findings, *findings),
        {**_facts(dataset, split, config, trained), **_final_facts(final)},
        test_predictions(reviewed),
    )


def _train_models(part: Dataset, config: TrainConfig, step: Callable[[str], None], engine: TrainingEngine) -> _Trained:
    sample, bad = engine.sample(part), part.rows["bad"]
    searched = search(sample, config.fit, config.search.trials, step)
    step(f"select features, choose the model and fit it on {len(bad):,} rows")
    fitted = fit_sample(sample, searched.best, engine.boost)
    calibration = fit_calibration(fitted.out_of_fold, bad.to_numpy())
    step("fit the benchmark scorecard")
    scorecard = fit_scorecard(part.scored_features, bad, config.fit.seed, part.signs)
    table = scorecard.table()
    unused = (
        " A feature with one bin adds at most whether its value is missing: no cut of its values follows its direction "
        "and has both outcomes on each side."
        if (table["bins"] == 1).any()
        else ""
    )
    card_finding = Finding(
        name="scorecard",
        title="Benchmark scorecard",
        summary=f"A logistic scorecard with {len(scorecard.binnings)} binned features, trained on the same rows. The "
        f"study of discrimination compares the model with it on the same test {part.words.rows}.{unused}",
        tables={"Features": table},
    )
    used = replace(config, fit=searched.best)
    step("record the loss of each round")
    findings = (*searched.findings, *_fit_findings(sample, fitted, used), card_finding)
    return _Trained(used, sample, fitted, calibration, scorecard, findings)


def _fit_findings(sample: Sample, fitted: FittedModel, config: TrainConfig) -> Iterator[Finding]:
    yield stability_finding(sample, fitted.stability)
    if fitted.choice is not None:
        yield fitted.choice.finding()
        yield study_backtest(fitted.choice, repeat_origins(sample, config.fit, fitted), config.fit.seed)
    yield study_boosting_rounds(
        loss_curve(sample.select_columns(fitted.stability.selected), config.fit), fitted.recipe.rounds, config.fit
    )


def _predict(split: Split, trained: _Trained) -> _Predicted:
    """Predict the test part with both models; out of fold if it is also the training part."""
    test = split.test.features
    if split.evidence is Evidence.OUT_OF_TIME:
        margins = np.asarray(trained.fitted.booster.predict(test.to_numpy(), raw_score=True))
        return _Predicted(margins, probabilities(trained.calibration, margins), trained.scorecard.probability(test))
    fit, sample = trained.config.fit, trained.sample
    folds = sample.folds(fit.folds, fit.seed)
    probability = calibrate_out_of_fold(trained.fitted.out_of_fold, split.train.rows["bad"].to_numpy(), folds)
    # the margins for which the bundle's calibration gives these probabilities, so that scores agree with them
    odds = np.log(probability) - np.log1p(-probability)
    margins = (odds - trained.calibration.intercept) / trained.calibration.slope
    return _Predicted(margins, probability, _scorecard_out_of_fold(split.train, trained))


def _scorecard_out_of_fold(part: Dataset, trained: _Trained) -> NDArray[np.float64]:
    fit, bad = trained.config.fit, part.rows["bad"]
    features, probability = part.scored_features, np.empty(len(bad))
    for inside, outside in trained.sample.folds(fit.folds, fit.seed):
        card = fit_scorecard(features.iloc[inside], bad.iloc[inside], fit.seed, part.signs)
        probability[outside] = card.probability(features.iloc[outside])
    return probability


def _reviewed_model(bundle: Bundle, split: Split, trained: _Trained, predicted: _Predicted) -> ReviewedModel:
    """Return the tested model as the input of the studies, without the final fit, refits and store."""
    config = trained.config
    train_margins = predicted.margins if split.evidence is Evidence.OUT_OF_FOLD else trained.fitted.out_of_fold
    return ReviewedModel(
        bundle=bundle,
        served=bundle,
        train=split.train,
        test=split.test,
        evidence=split.evidence,
        probability=predicted.model,
        scorecard=predicted.scorecard,
        score=whole_scores(bundle, predicted.margins),
        train_score=whole_scores(bundle, train_margins),
        refits=(),
        card=trained.scorecard,
        card_refits=(),
        store=None,
        seed=config.fit.seed,
        fake_orders=config.fake_orders,
    )


def _run_studies(reviewed: ReviewedModel, step: Callable[[str], None]) -> Iterator[Finding]:
    for number, (name, study) in enumerate(STUDIES.items(), 1):
        step(f"study {number} of {len(STUDIES)}: {name.replace('_', ' ')}")
        yield table_finding(name) if reviewed.train.is_table and name in NOT_FOR_TABLES else study(reviewed)


def _plots(reviewed: ReviewedModel) -> dict[str, Figure]:
    bad, model = reviewed.bad, reviewed.probability
    return {
        "roc": plots.roc(bad, {"model": model, "scorecard": reviewed.scorecard}),
        "calibration": plots.calibration(bad, model),
        "score_distribution": plots.score_distribution(bad, reviewed.score),
    }


def _final_facts(final: FinalFit | None) -> dict[str, str | int | float]:
    if final is None:
        return {}
    return {"served_rows": final.rows, "served_bad": final.bad, "served_before": final.before.isoformat()}


def _facts(dataset: Dataset, split: Split, config: TrainConfig, trained: _Trained) -> dict[str, str | int | float]:
    """Return inputs, counts and decisions. The settings are those used, including those that a search found."""
    train_bad, test_bad = split.train.rows["bad"], split.test.rows["bad"]
    inputs = {"dataset": dataset.digest, "catalogue": dataset.catalogue, "config": config.digest}
    used = asdict(trained.config)
    return {
        **inputs,
        "inputs": sha256(canonical_json(inputs)),
        "data_version": dataset.data_version,
        "origin": str(dataset.origin),
        "outcomes": dataset.labels.source,
        "data_through": "not recorded" if dataset.origin.through is None else dataset.origin.through.isoformat(),
        "default_definition": split.train.labels.definition,
        "evidence": split.evidence.value,
        "train_before": split.train_before.isoformat(),
        "test_from": split.test_from.isoformat(),
        "train_rows": len(train_bad),
        "train_bad": int(train_bad.sum()),
        "test_rows": len(test_bad),
        "test_bad": int(test_bad.sum()),
        "censored": dataset.labels.censored,
        "unscheduled": dataset.labels.unscheduled,
        **({"uncovered": dataset.labels.uncovered} if dataset.labels.uncovered else {}),
        "set_apart": 0 if split.train is split.test else len(dataset.rows) - len(train_bad) - len(test_bad),
        "model": trained.fitted.recipe.kind.value,
        "rounds": trained.fitted.recipe.rounds,
        "shrinkage": trained.fitted.recipe.shrinkage,
        "features": len(trained.fitted.features),
        **{f"{part}.{name}": value for part, section in used.items() for name, value in section.items()},
    }

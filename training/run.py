"""One training run: split, search, fit, calibrate, measure, fit all, pack. Registers nothing; `registry` does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from scoring.bundle import Bundle, pack
from scoring.canonical import canonical_json, sha256
from scoring.model import Calibration
from scoring.scale import Scale
from training.config import TrainConfig
from training.engines import TrainingEngine
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
from training.reach import Reached, observed_reach
from training.refits import refits, scorecard_refits
from training.sample import Sample
from training.scorecard import Scorecard, fit_scorecard
from training.search import search
from training.split import Evidence, Split, out_of_time, whole
from training.stability import stability_finding
from training.steps import Step

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from features.intake import OperatingStore
    from training.dataset import Dataset


@dataclass(frozen=True)
class Run:
    """What a run produced.

    Attributes:
        files: of the bundle that would serve: the recipe of the tested model, fitted on all matured loans.
        tested_files: of the tested bundle; the same if it was trained on all loans already.
        figures: of the tested model on the test part.
        logistic_figures: those of the benchmark scorecard.
        plots: of the test part.
        findings: of all studies.
        facts: inputs, counts and settings.
        predictions: of the test part, see `predictions.test_predictions`.
    """

    files: dict[str, bytes]
    tested_files: dict[str, bytes]
    figures: dict[str, Estimate]
    logistic_figures: dict[str, Estimate]
    plots: dict[str, Figure]
    findings: tuple[Finding, ...]
    facts: dict[str, str | int | float]
    predictions: pd.DataFrame | None = None

    @property
    def bundle(self) -> Bundle:
        """The bundle that would serve, verified anew from its files."""
        return Bundle.from_files(self.files)

    @property
    def tested(self) -> Bundle:
        """The tested bundle, verified anew from its files."""
        return Bundle.from_files(self.tested_files)


@dataclass(frozen=True)
class _Trained:
    """What was learnt from the training part; `config` holds the settings that a search found."""

    config: TrainConfig
    sample: Sample
    fitted: FittedModel
    calibration: Calibration
    scorecard: Scorecard
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class _Predicted:
    """Probabilities of default of the test rows, by the model and the benchmark scorecard; the model's raw margins."""

    margins: NDArray[np.float64]
    model: NDArray[np.float64]
    scorecard: NDArray[np.float64]


def train(
    dataset: Dataset,
    config: TrainConfig,
    step: Step = lambda _: None,
    store: OperatingStore | None = None,
    learner: TrainingEngine = TrainingEngine(),  # noqa: B008 - frozen
    *,
    split: Split | None = None,
) -> Run:
    """Train on the earlier loans of some sellers, test on the later loans of others, and pack the model.

    Labels that are all as of one midnight (a label table) leave nothing later to test on: then the model takes all
    rows, and what is measured are predictions out of fold.

    Args:
        dataset: labelled rows with features.
        config: all settings; the same dataset and config give the same model text on the same machine.
        step: told what begins.
        store: the operating data that the dataset was computed from, for studies that need more of them.
        learner: where rows lie while they are learnt from, and what grows the trees; memory and this process if none
            is given.
        split: training and test part; those of the settings unless given.

    Raises:
        TrainingError: the split lacks a class, or the model ranks no better than chance.
    """
    if split is None:
        dataset = config.features.apply(dataset)
        split = out_of_time(dataset, config.split) if dataset.spans_time else whole(dataset)
    trained = _trained(split.train, config, step, learner)
    step(f"measure both on {len(split.test.rows):,} rows")
    predicted = _predicted(split, trained)
    bad = split.test.rows["bad"].to_numpy()
    sellers = split.test.rows["seller_id"]
    figures, beside = (
        evaluate(bad, each, config.fit.seed, sellers=sellers) for each in (predicted.model, predicted.scorecard)
    )
    if store is not None:
        step("see what sellers reached in 90 days")
    reached = Reached() if store is None else observed_reach(store, HISTORY)
    record = track_record(split, BANDS, Scale(), predicted.model)
    package = Package(split.train, trained.fitted, trained.calibration, figures, reached, record)
    parts = bundle_parts(package)
    fit, count = trained.config.fit, config.refits.count
    again = refits(trained.sample, fit, trained.fitted.recipe, parts, count=count, step=step)
    cards = scorecard_refits(split.train, trained.sample.sellers, fit.seed, count, step)
    tested_files = files = pack(parts)
    final = None
    if split.evidence is Evidence.OUT_OF_TIME and not dataset.is_table:
        step("fit all matured loans")
        final = fit_final(dataset, split.test, package, fit, learner)
        files = pack(final.parts)
    subject = _subject(Bundle.from_files(tested_files), split, trained, predicted)
    subject = replace(subject, served=Bundle.from_files(files), refits=again, card_refits=cards, store=store)
    findings = [*_studied(subject, step), no_final_fit() if final is None else study_final_fit(subject, final)]
    return Run(
        files,
        tested_files,
        figures,
        beside,
        _drawn(subject),
        (*trained.findings, *findings),
        {**_facts(dataset, split, config, trained), **_final_facts(final)},
        test_predictions(subject),
    )


def _trained(part: Dataset, config: TrainConfig, step: Step, learner: TrainingEngine) -> _Trained:
    sample, bad = learner.sample(part), part.rows["bad"]
    searched = search(sample, config.fit, config.search.trials, step)
    step(f"select features, choose the model and fit it on {len(bad):,} rows")
    fitted = fit_sample(sample, searched.best, learner.boost)
    calibration = fit_calibration(fitted.out_of_fold, bad.to_numpy())
    step("fit the benchmark scorecard")
    scorecard = fit_scorecard(_scorable(part), bad, config.fit.seed, part.signs)
    found = Finding(
        name="scorecard",
        title="Benchmark scorecard",
        summary=f"A logistic scorecard with {len(scorecard.binnings)} binned features, trained on the same rows. The "
        "study of ranking compares the model with it on the same test loans.",
        tables={"Features": scorecard.table()},
    )
    used = replace(config, fit=searched.best)
    step("record the loss of each round")
    findings = (*searched.findings, *_fit_findings(sample, fitted, used), found)
    return _Trained(used, sample, fitted, calibration, scorecard, findings)


def _fit_findings(sample: Sample, fitted: FittedModel, config: TrainConfig) -> Iterator[Finding]:
    yield stability_finding(sample, fitted.stability)
    if fitted.choice is not None:
        yield fitted.choice.finding()
        yield study_backtest(fitted.choice, repeat_origins(sample, config.fit, fitted), config.fit.seed)
    curve = loss_curve(sample.only(fitted.stability.kept), config.fit)
    yield study_boosting_rounds(curve, fitted.recipe.rounds, config.fit)


def _predicted(split: Split, trained: _Trained) -> _Predicted:
    """Predict the test part with both models; where that is the training part, out of fold."""
    test = split.test.features
    if split.evidence is Evidence.OUT_OF_TIME:
        margins = np.asarray(trained.fitted.booster.predict(test.to_numpy(), raw_score=True))
        return _Predicted(margins, probabilities(trained.calibration, margins), trained.scorecard.probability(test))
    fit, sample = trained.config.fit, trained.sample
    folds = sample.folds(fit.folds, fit.seed)
    probability = calibrate_out_of_fold(trained.fitted.out_of_fold, split.train.rows["bad"].to_numpy(), folds)
    # margins that the bundle's calibration turns into these probabilities, so that scores agree with them
    odds = np.log(probability) - np.log1p(-probability)
    margins = (odds - trained.calibration.intercept) / trained.calibration.slope
    return _Predicted(margins, probability, _scorecard_out_of_fold(split.train, trained))


def _scorecard_out_of_fold(part: Dataset, trained: _Trained) -> NDArray[np.float64]:
    fit, bad = trained.config.fit, part.rows["bad"]
    found = np.empty(len(bad))
    for inside, outside in trained.sample.folds(fit.folds, fit.seed):
        card = fit_scorecard(_scorable(part).iloc[inside], bad.iloc[inside], fit.seed, part.signs)
        found[outside] = card.probability(part.features.iloc[outside])
    return found


def _scorable(part: Dataset) -> pd.DataFrame:
    """Return the features that a model may read: the benchmark is a scorecard that a bank could use."""
    return part.features[[name for name in part.features if name not in part.not_scored]]


def _subject(bundle: Bundle, split: Split, trained: _Trained, predicted: _Predicted) -> ReviewedModel:
    """Return the tested model as studies see it, still without the final fit, refits and a store."""
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


def _studied(subject: ReviewedModel, step: Step) -> Iterator[Finding]:
    for number, (name, study) in enumerate(STUDIES.items(), 1):
        step(f"study {number} of {len(STUDIES)}: {name.replace('_', ' ')}")
        yield table_finding(name) if subject.train.is_table and name in NOT_FOR_TABLES else study(subject)


def _drawn(subject: ReviewedModel) -> dict[str, Figure]:
    """Return the plots of every run."""
    bad, model = subject.bad, subject.probability
    return {
        "roc": plots.roc(bad, {"model": model, "scorecard": subject.scorecard}),
        "calibration": plots.calibration(bad, model),
        "score_distribution": plots.score_distribution(bad, subject.score),
    }


def _final_facts(final: FinalFit | None) -> dict[str, str | int | float]:
    if final is None:
        return {}
    return {"served_rows": final.rows, "served_bad": final.bad, "served_before": final.before.isoformat()}


def _facts(dataset: Dataset, split: Split, config: TrainConfig, trained: _Trained) -> dict[str, str | int | float]:
    """Say what went in and what was decided; settings are those used, where a search chose others than configured."""
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
        "set_apart": 0 if split.train is split.test else len(dataset.rows) - len(train_bad) - len(test_bad),
        "model": trained.fitted.recipe.kind.value,
        "rounds": trained.fitted.recipe.rounds,
        "shrinkage": trained.fitted.recipe.shrinkage,
        "features": len(trained.fitted.shown),
        **{f"{part}.{name}": value for part, section in used.items() for name, value in section.items()},
    }

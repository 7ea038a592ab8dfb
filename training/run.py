"""One training run, start to end: split, fit, calibrate, measure, pack. Registers nothing; `registry` does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from scoring.bundle import Bundle, pack
from scoring.explain import contributions
from scoring.model import Calibration
from scoring.points import to_points
from training.calibrate import affine, probabilities
from training.config import TrainConfig
from training.evidence import plots
from training.evidence.finding import Finding
from training.evidence.metrics import Estimate, evaluate
from training.evidence.studies import STUDIES
from training.evidence.subject import Subject
from training.fit import Fitted, fit
from training.logistic import logistic
from training.package import Package, bundle_parts
from training.split import Evidence, Split, out_of_time, whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from features.intake import OperatingStore
    from training.dataset import Dataset


@dataclass(frozen=True)
class Run:
    """What a run produced: the bundle's files, figures of both models on the test part, plots, findings, and facts."""

    files: dict[str, bytes]
    figures: dict[str, Estimate]
    logistic_figures: dict[str, Estimate]
    plots: dict[str, Figure]
    findings: tuple[Finding, ...]
    facts: dict[str, str | int | float]

    @property
    def bundle(self) -> Bundle:
        """The bundle, verified anew from its files."""
        return Bundle.from_files(self.files)


def train(
    dataset: Dataset,
    config: TrainConfig,
    step: Callable[[str], None] = lambda _: None,
    store: OperatingStore | None = None,
) -> Run:
    """Train on the earlier loans of some sellers, test on the later loans of others, and pack the model.

    Labels that are all as of one midnight (a label table) leave nothing later to test on: then the model takes all
    rows, and what is measured are predictions out of fold.

    Args:
        dataset: labelled rows with features.
        config: all settings; the same dataset and config give the same model text on the same machine.
        step: told what begins, for a progress display.
        store: the operating data that the dataset was computed from, for studies that need more of them.

    Raises:
        TrainingError: the split lacks a class, or the model ranks no better than chance.
    """
    split = out_of_time(dataset, config.split) if dataset.spans_time else whole(dataset)
    rows = split.train.rows
    step(f"fit LightGBM on {len(rows)} rows")
    fitted = fit(split.train.features, rows["bad"], rows["seller_id"], config.fit)
    calibration = affine(fitted.out_of_fold, rows["bad"].to_numpy())
    step(f"fit the logistic model beside, and measure both on {len(split.test.rows)} rows")
    predictions = _predictions(split, fitted, calibration, config)
    bad = split.test.rows["bad"].to_numpy()
    figures, logistic_figures = (evaluate(bad, predictions[name], config.fit.seed) for name in predictions)
    files = pack(bundle_parts(Package(split.train, fitted, calibration, figures)))
    step("draw the evidence")
    bundle = Bundle.from_files(files)
    drawn = {
        "roc": plots.roc(bad, predictions),
        "calibration": plots.calibration(bad, predictions["LightGBM"]),
        **_explained_plots(bundle, split.test),
    }
    subject = _subject(bundle, split, predictions, config, store)
    findings = []
    for name, study in STUDIES.items():
        step(f"study {name}")
        findings.append(study(subject))
    return Run(files, figures, logistic_figures, drawn, tuple(findings), _facts(dataset, split, fitted, config))


def _subject(
    bundle: Bundle,
    split: Split,
    predictions: dict[str, NDArray[np.float64]],
    config: TrainConfig,
    store: OperatingStore | None,
) -> Subject:
    explained = contributions(bundle.model, split.test.features.to_numpy())
    return Subject(
        bundle=bundle,
        train=split.train,
        test=split.test,
        evidence=split.evidence,
        probability=predictions["LightGBM"],
        scorecard=predictions["logistic"],
        score=to_points(explained, bundle.policy.calibration, bundle.policy.scale).score,
        refits=(),
        store=store,
        seed=config.fit.seed,
    )


def _predictions(
    split: Split, fitted: Fitted, calibration: Calibration, config: TrainConfig
) -> dict[str, NDArray[np.float64]]:
    """Return both models' probabilities for the test part; where that is the training part, out of fold."""
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict

    train, test, beside = split.train, split.test, logistic(config.fit.seed)
    if split.evidence is Evidence.OUT_OF_TIME:
        margins = np.asarray(fitted.booster.predict(test.features.to_numpy(), raw_score=True))
        plain = beside.fit(train.features, train.rows["bad"]).predict_proba(test.features)
    else:
        margins = fitted.out_of_fold
        folds = StratifiedGroupKFold(n_splits=config.fit.folds, shuffle=True, random_state=config.fit.seed)
        plain = cross_val_predict(
            beside,
            train.features,
            train.rows["bad"],
            groups=train.rows["seller_id"],
            cv=folds,
            method="predict_proba",
        )
    return {"LightGBM": probabilities(calibration, margins), "logistic": plain[:, 1]}


def _explained_plots(bundle: Bundle, test: Dataset) -> dict[str, Figure]:
    explained = contributions(bundle.model, test.features.to_numpy())
    points = to_points(explained, bundle.policy.calibration, bundle.policy.scale)
    return {
        "score_distribution": plots.score_distribution(test.rows["bad"].to_numpy(), points.score),
        "shap_summary": plots.shap_summary(explained.values, test.features, explained.base),
    }


def _facts(dataset: Dataset, split: Split, fitted: Fitted, config: TrainConfig) -> dict[str, str | int | float]:
    train_bad, test_bad = split.train.rows["bad"], split.test.rows["bad"]
    return {
        "data_version": split.train.data_version,
        "dataset": split.train.digest,
        "config": config.digest,
        "catalogue": split.train.catalogue,
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
        "rounds": fitted.rounds,
        **{f"{part}.{name}": value for part, section in asdict(config).items() for name, value in section.items()},
    }

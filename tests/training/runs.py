"""A run as training hands it to the registry, made of a small model in a moment."""

from __future__ import annotations

from functools import cache

import pandas as pd

from tests.training.evidence.subjects import boosted, packed, subject
from training.evidence import plots
from training.evidence.limits import Limit
from training.evidence.metrics import Estimate, evaluate
from training.evidence.rounds import TABLE
from training.evidence.study import Finding
from training.predictions import test_predictions
from training.run import Run

FINDINGS = (
    Finding("drift", "Drift", "Nothing moved.", {"score_psi": 0.04}, {"By feature": pd.DataFrame({"psi": [0.1]})}),
    Finding("leaks", "Leaks", "One feature knows.", {"best_alone_auc": 0.99}, alarms=("A leaks.", "B leaks.")),
    Finding(
        "rounds",
        "Boosting rounds",
        "The loss was least after 10 rounds.",
        {"best_round": 10.0},
        {TABLE: pd.DataFrame({"round": [1, 10, 20], "training": [0.7, 0.4, 0.3], "left_out": [0.7, 0.5, 0.6]})},
    ),
    Finding("withholding", "Withholding", "This was not asked for.", declined=True),
    Finding(
        "fairness",
        "Fairness",
        "Compared.",
        {f"country_four_fifths_ratio{end}": value for end, value in (("", 0.7), ("_low", 0.5), ("_high", 0.9))},
        checks=(
            Limit("four-fifths ratio of country VN", 0.8, at_least=True).check(
                Estimate(0.7, 0.5, 0.9), "Examine it.", "40 loans"
            ),
        ),
    ),
    Finding("fake_orders", "Fake orders", "These were not measured, since there are no orders."),
)


@cache
def small_run() -> Run:
    """Return a run of the small model that studies are tested on, with a finding of each kind."""
    found = subject()
    bad, model = found.bad, found.probability
    figures = evaluate(bad, model)
    beside = evaluate(bad, 0.5 * model)
    drawn = {
        "roc": plots.roc(bad, {"LightGBM": model}),
        "calibration": plots.calibration(bad, model),
        "score_distribution": plots.score_distribution(bad, found.score),
    }
    train, test = found.train.rows, found.test.rows
    facts: dict[str, str | int | float] = {
        "dataset": found.train.digest,
        "catalogue": found.train.catalogue,
        "config": "sha256:" + "1" * 64,
        "origin": "simulated by sellerscore, seed 7",
        "outcomes": "loans, instalments and payments of the operating data",
        "data_through": "2026-01-01",
        "data_version": found.train.data_version,
        "default_definition": found.train.labels.definition,
        "evidence": found.evidence.value,
        "train_before": "2024-01-01",
        "test_from": "2025-01-01",
        "train_rows": len(train),
        "train_bad": int(train["bad"].sum()),
        "test_rows": len(test),
        "test_bad": int(test["bad"].sum()),
        "censored": 5,
        "unscheduled": 0,
        "set_apart": 0,
        "fit.seed": 7,
    }
    files = packed(found.train, boosted(found.train))
    return Run(files, files, figures, beside, drawn, FINDINGS, facts, test_predictions(found))

"""What a run says of itself in MLflow: alarms first, and never more than MLflow keeps."""

from __future__ import annotations

from dataclasses import replace

from tests.training.runs import made_run
from training.evidence.study import Finding
from training.registry.run_notes import LONGEST, note

ANA = {"trained_by": "Ana"}


def test_alarms_come_before_figures_and_figures_before_what_studies_found() -> None:
    run = made_run()
    told = note(run, ANA)
    assert told.startswith(f"Trained by Ana on 1,500 loans ({run.facts['train_bad']} bad); measured out of time on 700")
    assert f"| auc | {run.figures['auc']} | {run.logistic_figures['auc']} |" in told
    places = [told.index(part) for part in ("model_card.html", "**Alarm** Leaks: B leaks.", "| auc |", "**Drift.** No")]
    assert places == sorted(places)
    assert told.endswith("**Fake orders.** These were not measured, since there are no orders.")


def test_what_is_said_last_is_left_out_where_mlflow_would_not_keep_it() -> None:
    long = tuple(Finding(f"s{n}", f"Study {n}", "Asked. " * 100, alarms=("Beware.",)) for n in range(30))
    told = note(replace(made_run(), findings=long), ANA)
    assert LONGEST - 1_000 < len(told) <= LONGEST
    assert told.count("Beware.") == 30
    assert "**Study 0.**" in told
    assert told.endswith("What else the studies found stands in model_card.html.")
    assert len(note(replace(made_run(), findings=long * 20), ANA)) <= LONGEST
    short = Finding("short", "A short one", "Asked and answered.")
    assert "**A short one.** Asked and answered." in note(replace(made_run(), findings=(*long, short)), ANA)

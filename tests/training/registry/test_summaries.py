"""The description of a run: alarms first, and never longer than MLflow stores."""

from __future__ import annotations

from dataclasses import replace

from tests.training.runs import small_run
from training.evidence.study import Finding
from training.registry.summaries import MAX_LENGTH, describe_run

ANA = {"trained_by": "Ana"}


def test_alarms_come_first_then_metrics_then_findings() -> None:
    run = small_run()
    text = describe_run(run, ANA)
    assert text.startswith(
        f"Trained by Ana. Training: 1,500 loans ({run.facts['train_bad']} defaults). Out-of-time test: 700"
    )
    assert f"| auc | {run.figures['auc']} | {run.logistic_figures['auc']} |" in text
    positions = [
        text.index(part) for part in ("model_card.html", "**Alarm** Leaks: B leaks.", "| auc |", "**Drift.** No")
    ]
    assert positions == sorted(positions)
    assert text.endswith("**Fake orders.** These were not measured, since there are no orders.")


def test_paragraphs_that_do_not_fit_are_left_out() -> None:
    long = tuple(Finding(f"s{n}", f"Study {n}", "Asked. " * 100, alarms=("Beware.",)) for n in range(30))
    text = describe_run(replace(small_run(), findings=long), ANA)
    assert MAX_LENGTH - 1_000 < len(text) <= MAX_LENGTH
    assert text.count("Beware.") == 30
    assert "**Study 0.**" in text
    assert text.endswith("All findings are in model_card.html.")
    assert len(describe_run(replace(small_run(), findings=long * 20), ANA)) <= MAX_LENGTH
    short = Finding("short", "A short one", "Asked and answered.")
    assert "**A short one.** Asked and answered." in describe_run(replace(small_run(), findings=(*long, short)), ANA)

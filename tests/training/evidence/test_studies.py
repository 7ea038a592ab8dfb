"""What every study owes to MLflow, the card and the gates, whichever it is."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import matplotlib.pyplot as plt
import pytest

from tests.training.evidence.subjects import subject
from training.evidence.limits import Standing, alarms
from training.evidence.studies import STUDIES
from training.evidence.study import Finding

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def findings() -> dict[str, Finding]:
    """Of a subject without operating data, refits or many rows: the poorest that a run can hand over."""
    found = subject()
    few = found.test.select(found.test.rows.index.to_series() < 80)
    parts = {name: getattr(found, name)[:80] for name in ("probability", "scorecard", "score")}
    poor = replace(found, test=few, **parts)
    return {name: study(poor) for name, study in STUDIES.items()}


def test_each_study_has_its_own_name_and_title(findings: dict[str, Finding]) -> None:
    assert {name: finding.name for name, finding in findings.items()} == dict(zip(findings, findings, strict=True))
    assert len({finding.title for finding in findings.values()}) == len(findings)


def test_figures_are_numbers_with_valid_mlflow_names(findings: dict[str, Finding]) -> None:
    for finding in findings.values():
        for name, figure in finding.figures.items():
            assert re.fullmatch(r"[a-z0-9_]+", name)
            assert type(figure) is float
            assert math.isfinite(figure)


def test_intervals_have_both_ends_and_contain_their_figure(findings: dict[str, Finding]) -> None:
    for finding in findings.values():
        for name in finding.figures:
            ends = [f"{name}_{end}" for end in ("low", "high")]
            if any(end in finding.figures for end in ends):
                low, high = (finding.figures[end] for end in ends)
                assert low <= finding.figures[name] <= high


def test_each_summary_asks_a_question_or_states_why_there_is_no_result(findings: dict[str, Finding]) -> None:
    for finding in findings.values():
        assert finding.summary.endswith(".")
        assert "?" in finding.summary or not finding.figures
        assert "nan" not in finding.summary.lower().split()


def test_tables_are_small_and_plots_have_data(findings: dict[str, Finding]) -> None:
    for finding in findings.values():
        assert all(len(table) <= 250 for table in finding.tables.values())
        assert all(any(axes.has_data() for axes in plot.axes) for plot in finding.plots.values())
    assert plt.get_fignums() == []


def test_every_alarm_is_a_check_that_names_its_limit(findings: dict[str, Finding]) -> None:
    for finding in findings.values():
        assert finding.alarms == alarms(finding.checks)
        assert finding.checks or not finding.figures
        for check in finding.checks:
            assert bool(check.note) or check.standing is Standing.WITHIN
            assert check.limit
            assert "nan" not in check.note.split()


def test_studies_report_the_figures_of_the_gates(findings: dict[str, Finding]) -> None:
    logged = {f"{name}.{figure}" for name, finding in findings.items() for figure in finding.figures}
    asked = {"monotone.violations", "drift.score_psi", "withholding.most_gain", "discrimination.auc_difference_high"}
    assert asked <= logged

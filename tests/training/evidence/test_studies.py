"""What every study owes to MLflow, the card and the gates, whichever it is."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import matplotlib.pyplot as plt
import pytest

from tests.training.evidence.subjects import first_rows, subject
from training.evidence.limits import Standing, alarms
from training.evidence.studies import STUDIES
from training.evidence.study import Finding

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def findings() -> dict[str, Finding]:
    """Of a model without operating data, refits or many rows: the poorest that a run can hand over."""
    model = subject()
    train = model.train.select(model.train.rows.index.to_series() < 400)
    poor = replace(first_rows(model, 80), train=train, train_score=model.train_score[:400])
    return {name: study(poor) for name, study in STUDIES.items()}


def test_each_study_has_its_own_name_and_title_and_the_figures_of_the_gates(findings: dict[str, Finding]) -> None:
    assert [finding.name for finding in findings.values()] == list(findings)
    assert len({finding.title for finding in findings.values()}) == len(findings)
    logged = {f"{name}.{figure}" for name, finding in findings.items() for figure in finding.figures}
    asked = {"monotone.violations", "drift.score_psi", "withholding.most_gain", "discrimination.auc_difference_high"}
    assert asked <= logged


@pytest.mark.parametrize("name", STUDIES)
def test_a_finding_is_complete(findings: dict[str, Finding], name: str) -> None:
    finding = findings[name]
    for figure, value in finding.figures.items():
        assert re.fullmatch(r"[a-z0-9_]+", figure), "MLflow accepts it"
        assert type(value) is float
        assert math.isfinite(value)
        ends = [finding.figures.get(f"{figure}_{end}") for end in ("low", "high")]
        assert ends == [None, None] or ends[0] <= value <= ends[1]
    assert finding.summary.endswith(".")
    assert "?" in finding.summary or not finding.figures, "it asks a question or states why there is no result"
    assert "nan" not in finding.summary.lower().split()
    assert all(len(table) <= 250 for table in finding.tables.values())
    assert all(any(axes.has_data() for axes in plot.axes) for plot in finding.plots.values())
    assert plt.get_fignums() == []
    assert finding.alarms == alarms(finding.checks)
    assert finding.checks or not finding.figures
    for check in finding.checks:
        assert check.note or check.standing is Standing.WITHIN
        assert check.limit
        assert "nan" not in check.note.split()

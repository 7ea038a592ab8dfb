"""The studies of every training run, in the order of the model card."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from training.evidence.bands import study_bands
from training.evidence.discrimination import study_discrimination
from training.evidence.drift import study_drift
from training.evidence.explanations import study_explanations
from training.evidence.fairness import study_fairness
from training.evidence.fake_orders import study_fake_orders
from training.evidence.level import study_level
from training.evidence.model_checks import study_leaks, study_monotonicity
from training.evidence.reason_stability import study_reasons
from training.evidence.segments import study_segments
from training.evidence.selection import study_selection
from training.evidence.study import NOT_FOR_TABLE, Finding, ReviewedModel
from training.evidence.table_coverage import study_table_coverage
from training.evidence.withholding import study_withholding

Study = Callable[[ReviewedModel], Finding]

STUDIES: Final[Mapping[str, Study]] = {
    "discrimination": study_discrimination,
    "level": study_level,
    "bands": study_bands,
    "segments": study_segments,
    "drift": study_drift,
    "begins": study_table_coverage,
    "monotone": study_monotonicity,
    "explanations": study_explanations,
    "reasons": study_reasons,
    "fairness": study_fairness,
    "selection": study_selection,
    "withholding": study_withholding,
    "fake_orders": study_fake_orders,
    "leaks": study_leaks,
}

NOT_FOR_TABLES: Final[Mapping[str, str]] = {
    "segments": "Performance by segment",
    "begins": "Coverage of tables over time",
    "reasons": "Stability of reasons",
    "fairness": "Fairness between groups",
    "selection": "Selection bias",
    "withholding": "Withholding of data",
    "fake_orders": "Fake orders",
}
"""Titles of the studies that need sellers, the reason catalogue or operating data, and so do not apply to a table."""


def table_finding(name: str) -> Finding:
    """Return the finding of a study that does not apply to a table."""
    return Finding(
        name,
        NOT_FOR_TABLES[name],
        NOT_FOR_TABLE,
    )

"""The studies that every training run makes of its model, in the order in which the card shows them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from training.evidence.bands import by_band
from training.evidence.begins import begins
from training.evidence.discrimination import discrimination
from training.evidence.drift import drift
from training.evidence.explanations import explanations
from training.evidence.fairness import fairness
from training.evidence.fake_orders import study_fake_orders
from training.evidence.level import level
from training.evidence.model_checks import leaks, monotone
from training.evidence.reason_stability import reasons
from training.evidence.segments import by_segment
from training.evidence.selection import selection
from training.evidence.study import Finding, ReviewedModel
from training.evidence.withholding import withholding

Study = Callable[[ReviewedModel], Finding]

STUDIES: Final[Mapping[str, Study]] = {
    "discrimination": discrimination,
    "level": level,
    "bands": by_band,
    "segments": by_segment,
    "drift": drift,
    "begins": begins,
    "monotone": monotone,
    "explanations": explanations,
    "reasons": reasons,
    "fairness": fairness,
    "selection": selection,
    "withholding": withholding,
    "fake_orders": study_fake_orders,
    "leaks": leaks,
}

NOT_FOR_TABLES: Final[Mapping[str, str]] = {
    "segments": "Segments",
    "reasons": "Stability of reasons",
    "fairness": "Fairness between groups",
    "selection": "Outcomes that only the approved have",
    "withholding": "What withholding brings",
    "fake_orders": "What fake orders buy",
}
"""Studies of sellers, of the reason catalogue and of operating data, which do not apply to a table: their titles."""


def table_finding(name: str) -> Finding:
    """Return the finding of a study that does not apply to a table."""
    return Finding(
        name,
        NOT_FOR_TABLES[name],
        "Does not apply: the rows are of a table, without operating data and reasons of sellers.",
    )

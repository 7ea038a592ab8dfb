"""The summary of the evidence that `GET /v1/model` publishes: JSON in one tag of the version."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from training.evidence.fairness import FOUR_FIFTHS
from training.evidence.model_card import limits
from training.evidence.statistics import wilson_interval

if TYPE_CHECKING:
    from datetime import datetime

    from training.evidence.study import Finding
    from training.run import Run

EVIDENCE: Final = "evidence_summary"
"""The tag of a version that holds the summary."""

_GROUPS: Final = ("country", "size")
_MEASURES: Final = {"four_fifths_ratio": FOUR_FIFTHS, "score_gap": None, "false_refusal_gap": None}


def evidence_summary(run: Run, trained_at: datetime) -> str:
    """Return the summary as JSON.

    Args:
        run: what training produced.
        trained_at: when the run was registered, in UTC.
    """
    facts = run.facts
    rows, bad = int(facts["test_rows"]), int(facts["test_bad"])
    found = {finding.name: finding for finding in run.findings}
    summary = {
        "trained_at": trained_at.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "origin": str(facts["origin"]),
        "outcomes": str(facts["outcomes"]),
        "data_through": facts["data_through"],
        "sample": {
            "train_loans": facts["train_rows"],
            "train_defaults": facts["train_bad"],
            "test_loans": rows,
            "test_defaults": bad,
            "test_from": facts["test_from"],
            "default_rate": _interval(bad / rows, *(float(end) for end in wilson_interval(bad, rows))),
            "auc": _auc(run, found),
        },
        "limits": list(limits(facts)),
        "fairness": list(_fairness(found.get("fairness"))),
        "alarms": [{"study": name, "text": alarm} for name, each in found.items() for alarm in each.alarms],
    }
    return json.dumps(summary, ensure_ascii=False)


def _auc(run: Run, found: dict[str, Finding]) -> dict[str, float]:
    figures = found["discrimination"].figures if "discrimination" in found else {}
    if "auc" in figures:
        return _interval(*(figures[name] for name in ("auc", "auc_low", "auc_high")))
    return _interval(run.figures["auc"].value, run.figures["auc"].low, run.figures["auc"].high)


def _fairness(finding: Finding | None) -> Iterator[dict[str, Any]]:
    """Yield the gaps between groups that were measured, each with its interval, limit and result."""
    if finding is None:
        return
    for by in _GROUPS:
        for measure, limit in _MEASURES.items():
            name = f"{by}_{measure}"
            if name in finding.figures:
                ends = (finding.figures[each] for each in (name, f"{name}_low", f"{name}_high"))
                notes = [each.note for each in finding.checks if each.note and _is_about(each.figure, by)]
                yield {
                    "by": by,
                    "measure": measure,
                    **_interval(*ends),
                    "limit": limit,
                    "notes": notes if limit is not None else [],
                }


def _is_about(figure: str, by: str) -> bool:
    return figure.startswith((f"four-fifths ratio of {by} ", f"four-fifths ratio by {by}"))


def _interval(value: float, low: float, high: float) -> dict[str, float]:
    return {"value": round(value, 4), "low": round(low, 4), "high": round(high, 4)}

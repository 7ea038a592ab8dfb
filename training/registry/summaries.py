"""Summaries of a run: its description in MLflow, and the evidence that `GET /v1/model` publishes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from training.evidence.fairness import FOUR_FIFTHS
from training.evidence.model_card import HTML, limits
from training.evidence.statistics import wilson_interval

if TYPE_CHECKING:
    from datetime import datetime

    from training.evidence.study import Finding
    from training.run import Run

MAX_LENGTH: Final = 5_000
"""Longest description that MLflow stores; PostgreSQL rejects a longer one."""

EVIDENCE: Final = "evidence_summary"
"""The tag of a version with its evidence summary, as JSON."""

_SEPARATOR: Final = "\n\n"
_MORE: Final = f"All findings are in {HTML}."
_GROUPS: Final = ("country", "size")
_MEASURES: Final = {"four_fifths_ratio": FOUR_FIFTHS, "score_gap": None, "false_refusal_gap": None}


def describe_run(run: Run, tags: Mapping[str, str]) -> str:
    """Return the description of a run in Markdown: data, alarms, metrics of model and scorecard, findings.

    Paragraphs that would exceed `MAX_LENGTH` are left out; shorter ones after them may still fit.

    Example: `Trained by anna. Training: 12,345 loans (678 defaults). Out-of-time test: …`
    """
    paragraphs = list(_paragraphs(run, tags))
    text, room = "", MAX_LENGTH - len(_MORE)
    included = 0
    for paragraph in paragraphs:
        if len(text) + len(paragraph) + len(_SEPARATOR) <= room:
            text += paragraph + _SEPARATOR
            included += 1
    return text.rstrip() if included == len(paragraphs) else text + _MORE


def _paragraphs(run: Run, tags: Mapping[str, str]) -> Iterator[str]:
    facts = run.facts
    evidence = str(facts["evidence"]).replace("_", "-").capitalize()
    yield (
        f"Trained by {tags['trained_by']}. Training: {facts['train_rows']:,} loans ({facts['train_bad']:,} defaults). "
        f"{evidence} test: {facts['test_rows']:,} loans ({facts['test_bad']:,} defaults). Default: "
        f"{facts['default_definition']}. The model card is the artifact {HTML}."
    )
    yield f"Operating data: {facts['origin']}, through {facts['data_through']}. Outcomes: {facts['outcomes']}."
    for finding in run.findings:
        yield from (f"**Alarm** {finding.title}: {alarm}" for alarm in finding.alarms)
    rows = (f"| {name} | {metric} | {run.logistic_figures[name]} |" for name, metric in run.figures.items())
    yield "\n".join(("| metric (95% interval) | model | scorecard |", "|---|---|---|", *rows))
    yield from (f"**{finding.title}.** {finding.summary}" for finding in run.findings)


def evidence_summary(run: Run, trained_at: datetime) -> str:
    """Return the evidence summary as JSON; `trained_at` is when the run was registered, in UTC."""
    facts = run.facts
    rows, bad = int(facts["test_rows"]), int(facts["test_bad"])
    findings = {finding.name: finding for finding in run.findings}
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
            "auc": _auc(run, findings),
        },
        "limits": list(limits(facts)),
        "fairness": list(_fairness(findings.get("fairness"))),
        "alarms": [{"study": name, "text": alarm} for name, each in findings.items() for alarm in each.alarms],
    }
    return json.dumps(summary, ensure_ascii=False)


def _auc(run: Run, findings: Mapping[str, Finding]) -> dict[str, float]:
    figures = findings["discrimination"].figures if "discrimination" in findings else {}
    if "auc" not in figures:
        figures = run.figures["auc"].figures("auc")
    return _interval(*(figures[name] for name in ("auc", "auc_low", "auc_high")))


def _fairness(finding: Finding | None) -> Iterator[dict[str, Any]]:
    """Yield each measured gap between groups with its interval and limit."""
    if finding is None:
        return
    for by in _GROUPS:
        for measure, limit in _MEASURES.items():
            name = f"{by}_{measure}"
            if name not in finding.figures:
                continue
            checks = finding.checks if limit is not None else ()
            prefixes = (f"four-fifths ratio of {by} ", f"four-fifths ratio by {by}")
            yield {
                "by": by,
                "measure": measure,
                **_interval(*(finding.figures[each] for each in (name, f"{name}_low", f"{name}_high"))),
                "limit": limit,
                "notes": [check.note for check in checks if check.note and check.figure.startswith(prefixes)],
            }


def _interval(value: float, low: float, high: float) -> dict[str, float]:
    return {"value": round(value, 4), "low": round(low, 4), "high": round(high, 4)}

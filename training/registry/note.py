"""What a run says of itself at the top of its page in MLflow, in Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from training.run import Run


def note(run: Run, tags: Mapping[str, str]) -> str:
    """Return what was trained on what, how good it is beside the scorecard, and what the studies found.

    Example: it begins with `Trained by anna on 12,345 loans (678 bad); measured out of time on 2,345 (123 bad).`

    Args:
        run: what training produced.
        tags: of the run; `trained_by` is told.
    """
    facts = run.facts
    made = (
        f"Trained by {tags['trained_by']} on {facts['train_rows']:,} loans ({facts['train_bad']:,} bad); measured "
        f"{str(facts['evidence']).replace('_', ' ')} on {facts['test_rows']:,} ({facts['test_bad']:,} bad). "
        f"Bad is {facts['default_definition']}."
    )
    lines = [
        made,
        "",
        "| figure (95% interval) | LightGBM | scorecard |",
        "|---|---|---|",
        *(f"| {name} | {figure} | {run.logistic_figures[name]} |" for name, figure in run.figures.items()),
    ]
    for finding in run.findings:
        lines += ["", f"**{finding.title}.** {finding.said}", *(f"- Alarm: {alarm}" for alarm in finding.alarms)]
    return "\n".join(lines)

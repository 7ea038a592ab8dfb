"""What a run says of itself at the top of its page in MLflow, and so does the version that it made, in Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from training.evidence.model_card import HTML

if TYPE_CHECKING:
    from training.run import Run

LONGEST: Final = 5_000
"""Characters that MLflow's tables keep of a description; on PostgreSQL a longer one is refused."""

_BETWEEN: Final = "\n\n"
_MORE: Final = f"What else the studies found stands in {HTML}."


def note(run: Run, tags: Mapping[str, str]) -> str:
    """Return what was trained on what, the alarms, how good it is beside the scorecard, and what the studies found.

    Paragraphs that would make it longer than `LONGEST` are left out; shorter ones after them may still be told.

    Example: it begins with `Trained by anna on 12,345 loans (678 bad); measured out of time on 2,345 (123 bad).`

    Args:
        run: what training produced.
        tags: of the run; `trained_by` is told.
    """
    told, room, whole = "", LONGEST - len(_MORE), True
    for paragraph in _paragraphs(run, tags):
        if len(told) + len(paragraph) + len(_BETWEEN) > room:
            whole = False
        else:
            told += paragraph + _BETWEEN
    return told.rstrip() if whole else told + _MORE


def _paragraphs(run: Run, tags: Mapping[str, str]) -> Iterator[str]:
    facts = run.facts
    yield (
        f"Trained by {tags['trained_by']} on {facts['train_rows']:,} loans ({facts['train_bad']:,} bad); measured "
        f"{str(facts['evidence']).replace('_', ' ')} on {facts['test_rows']:,} ({facts['test_bad']:,} bad). "
        f"Bad is {facts['default_definition']}. The model card is {HTML} among the artifacts."
    )
    yield f"Operating data: {facts['origin']}, through {facts['data_through']}. Outcomes from {facts['outcomes']}."
    for finding in run.findings:
        yield from (f"**Alarm** {finding.title}: {alarm}" for alarm in finding.alarms)
    yield "\n".join(
        (
            "| figure (95% interval) | model | scorecard |",
            "|---|---|---|",
            *(f"| {name} | {figure} | {run.logistic_figures[name]} |" for name, figure in run.figures.items()),
        )
    )
    yield from (f"**{finding.title}.** {finding.summary}" for finding in run.findings)

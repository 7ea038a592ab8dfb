"""The first sections of the model card: alarms, what the evidence can and cannot show, and the published limits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from training.evidence.card_approval import NOT_APPROVED
from training.evidence.limits import Standing, quantity, two_digits, uncertainty
from training.evidence.report_blocks import AlertBlock, Approval, Block, Bullets, Prose, Table, number
from training.evidence.statistics import wilson_interval

if TYPE_CHECKING:
    from training.evidence.metrics import Estimate
    from training.evidence.study import Finding

SIMULATED: Final = "simulated"
"""The word with which a delivery states that its rows are not of real sellers."""

_NOT_REGISTERED: Final = "This model is of a table. It is not registered and cannot be promoted."
_STUDY: Final = "discrimination"
_FEW: Final = 50
"""Defaults below which the card states that they prove little; the gates require as many by default."""


Facts = Mapping[str, str | int | float]
"""Parameters, counts and digests of a run."""


def alarm_blocks(findings: tuple[Finding, ...], facts: Facts) -> Iterator[Block]:
    """Yield every alarm, the approval, and the figures beyond a limit that raise no alarm, with the reason."""
    raised = [(finding, alarm) for finding in findings for alarm in finding.alarms]
    yield Prose(_NOT_REGISTERED) if facts.get("kind") == "table" else Approval(NOT_APPROVED)
    if not raised:
        yield Prose(f"None of {len(findings)} studies raised an alarm.")
    for finding, alarm in raised:
        yield AlertBlock(f"{finding.title}: {alarm}", finding.name)
    others = [
        f"{finding.title}: {check.note}"
        for finding in findings
        for check in finding.checks
        if check.note and check.standing is not Standing.ALARM
    ]
    others += [f"{each.title}: {each.said}" for each in findings if not (each.figures or each.tables or each.plots)]
    if others:
        yield Prose("These figures are beyond a limit without an alarm, or could not be measured:")
        yield Bullets(tuple(others))


def evidence_blocks(facts: Facts, figures: Mapping[str, Estimate], findings: tuple[Finding, ...]) -> Iterator[Block]:
    """Yield the origin of the data and what the number of defaults can show."""
    yield Bullets(
        (
            _origin(facts),
            f"Outcomes come from {facts['outcomes']}.",
            *_sample(facts),
            *_auc(facts, figures["auc"], findings),
        )
    )


def _origin(facts: Facts) -> str:
    origin = str(facts["origin"])
    if facts.get("kind") == "table":
        return f"The rows are of {origin}. The figures hold for rows like these."
    stated = f"Operating data: {origin}, through {facts['data_through']}."
    if SIMULATED not in origin:
        return f"{stated} The figures hold for the sellers and the period of these data."
    return (
        f"{stated} The sellers, orders and loans are simulated. The figures are no evidence of how the model ranks "
        "real sellers."
    )


def _sample(facts: Facts) -> Iterator[str]:
    rows, bad = int(facts["test_rows"]), int(facts["test_bad"])
    low, high = (float(end) for end in wilson_interval(bad, rows))
    yield (
        f"Test sample: {rows:,} loans with {quantity(bad, 'default')}, a default rate of {bad / rows:.1%} (95% "
        f"interval {low:.1%} to {high:.1%}). Training sample: {number(facts['train_rows'])} loans with "
        f"{number(facts['train_bad'])} defaults."
    )
    if bad < _FEW:
        kind = "borrower" if facts.get("kind") == "table" else "seller"
        yield (
            f"{quantity(bad, 'default')} prove little. They can show that a model ranks far better than chance. They "
            "cannot show a small improvement, the default rate of a band to within a few percentage points, or equal "
            f"quality for every kind of {kind}. {_FEW} defaults or more are the usual requirement."
        )


def _auc(facts: Facts, auc: Estimate, findings: tuple[Finding, ...]) -> Iterator[str]:
    bad = int(facts["test_bad"])
    paired: Mapping[str, float] = next((each.figures for each in findings if each.name == _STUDY), {})
    uncertain = uncertainty(paired.get("auc_low", auc.low), paired.get("auc_high", auc.high))
    yield (
        f"{quantity(bad, 'default')}: an AUC measured on them is uncertain by {uncertain}. A difference smaller "
        "than that to an AUC measured on other loans cannot be seen."
    )
    if "auc_difference" in paired:
        least = (paired["auc_difference_high"] - paired["auc_difference_low"]) / 2
        yield (
            f"On these same loans, two models can be distinguished only if their AUC differs by more than about "
            f"{two_digits(least)}."
        )


def limit_blocks(findings: tuple[Finding, ...]) -> Iterator[Block]:
    """Yield a table of every published limit, the figure that was measured, and the result."""
    yield Prose(
        "A figure beyond its limit raises an alarm if its whole 95% interval lies beyond the limit. An alarm blocks a "
        "promotion unless the gates file accepts the alarms of its study by name."
    )
    rows = tuple(
        (finding.title, f"{check.figure[0].upper()}{check.figure[1:]}", check.found, check.limit, str(check.standing))
        for finding in findings
        for check in finding.checks
    )
    if rows:
        yield Table("Limits and figures", ("study", "figure", "found", "limit", "result"), rows, (False,) * 5)

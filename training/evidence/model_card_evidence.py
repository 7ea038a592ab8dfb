"""Input of the model card, and its sections on evidence: alarms, scope, published limits, and data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from training.dataset import SELLER_LOANS, TABLE_ROWS, UNDATED, Words
from training.evidence.card_approval import NOT_APPROVED
from training.evidence.limits import Standing, quantity, two_digits, uncertainty
from training.evidence.metrics import Estimate
from training.evidence.report_blocks import AlertBlock, Approval, Block, Bullets, Prose, Table, number
from training.evidence.study import NOT_FOR_TABLE
from training.split import Evidence

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from scoring.bundle import Bundle
    from training.evidence.study import Finding

SIMULATED: Final = "simulated"
"""The word with which a delivery states that its rows are not of real sellers."""

_NOT_REGISTERED: Final = "This model was trained on a table. It is not registered and cannot be promoted."
_STUDY: Final = "discrimination"
_FEW: Final = 50
"""The card warns about fewer defaults than this; the gates require as many by default."""

Facts = Mapping[str, str | int | float]
"""Parameters, counts and digests of a run."""


@dataclass(frozen=True)
class CardInput:
    """The results of a run.

    Attributes:
        bundle: the trained bundle.
        figures: performance metrics of the model on the test rows.
        scorecard: those of the scorecard benchmark.
        findings: of all studies.
        plots: of the run, by file name without ending.
        facts: parameters, counts and digests; settings have a point in their name.
    """

    bundle: Bundle
    figures: Mapping[str, Estimate]
    scorecard: Mapping[str, Estimate]
    findings: tuple[Finding, ...]
    plots: Mapping[str, Figure]
    facts: Facts

    @property
    def is_table(self) -> bool:
        """Whether the model was trained on a table."""
        return self.facts.get("kind") == "table"

    @property
    def words(self) -> Words:
        """What the card calls the rows."""
        return TABLE_ROWS if self.is_table else SELLER_LOANS


def alarm_blocks(run: CardInput) -> Iterator[Block]:
    """Yield every alarm, the approval, and the figures beyond a limit that raise no alarm, with the reason."""
    alarms = [(finding, alarm) for finding in run.findings for alarm in finding.alarms]
    yield Prose(_NOT_REGISTERED) if run.is_table else Approval(NOT_APPROVED)
    if not alarms:
        yield Prose("No study raised an alarm.")
    for finding, alarm in alarms:
        yield AlertBlock(f"{finding.title}: {alarm}", finding.name)
    notes = [
        f"{finding.title}: {check.note}"
        for finding in run.findings
        for check in finding.checks
        if check.note and check.standing is not Standing.ALARM
    ]
    notes += [
        f"{each.title}: {each.summary}"
        for each in run.findings
        if not (each.figures or each.tables or each.plots or each.summary == NOT_FOR_TABLE)
    ]
    if others := [each.title for each in run.findings if each.summary == NOT_FOR_TABLE]:
        notes.append(f"Studies that need operating data of sellers do not apply to a table: {', '.join(others)}.")
    if notes:
        yield Prose("These figures are beyond a limit without an alarm, or could not be measured:")
        yield Bullets(tuple(notes))


def evidence_blocks(run: CardInput) -> Iterator[Block]:
    """Yield the origin of the data and what the number of defaults can show."""
    yield Bullets((_origin(run), f"Outcomes come from {run.facts['outcomes']}.", *_sample(run), *_auc(run)))


def _origin(run: CardInput) -> str:
    origin = str(run.facts["origin"])
    if run.is_table:
        return f"The rows come from {origin}. The figures are valid for rows like these."
    data = f"Operating data: {origin}, through {run.facts['data_through']}."
    if SIMULATED not in origin:
        return f"{data} The figures are valid for the sellers and the period of these data."
    return (
        f"{data} The sellers, orders and loans are simulated. The figures are no evidence of how the model ranks real "
        "sellers."
    )


def _sample(run: CardInput) -> Iterator[str]:
    rows, bad = int(run.facts["test_rows"]), int(run.facts["test_bad"])
    rate, words = Estimate.share(bad, rows), run.words
    yield (
        f"Test sample: {rows:,} {words.rows} with {quantity(bad, words.bad)}, a default rate of {rate.value:.1%} (95% "
        f"interval {rate.low:.1%} to {rate.high:.1%}). Training sample: {number(run.facts['train_rows'])} {words.rows} "
        f"with {number(run.facts['train_bad'])} {words.bads}."
    )
    if bad < _FEW:
        yield (
            f"{quantity(bad, words.bad)} are weak evidence. They can show that a model ranks far better than chance. "
            "They cannot show a small improvement, the default rate of a band to within a few percentage points, or "
            f"equal quality for every kind of {words.unit}. {_FEW} {words.bads} or more are the usual requirement."
        )


def _auc(run: CardInput) -> Iterator[str]:
    bad, auc, words = int(run.facts["test_bad"]), run.figures["auc"], run.words
    paired: Mapping[str, float] = next((each.figures for each in run.findings if each.name == _STUDY), {})
    uncertain = uncertainty(auc.low, auc.high)
    yield (
        f"{quantity(bad, words.bad)}: the AUC measured on them is uncertain by {uncertain}. A smaller difference from "
        f"an AUC measured on other {words.rows} is not significant."
    )
    if "auc_difference" in paired:
        least = (paired["auc_difference_high"] - paired["auc_difference_low"]) / 2
        yield (
            f"On these same {words.rows}, two models can be distinguished only if their AUC differs by more than about "
            f"{two_digits(least)}."
        )


def limit_blocks(findings: tuple[Finding, ...], *, is_table: bool = False) -> Iterator[Block]:
    """Yield a table of every published limit, the measured figure, and the result."""
    yield Prose(
        "A figure beyond its limit raises an alarm if its whole 95% interval lies beyond the limit."
        + (
            ""
            if is_table
            else " An alarm blocks a promotion unless the gates file accepts the alarms of its study by name."
        )
    )
    rows = tuple(
        (finding.title, f"{check.figure[0].upper()}{check.figure[1:]}", check.found, check.limit, str(check.standing))
        for finding in findings
        for check in finding.checks
    )
    if rows:
        yield Table("Limits and figures", ("study", "figure", "found", "limit", "result"), rows, (False,) * 5)


def _explainer(bundle: Bundle) -> str:
    tables = bundle.model.tables
    if tables is None:
        return (
            "LightGBM computes contributions for every row (pred_contrib), because the trees are too deep for tables."
        )
    return f"Contributions come from tables of {tables.mib:.1f} MiB that are built when the model is loaded."


def data_blocks(run: CardInput) -> Iterator[Block]:
    """Yield the reference of explanations, the training and test samples, and the versions of the data."""
    facts, bundle = run.facts, run.bundle
    yield Prose(f"The reference of every explanation: {bundle.reference.population}. {_explainer(bundle)}")
    rows = {
        **_samples(run),
        **_served(facts),
        "test method": str(facts["evidence"]).replace("_", " "),
        **(_origin_of_table(facts) if run.is_table else _origin_of_operating_data(run)),
        "outcomes from": str(facts["outcomes"]),
        "digest of the rows": str(facts["dataset"]),
    }
    yield Table("Rows and versions", ("item", "value"), tuple(rows.items()), (False, False))


def _origin_of_table(facts: Facts) -> dict[str, str]:
    return {
        "excluded: between the samples, or of groups kept apart": number(facts["set_apart"]),
        "origin of the rows": str(facts["origin"]),
    }


def _origin_of_operating_data(run: CardInput) -> dict[str, str]:
    facts, sheet = run.facts, run.bundle.sheet
    return {
        "excluded: outcome still open": number(facts["censored"]),
        "excluded: without instalments": number(facts["unscheduled"]),
        "excluded: between the samples, or of sellers kept apart": number(facts["set_apart"]),
        "origin of the operating data": str(facts["origin"]),
        "operating data through": str(facts["data_through"]),
        "required tables": ", ".join(sheet.required_tables),
        "optional tables": ", ".join(sheet.optional_tables),
        "version of the operating data": str(facts["data_version"]),
        "digest of the catalogue": str(facts["catalogue"]),
    }


def _samples(run: CardInput) -> dict[str, str]:
    """Return the training and test rows with their period; out-of-fold rows have one day or no date."""
    facts = run.facts
    size = {
        name: f"{number(facts[f'{name}_rows'])} ({number(facts[f'{name}_bad'])} {run.words.bads})"
        for name in ("train", "test")
    }
    if facts["evidence"] != Evidence.OUT_OF_FOLD:
        train, test = f"as of before {facts['train_before']}", f"as of {facts['test_from']} or later"
        return {"training rows": f"{size['train']}, {train}", "test rows": f"{size['test']}, {test}"}
    is_undated = run.is_table and facts["test_from"] == UNDATED.isoformat()
    when = "without dates" if is_undated else f"as of {facts['test_from']}"
    test = "the training rows, each predicted by a model that was not trained on it"
    return {"training rows": f"{size['train']}, {when}", "test rows": f"{size['test']}: {test}"}


def _served(facts: Facts) -> dict[str, str]:
    if "served_rows" not in facts:
        return {}
    size = f"{number(facts['served_rows'])} ({number(facts['served_bad'])} defaults)"
    return {"training rows of the served model": f"{size}, as of before {facts['served_before']}"}

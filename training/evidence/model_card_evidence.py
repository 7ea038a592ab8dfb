"""Sections of the model card on evidence: alarms, scope, published limits, and data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from training.dataset import SELLER_LOANS, TABLE_ROWS, UNDATED, Words
from training.evidence.card_approval import NOT_APPROVED
from training.evidence.limits import Standing, quantity, two_digits, uncertainty
from training.evidence.metrics import Estimate
from training.evidence.report_blocks import Block, Bullets, Table, Text, number, text_lines
from training.evidence.study import NOT_FOR_TABLE
from training.split import Evidence

if TYPE_CHECKING:
    from scoring.bundle import Bundle
    from training.evidence.study import Finding
    from training.run import Run

_NOT_REGISTERED: Final = "This model was trained on a table. It is not registered and cannot be promoted."
_STUDY: Final = "discrimination"
FEW: Final = 50
"""Card and console warn about fewer defaults than this; the gates require as many by default."""

_SMALLEST_WIDTH: Final = 0.0002
"""An interval of the AUC that is narrower says nothing: all outcomes are separated in almost every resample."""

Facts = Mapping[str, str | int | float]
"""Parameters, counts and digests of a run."""


def is_of_table(facts: Facts) -> bool:
    """Return whether a run was trained on a table."""
    return facts.get("kind") == "table"


def words_of(facts: Facts) -> Words:
    """Return what the card of a run calls the rows."""
    return TABLE_ROWS if is_of_table(facts) else SELLER_LOANS


def alarm_blocks(run: Run) -> Iterator[Block]:
    """Yield every alarm, the approval, and the figures beyond a limit that raise no alarm, with the reason."""
    alarms = [(finding, alarm) for finding in run.findings for alarm in finding.alarms]
    yield Text(_NOT_REGISTERED) if is_of_table(run.facts) else Text(NOT_APPROVED, "approval")
    if not alarms:
        yield Text("No study raised an alarm.")
    for finding, alarm in alarms:
        yield Text(f"{finding.title}: {alarm}", "alarm", finding.name)
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
        yield Text("These figures are beyond a limit without an alarm, or could not be measured:")
        yield Bullets(tuple(notes))


def evidence_blocks(run: Run) -> Iterator[Block]:
    """Yield the origin of the data and what the number of defaults can show."""
    rows, bad, auc = int(run.facts["test_rows"]), int(run.facts["test_bad"]), run.figures["auc"]
    words = words_of(run.facts)
    paired: Mapping[str, float] = next((each.figures for each in run.findings if each.name == _STUDY), {})
    least = ""
    if "auc_difference" in paired:
        least = two_digits((paired["auc_difference_high"] - paired["auc_difference_low"]) / 2)
    lines = text_lines(
        "scope.txt",
        facts=run.facts,
        is_of_table=is_of_table(run.facts),
        words=words,
        rows=rows,
        bad=bad,
        few=FEW,
        defaults=quantity(bad, words.bad),
        rate=Estimate.share(bad, rows),
        separates=auc.high - auc.low < _SMALLEST_WIDTH,
        uncertain=uncertainty(auc.low, auc.high),
        least=least,
    )
    yield Bullets(lines)


def limit_blocks(findings: tuple[Finding, ...], *, is_table: bool = False) -> Iterator[Block]:
    """Yield a table of every published limit, the measured figure, and the result."""
    yield Text(
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


def data_blocks(run: Run) -> Iterator[Block]:
    """Yield the reference of explanations, the training and test samples, and the versions of the data."""
    facts, bundle = run.facts, run.bundle
    yield Text(f"The reference of every explanation: {bundle.reference.population}. {_explainer(bundle)}")
    rows = {
        **_samples(run),
        **_served(facts),
        "test method": str(facts["evidence"]).replace("_", " "),
        **(_origin_of_table(facts) if is_of_table(run.facts) else _origin_of_operating_data(run)),
        "outcomes from": str(facts["outcomes"]),
        "digest of the rows": str(facts["dataset"]),
    }
    yield Table("Rows and versions", ("item", "value"), tuple(rows.items()), (False, False))


def _origin_of_table(facts: Facts) -> dict[str, str]:
    return {
        "excluded: between the samples, or of groups kept apart": number(facts["set_apart"]),
        "origin of the rows": str(facts["origin"]),
    }


def _origin_of_operating_data(run: Run) -> dict[str, str]:
    facts, sheet = run.facts, run.bundle.sheet
    return {
        "excluded: outcome still open": number(facts["censored"]),
        "excluded: without instalments": number(facts["unscheduled"]),
        **({"excluded: after the data of their seller": number(facts["uncovered"])} if "uncovered" in facts else {}),
        "excluded: between the samples, or of sellers kept apart": number(facts["set_apart"]),
        "origin of the operating data": str(facts["origin"]),
        "operating data through": str(facts["data_through"]),
        "required tables": ", ".join(sheet.required_tables),
        "optional tables": ", ".join(sheet.optional_tables),
        "version of the operating data": str(facts["data_version"]),
        "digest of the catalogue": str(facts["catalogue"]),
    }


def _samples(run: Run) -> dict[str, str]:
    """Return the training and test rows with their period; out-of-fold rows have one day or no date."""
    facts = run.facts
    size = {
        name: f"{number(facts[f'{name}_rows'])} ({number(facts[f'{name}_bad'])} {words_of(run.facts).bads})"
        for name in ("train", "test")
    }
    if facts["evidence"] != Evidence.OUT_OF_FOLD:
        train, test = f"as of before {facts['train_before']}", f"as of {facts['test_from']} or later"
        return {"training rows": f"{size['train']}, {train}", "test rows": f"{size['test']}, {test}"}
    is_undated = is_of_table(run.facts) and facts["test_from"] == UNDATED.isoformat()
    when = "without dates" if is_undated else f"as of {facts['test_from']}"
    test = "the training rows, each predicted by a model that was not trained on it"
    return {"training rows": f"{size['train']}, {when}", "test rows": f"{size['test']}: {test}"}


def _served(facts: Facts) -> dict[str, str]:
    if "served_rows" not in facts:
        return {}
    size = f"{number(facts['served_rows'])} ({number(facts['served_bad'])} defaults)"
    return {"training rows of the served model": f"{size}, as of before {facts['served_before']}"}

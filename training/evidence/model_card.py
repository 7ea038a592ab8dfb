"""What a model is for and what not: said on its card, and in its bundle to every bank that asks.

What the model card says, section by section, from what a run produced.

The model card: what a reviewer reads first, as Markdown and as one page of HTML with everything in it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Final

from markupsafe import Markup

from features.catalogue import CATALOGUE
from scoring.reason_catalogue import code_of
from training.dataset import UNDATED
from training.evidence.card_approval import BEGIN, END
from training.evidence.limits import Standing
from training.evidence.model_card_evidence import alarm_blocks, evidence_blocks, limit_blocks
from training.evidence.report_blocks import (
    AlertBlock,
    Block,
    Bullets,
    Code,
    Plot,
    Prose,
    Section,
    Table,
    environment,
    number,
    of_figures,
    of_frame,
)
from training.split import Evidence

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from scoring.bundle import Bundle
    from scoring.sheet import FeatureSheet
    from training.evidence.metrics import Estimate
    from training.evidence.study import Finding


def intended_use(sheet: FeatureSheet) -> tuple[str, ...]:
    """Return paragraphs in plain text; those that begin with a dash say what the model is not for.

    Args:
        sheet: says what a seller must have to be scored.
    """
    labels = {entry.name: entry.label for entry in sheet.entries}
    lines = environment().get_template("use.txt").render(sheet=sheet, labels=labels).splitlines()
    return tuple(line for line in lines if line)


_RISK: Final = {1: "raises risk", -1: "lowers risk", 0: "free"}


_PLOTS: Final = {
    "roc": "Discrimination, against chance",
    "calibration": "Observed against predicted default rates",
    "score_distribution": "Scores of good and bad loans",
}


_TRIALS: Final = "search.trials"


_NAMES: Final = {"auc": "AUC", "gini": "Gini", "ks": "KS", "brier": "Brier score", "log_loss": "log-loss"}


@dataclass(frozen=True)
class CardInput:
    """What a run produced.

    Attributes:
        bundle: the trained bundle.
        figures: of the model on the test rows.
        scorecard: those of the benchmark scorecard.
        findings: of all studies.
        plots: of the run, by file name without ending.
        facts: parameters, counts and digests; settings have a point in their name.
    """

    bundle: Bundle
    figures: Mapping[str, Estimate]
    scorecard: Mapping[str, Estimate]
    findings: tuple[Finding, ...]
    plots: Mapping[str, Figure]
    facts: Mapping[str, str | int | float]


def sections(given: CardInput) -> tuple[Section, ...]:
    """Return the card's sections in the order in which a reviewer reads them."""
    return (
        Section("Alarms", tuple(alarm_blocks(given.findings, given.facts))),
        Section(
            "What this evidence can and cannot show", tuple(evidence_blocks(given.facts, given.figures, given.findings))
        ),
        Section("Published limits", tuple(limit_blocks(given.findings))),
        Section("Intended use", tuple(_use(given.bundle))),
        Section("Limits", (Bullets(limits(given.facts)),)),
        Section("Definition of bad, scale and bands", tuple(_scale(given.bundle))),
        Section("Data", tuple(_data(given))),
        Section("How good it is", tuple(_figures(given))),
        *(Section(finding.title, tuple(_finding(finding))) for finding in given.findings),
        Section("Signs, and why", tuple(_signs(given.bundle))),
        Section(f"Reasons that {'borrowers' if _is_label_table(given) else 'sellers'} are given", (_reasons(given),)),
        Section("How to reproduce it", tuple(_reproduce(given))),
    )


def limits(facts: Mapping[str, str | int | float]) -> tuple[str, ...]:
    """Return the known limits of a model, a sentence or two each.

    Args:
        facts: of the run: `evidence`, `test_rows` and `test_bad`.
    """
    name = "limits_of_table.txt" if facts.get("kind") == "table" else "limits.txt"
    text = environment().get_template(name).render(facts=facts)
    return tuple(line.removeprefix("- ") for line in text.splitlines() if line)


def _use(bundle: Bundle) -> Iterator[Block]:
    return _facts(bundle.reference.intended_use or intended_use(bundle.sheet))


def _facts(lines: Iterable[str]) -> Iterator[Block]:
    """Yield lines as blocks: a line is a paragraph, lines that begin with a dash are one list."""
    bullets: list[str] = []
    for line in lines:
        if line.startswith("- "):
            bullets.append(line.removeprefix("- "))
        elif line:
            yield Prose(line)
    yield Bullets(tuple(bullets))


def _scale(bundle: Bundle) -> Iterator[Block]:
    scale = bundle.policy.scale
    yield Prose(
        f"Bad is {bundle.policy.default_definition}. The score is {number(scale.points)} points at odds of "
        f"{number(scale.odds)}:1 of repaying; {number(scale.double)} points more double the odds; its ends are "
        f"{scale.min} and {scale.max}. Points of all features and the base add up to the score, exactly."
    )
    rows = tuple(
        (
            band.name,
            f"{band.up_to:.1%}",
            number(round(scale.points_at(band.up_to))) if band.up_to < 1 else number(scale.min),
        )
        for band in bundle.policy.bands.items
    )
    headings = ("band", "probability of default up to", "score from about")
    yield Table("Bands", headings, rows, (False, True, True))


def _explained(bundle: Bundle) -> str:
    tables = bundle.model.tables
    if tables is None:
        return "LightGBM works contributions out for every row (pred_contrib), since the trees are too deep for tables."
    return f"Contributions are looked up in tables of {tables.mib:.1f} MiB, made when the model is loaded."


def _data(given: CardInput) -> Iterator[Block]:
    facts, bundle, apart = given.facts, given.bundle, "borrowers" if _is_label_table(given) else "sellers"
    yield Prose(f"The reference of every explanation: {bundle.reference.population}. {_explained(bundle)}")
    rows = {
        **_parts(facts),
        **_served(facts),
        "how measured": str(facts["evidence"]).replace("_", " "),
        "left out: outcome still open": number(facts["censored"]),
        "left out: without instalments": number(facts["unscheduled"]),
        f"left out: between the parts, or of {apart} kept apart": number(facts["set_apart"]),
        "origin of the operating data": str(facts["origin"]),
        "operating data through": str(facts["data_through"]),
        "outcomes from": str(facts["outcomes"]),
        "required tables": ", ".join(bundle.sheet.required_tables),
        "other tables that it reads": ", ".join(bundle.sheet.optional_tables),
        "version of the operating data": str(facts["data_version"]),
        "digest of the rows": str(facts["dataset"]),
        "digest of the catalogue": str(facts["catalogue"]),
    }
    yield Table("Rows and versions", ("what", "value"), tuple(rows.items()), (False, False))


def _parts(facts: Mapping[str, str | int | float]) -> dict[str, str]:
    """Return the training and test rows with their period; rows that are predicted out of fold have none or one day."""
    parts = {name: f"{number(facts[f'{name}_rows'])}, {number(facts[f'{name}_bad'])} bad" for name in ("train", "test")}
    if facts["evidence"] != Evidence.OUT_OF_FOLD:
        train, test = f"as of before {facts['train_before']}", f"as of {facts['test_from']} or later"
        return {"training rows": f"{parts['train']}, {train}", "test rows": f"{parts['test']}, {test}"}
    is_undated = facts.get("kind") == "table" and facts["test_from"] == UNDATED.isoformat()
    when = "without dates" if is_undated else f"as of {facts['test_from']}"
    test = "the training rows, each predicted by a model that was not trained on it"
    return {"training rows": f"{parts['train']}, {when}", "test rows": f"{parts['test']}: {test}"}


def _is_label_table(given: CardInput) -> bool:
    return given.facts.get("kind") == "table"


def _served(facts: Mapping[str, str | int | float]) -> dict[str, str]:
    if "served_rows" not in facts:
        return {}
    rows = f"{number(facts['served_rows'])}, {number(facts['served_bad'])} bad, as of before {facts['served_before']}"
    return {"rows of the model that serves": rows}


def _figures(given: CardInput) -> Iterator[Block]:
    yield Prose(
        "Figures on the test rows with 95% bootstrap intervals, sellers drawn as a whole. Gini is 2 AUC - 1. KS is the "
        "largest gap between the score distributions of good and bad loans. Slope and intercept are those of the "
        "logistic regression of outcomes on predicted log-odds; they are 1 and 0 if the probabilities are right. The "
        "benchmark scorecard is a logistic regression on binned features of the same training rows."
    )
    rows = tuple(
        (_NAMES.get(name, name.replace("_", " ")), str(figure), str(given.scorecard.get(name, "–")))
        for name, figure in given.figures.items()
    )
    yield Table("On the test rows", ("figure", "model", "benchmark scorecard"), rows, (False, True, True))
    for name, title in _PLOTS.items():
        if name in given.plots:
            yield Plot(title, f"plots/{name}.png", given.plots[name])


def _finding(finding: Finding) -> Iterator[Block]:
    yield Prose(finding.said)
    yield from (AlertBlock(alarm, finding.name) for alarm in finding.alarms)
    yield from (Prose(check.note) for check in finding.checks if check.note and check.standing is not Standing.ALARM)
    for name, figure in finding.plots.items():
        yield Plot(name.replace("_", " ").capitalize(), f"evidence/{finding.name}/{name}.png", figure)
    yield from (of_frame(title, frame) for title, frame in finding.tables.items() if len(frame))
    if finding.figures:
        yield of_figures("Figures", finding.figures)


def _signs(bundle: Bundle) -> Iterator[Block]:
    known = {feature.name: feature for feature in CATALOGUE}
    yield Prose(
        "A feature that raises risk can never raise the score as it grows, one that lowers risk never lower it; the "
        "trained model is audited for it. A free one may go either way. Features of one reason group are one reason."
    )
    rows = tuple(
        (
            entry.label,
            _RISK[entry.sign],
            known[entry.name].sign_reason if entry.name in known else "–",
            entry.reason_group.replace("_", " "),
            f"{number(entry.typical)} {entry.unit}" if entry.typical is not None else "–",
        )
        for entry in bundle.sheet.entries
    )
    yield Table("Features", ("feature", "sign", "why", "reason group", "typical"), rows, (False,) * 4 + (True,))


def _reasons(given: CardInput) -> Block:
    bundle, borrower = given.bundle, "borrower" if _is_label_table(given) else "seller"
    side = {entry.name: code_of(entry.name, entry.side) for entry in bundle.sheet.scored_entries}
    rows = tuple(
        (side[entry.feature], entry.side.bank.en, entry.side.seller.en, entry.missing.bank.en)
        for entry in bundle.reasons.entries
        if entry.feature in side
    )
    title = f"Version {bundle.reasons.version}, at most four with a score"
    return Table(title, ("code", "to a bank", f"to the {borrower}", "to a bank, where missing"), rows, (False,) * 4)


def _reproduce(given: CardInput) -> Iterator[Block]:
    facts = given.facts
    searched = bool(facts.get(_TRIALS))
    if _is_label_table(given):
        yield Prose("With the same table and these versions of the libraries, the command gives the same model text.")
        yield Code(str(facts["command"]))
        yield _versions(given, searched=False)
        return
    yield Prose(
        "With the same operating data, the settings below in a file training.toml and these versions of the libraries, "
        "the command gives the same model text on the same kind of machine."
        + (" They are those that a search found, so that none is needed any more." if searched else "")
    )
    yield Code("sellerscore train --config training.toml")
    yield Code(_settings({**facts, _TRIALS: 0} if searched else facts))
    yield _versions(given, searched=searched)


def _versions(given: CardInput, *, searched: bool) -> Block:
    bundle = given.bundle
    rows = {
        "bundle": bundle.digest,
        "model text": bundle.model_digest,
        "settings before the search" if searched else "settings": str(given.facts["config"]),
        "sellerscore": metadata.version("sellerscore"),
        **{name: str(version) for name, version in bundle.reference.libraries.items()},
    }
    return Table("Digests and versions", ("what", "value"), tuple(rows.items()), (False, False))


def _settings(facts: Mapping[str, str | int | float]) -> str:
    """Return the settings among the facts as TOML: `fit.seed` becomes `seed` in the section `fit`."""
    parts: dict[str, list[str]] = {}
    for name, value in facts.items():
        section, point, key = name.partition(".")
        if point:
            parts.setdefault(section, []).append(f"{key} = {json.dumps(value)}")
    return "\n\n".join("\n".join((f"[{section}]", *lines)) for section, lines in parts.items())


MARKDOWN: Final = "model_card.md"


HTML: Final = "model_card.html"


def write_card(given: CardInput) -> dict[str, str]:
    """Return the model card by file name: Markdown, and HTML.

    The Markdown links its plots where a run keeps them, `plots/` and `evidence/`, and so belongs beside these folders.
    The HTML holds them itself, needs no network and runs no script.

    Example: `card(CardInput(bundle, figures, scorecard, findings, plots, facts))["model_card.html"]`.
    """
    markers = {"approval_begin": Markup(BEGIN), "approval_end": Markup(END)}  # noqa: S704 - constants
    content = {"given": given, "sections": sections(given), **markers}
    return {
        MARKDOWN: environment().get_template("card.md").render(content),
        HTML: environment().get_template("card.html").render(content),
    }

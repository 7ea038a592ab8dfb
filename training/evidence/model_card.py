"""The model card: intended use, sections and blocks, rendered as Markdown and as one self-contained HTML page."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from importlib import metadata
from typing import TYPE_CHECKING, Final

from markupsafe import Markup

from features.catalogue import CATALOGUE
from scoring.reason_catalogue import code_of
from training.evidence.card_approval import BEGIN, END
from training.evidence.limits import Standing
from training.evidence.model_card_evidence import (
    Facts,
    alarm_blocks,
    data_blocks,
    evidence_blocks,
    is_of_table,
    limit_blocks,
    words_of,
)
from training.evidence.report_blocks import (
    Block,
    Bullets,
    Plot,
    Section,
    Table,
    Text,
    environment,
    intended_use,
    number,
    of_figures,
    of_frame,
    text_lines,
)
from training.evidence.study import NOT_FOR_TABLE

if TYPE_CHECKING:
    from scoring.bundle import Bundle
    from training.evidence.study import Finding
    from training.run import Run

MARKDOWN: Final = "model_card.md"
HTML: Final = "model_card.html"

_RISK: Final = {1: "raises risk", -1: "lowers risk", 0: "free"}
_PLOTS: Final = {
    "roc": "Discrimination (ROC curve)",
    "calibration": "Observed against predicted default rates",
    "score_distribution": "Scores of good and bad rows",
}
_TRIALS: Final = "search.trials"
_NAMES: Final = {"auc": "AUC", "gini": "Gini", "ks": "KS", "brier": "Brier score", "log_loss": "log-loss"}


def write_card(run: Run) -> dict[str, str]:
    """Return the model card by file name: Markdown, and HTML.

    The Markdown links to the plots in the run's folders `plots/` and `evidence/`. The HTML contains them, needs no
    network and runs no script.

    Example: `write_card(train(dataset, config))["model_card.html"]`.
    """
    markers = {"approval_begin": Markup(BEGIN), "approval_end": Markup(END)}  # noqa: S704 - constants
    content = {"run": run, "sections": sections(run), **markers}
    return {
        MARKDOWN: environment().get_template("card.md").render(content),
        HTML: environment().get_template("card.html").render(content),
    }


def sections(run: Run) -> tuple[Section, ...]:
    """Return the sections of the card, in order."""
    return (
        Section("Alarms", tuple(alarm_blocks(run))),
        Section("Scope of the evidence", tuple(evidence_blocks(run))),
        Section("Published limits", tuple(limit_blocks(run.findings, is_table=is_of_table(run.facts)))),
        Section(
            "Intended use",
            tuple(_paragraphs(run.bundle.reference.intended_use or intended_use(run.bundle.sheet))),
        ),
        Section("Limitations", (Bullets(limits(run.facts)),)),
        Section("Definition of default, scale and bands", tuple(_scale(run))),
        Section("Data", tuple(data_blocks(run))),
        Section("Performance", tuple(_performance(run))),
        *(Section(each.title, tuple(_finding(each))) for each in run.findings if each.summary != NOT_FOR_TABLE),
        Section("Direction of each feature", tuple(_directions(run.bundle))),
        Section("Reasons", (_reasons(run),))
        if is_of_table(run.facts)
        else Section("Reasons for sellers", (_reasons(run),)),
        Section("How to reproduce the model", tuple(_reproduce(run))),
    )


def limits(facts: Facts) -> tuple[str, ...]:
    """Return the known limitations of a model, a sentence or two each."""
    lines = text_lines("limits_of_table.txt" if is_of_table(facts) else "limits.txt", facts=facts)
    return tuple(line.removeprefix("- ") for line in lines)


def _paragraphs(lines: Iterable[str]) -> Iterator[Block]:
    """Yield lines as blocks: a line is a paragraph, lines that begin with a dash are one list."""
    bullets: list[str] = []
    for line in lines:
        if line.startswith("- "):
            bullets.append(line.removeprefix("- "))
        elif line:
            yield Text(line)
    yield Bullets(tuple(bullets))


def _scale(run: Run) -> Iterator[Block]:
    bundle, scale = run.bundle, run.bundle.policy.scale
    good = "a good outcome" if is_of_table(run.facts) else "repaying"
    yield Text(
        f"Bad (a default) means: {bundle.policy.default_definition}. A score of {number(scale.points)} "
        f"points means odds of {number(scale.odds)}:1 of {good}. {number(scale.double)} more points double the odds. "
        f"Scores range from {scale.min} to {scale.max}. The points of all features and the base add up exactly to the "
        "score."
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


def _performance(run: Run) -> Iterator[Block]:
    unit = "group, or with equal features," if is_of_table(run.facts) else "seller"
    yield Text(
        f"Metrics on the test rows with 95% bootstrap intervals; all rows of a {unit} are drawn together. Gini is 2 "
        f"AUC - 1. KS is the largest gap between the score distributions of good and bad {words_of(run.facts).rows}. "
        "Slope and intercept are those of the logistic regression of outcomes on predicted log-odds; they are 1 and 0 "
        "if the probabilities are right. The scorecard benchmark is a logistic regression on binned features of the "
        "same training rows."
    )
    rows = tuple(
        (_NAMES.get(name, name.replace("_", " ")), str(figure), str(run.logistic_figures.get(name, "–")))
        for name, figure in run.figures.items()
    )
    yield Table("On the test rows", ("metric", "model", "scorecard benchmark"), rows, (False, True, True))
    for name, title in _PLOTS.items():
        if name in run.plots:
            yield Plot(title, f"plots/{name}.png", run.plots[name])


def _finding(finding: Finding) -> Iterator[Block]:
    yield Text(finding.summary)
    yield from (Text(alarm, "alarm", finding.name) for alarm in finding.alarms)
    yield from (Text(check.note) for check in finding.checks if check.note and check.standing is not Standing.ALARM)
    for name, figure in finding.plots.items():
        yield Plot(name.replace("_", " ").capitalize(), f"evidence/{finding.name}/{name}.png", figure)
    yield from (of_frame(title, frame) for title, frame in finding.tables.items() if len(frame))
    if finding.figures:
        yield of_figures("Figures", finding.figures)


def _directions(bundle: Bundle) -> Iterator[Block]:
    features = {feature.name: feature for feature in CATALOGUE}
    yield Text(
        "A higher value of a feature that raises risk can never raise the score, and a higher value of one that lowers "
        "risk can never lower it. The study of monotonicity tests the trained model for it. A free feature has no "
        "fixed direction. Features of one reason group give one reason."
    )
    rows = tuple(
        (
            entry.label,
            _RISK[entry.sign],
            features[entry.name].sign_reason if entry.name in features else "–",
            entry.reason_group.replace("_", " "),
            f"{number(entry.typical)} {entry.unit}" if entry.typical is not None else "–",
        )
        for entry in bundle.sheet.entries
    )
    headings = ("feature", "direction", "rationale", "reason group", "typical")
    yield Table("Features", headings, rows, (False,) * 4 + (True,))


def _reasons(run: Run) -> Block:
    bundle = run.bundle
    side = {entry.name: code_of(entry.name, entry.side) for entry in bundle.sheet.scored_entries}
    rows: tuple[tuple[str, ...], ...] = tuple(
        (side[entry.feature], entry.side.bank.en, entry.side.seller.en, entry.missing.bank.en)
        for entry in bundle.reasons.entries
        if entry.feature in side
    )
    title = f"Version {bundle.reasons.version}, at most four with a score"
    headings: tuple[str, ...] = (
        "code",
        "text for a bank",
        "text for the seller",
        "text for a bank if the value is missing",
    )
    if is_of_table(run.facts):  # the texts for banks and sellers are the same
        headings = ("code", "text", "text if the value is missing")
        rows = tuple((code, text, missing) for code, text, _, missing in rows)
    return Table(title, headings, rows, (False,) * len(headings))


def _reproduce(run: Run) -> Iterator[Block]:
    facts = run.facts
    searched = bool(facts.get(_TRIALS))
    if is_of_table(run.facts):
        yield Text("With the same table and these library versions, the command trains the same model text.")
        yield Text(str(facts["command"]), "code")
        yield _versions(run, searched=False)
        return
    yield Text(
        "With the same operating data, the settings below in a file training.toml and these library versions, the "
        "command trains the same model text on the same kind of machine."
        + (" A search found these settings, so no search is needed." if searched else "")
    )
    yield Text("sellerscore train --config training.toml", "code")
    yield Text(_settings({**facts, _TRIALS: 0} if searched else facts), "code")
    yield _versions(run, searched=searched)


def _versions(run: Run, *, searched: bool) -> Block:
    bundle = run.bundle
    rows = {
        "bundle": bundle.digest,
        "model text": bundle.model_digest,
        "settings before the search" if searched else "settings": str(run.facts["config"]),
        "sellerscore": metadata.version("sellerscore"),
        **{name: str(version) for name, version in bundle.reference.libraries.items()},
    }
    return Table("Digests and versions", ("item", "value"), tuple(rows.items()), (False, False))


def _settings(facts: Facts) -> str:
    """Return the settings among the facts as TOML: `fit.seed` becomes `seed` in the section `fit`."""
    lines: dict[str, list[str]] = {}
    for name, value in facts.items():
        section, point, key = name.partition(".")
        if point:
            lines.setdefault(section, []).append(f"{key} = {json.dumps(value)}")
    return "\n\n".join("\n".join((f"[{section}]", *settings)) for section, settings in lines.items())

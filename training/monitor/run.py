"""The whole of monitoring: every model that gave scores, study by study, and the age of the data.

What monitoring found, for a terminal, for a program, and for MLflow.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Final

from rich.table import Table

from training.evidence.study import Finding
from training.holdout import label_config
from training.labels import LabelConfig
from training.monitor.availability import freshness, period, request_outcomes
from training.monitor.calibration import calibration
from training.monitor.drift import drift
from training.monitor.inputs import Outcomes, outcomes
from training.monitor.performance import shadow, vintages
from training.monitor.score_log import KnownModels, short_digest
from training.monitor.subject import MonitoredModel
from training.registry import ALARM, NOT_MEASURED
from training.registry.monitoring import Monitored

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd
    from rich.console import RenderableType

    from scoring import Bundle
    from training.monitor.config import MonitorConfig
    from training.monitor.subject import References


STUDIES: Final[tuple[Callable[[MonitoredModel], Finding], ...]] = (
    request_outcomes,
    drift,
    vintages,
    calibration,
    shadow,
)
"""What is asked of each model, in the order to show it."""


Step = Callable[[str], None]
"""Is told what begins, for a progress display."""


@dataclass(frozen=True)
class MonitorInputs:
    """What monitoring looks at.

    Attributes:
        scores: a frame of `ledger.SCORES` as `ledger.until` returns it.
        shadow: a frame of `ledger.SHADOW`.
        models: those that gave the scores.
        champion: the bundle in force, None where there is none.
        references: of training populations; their source is also that of outcomes.
        today: the midnight of monitoring.
        asked_for: the digest of a bundle whose alarms count in any case, as the champion's do.
    """

    scores: pd.DataFrame
    shadow: pd.DataFrame
    models: KnownModels
    champion: Bundle | None
    references: References
    today: date
    asked_for: str = ""


@dataclass(frozen=True)
class ModelResult:
    """What was found of one model."""

    watched: MonitoredModel
    findings: tuple[Finding, ...]

    @property
    def alarms(self) -> tuple[str, ...]:
        """Alarms of all studies; they count only where the model is in use."""
        return tuple(alarm for finding in self.findings for alarm in finding.alarms)

    @property
    def name(self) -> str:
        """What to call the model."""
        return self.watched.model.name


@dataclass(frozen=True)
class MonitorResult:
    """What was found on one day.

    Attributes:
        today: the midnight of monitoring.
        period: whether anything was scored in the days that are now.
        freshness: the age of the data.
        models: the champion first, then those in use, then by how lately each gave a score.
        troubles: what kept something from being monitored or logged; each is an alarm.
    """

    today: date
    period: Finding
    freshness: Finding
    models: tuple[ModelResult, ...]
    troubles: tuple[str, ...] = ()

    @property
    def nothing_scored(self) -> bool:
        """Whether no model gave any score in the days that are now, so that no alarm could come of one."""
        return self.period.figures["scored"] == 0

    @property
    def said(self) -> str:
        """What there is to say before all else, where nothing was scored; else empty."""
        return self.period.summary if self.nothing_scored else ""

    @property
    def alarms(self) -> tuple[str, ...]:
        """Every alarm that counts, with whom it is about; those of models not in use stand in their own part alone."""
        in_use = (each for each in self.models if each.watched.in_use)
        of_models = (f"{each.name.capitalize()}: {alarm}" for each in in_use for alarm in each.alarms)
        return (*self.troubles, *self.freshness.alarms, *of_models)


def monitor(given: MonitorInputs, config: MonitorConfig, step: Step = lambda _: None) -> MonitorResult:
    """Look at every model that gave scores, and at the age of the data.

    Args:
        given: the scores and what is known around them.
        config: the limits.
        step: told what begins.

    Raises:
        LabelError: the label table of outcomes cannot be read.
        StoreError: the operating data cannot be read.
    """
    found = [_study(each, step) for each in _monitored_models(given, config)]
    found.sort(key=_rank, reverse=True)
    step("age of the data")
    store = given.references.source.store
    bundle = given.champion or (found[0].watched.model.bundle if found else None)
    return MonitorResult(
        given.today,
        period(given.scores, given.today, config.drift.days),
        freshness(store.covers_through, given.today, bundle, config.freshness),
        tuple(found),
        tuple(_problems(given)),
    )


def _rank(found: ModelResult) -> tuple[bool, bool, pd.Timestamp]:
    watched = found.watched
    return watched.in_force, watched.in_use, watched.scores["as_of"].max()


def _monitored_models(given: MonitorInputs, config: MonitorConfig) -> Iterator[MonitoredModel]:
    known: dict[tuple[str, LabelConfig], Outcomes] = {}
    source = given.references.source
    for digest, model in given.models.known.items():
        labels = LabelConfig() if model.version is None else label_config(model.version)
        definition = model.bundle.policy.default_definition
        if (definition, labels) not in known:
            found = outcomes(source.store, definition, given.today, source.table, labels)
            known[definition, labels] = found
        scores = given.scores[given.scores["model"] == digest].reset_index(drop=True)
        champion = given.champion is not None and digest == given.champion.digest
        yield MonitoredModel(
            model,
            scores,
            known[definition, labels],
            given.shadow,
            given.references,
            given.today,
            config,
            in_force=champion or digest == given.asked_for,
        )


def _study(watched: MonitoredModel, step: Step) -> ModelResult:
    found = []
    for study in STUDIES:
        step(f"{watched.model.name}: {study.__name__}")
        found.append(study(watched))
    return ModelResult(watched, tuple(found))


def _problems(given: MonitorInputs) -> Iterator[str]:
    if given.models.registry_away:
        yield f"{given.models.registry_away} Versions are not known, and nothing is logged there."
    for digest in given.models.lost:
        count = int((given.scores["model"] == digest).sum())
        yield (
            f"{count:,} scores are of the bundle {short_digest(digest)}, which is neither kept nor registered, so they "
            "are not monitored; restore it from a backup of the state folder."
        )


_NOTHING: Final = "–"


Figures = Mapping[str, float]


def result_figures(findings: tuple[Finding, ...]) -> dict[str, float]:
    """Return the figures of all studies: `drift.score_psi`."""
    return {f"{finding.name}.{name}": value for finding in findings for name, value in finding.figures.items()}


def result_tables(found: MonitorResult) -> Iterator[RenderableType]:
    """Yield what to print: a column a model, then every alarm that counts."""
    if found.said:
        yield found.said
    if found.models:
        columns = [each.name if each.watched.in_use else f"{each.name}, not in use" for each in found.models]
        table = Table("", *columns, box=None, header_style="bold")
        for label, cell in _LINES.items():
            table.add_row(label, *(cell(result_figures(each.findings)) for each in found.models))
        yield table
    stale = found.freshness.figures["stale_tables"]
    state = f"{stale:.0f} tables are stale or lacking" if stale else "every table is fresh"
    yield f"Data as of {found.today}: {state}."
    for alarm in found.alarms:
        yield f"[red]Alarm[/red] {_escaped(alarm)}"
    if not found.alarms:
        yield "No alarm, but nothing was scored." if found.nothing_scored else "[green]No alarm.[/green]"


def to_json(found: MonitorResult, report: str, run_ids: tuple[str, ...]) -> str:
    """Return all of it as JSON; NaN is null.

    Args:
        found: what was found.
        report: where the page lies.
        run_ids: of the runs in MLflow, none where nothing was logged.
    """
    whole = {
        "today": found.today.isoformat(),
        "alarms": list(found.alarms),
        "said": found.said,
        "nothing_scored": found.nothing_scored,
        "period": _finding(found.period),
        "freshness": _finding(found.freshness),
        "models": [_model(each) for each in found.models],
        "report": report,
        "run_ids": list(run_ids),
    }
    return json.dumps(whole, ensure_ascii=False, allow_nan=False)


def monitoring_runs(found: MonitorResult, data_version: str) -> tuple[Monitored, ...]:
    """Return the runs to log: one a model, or one of the data alone where no model gave a score."""
    shared = {"today": found.today.isoformat(), "data_version": data_version}
    shared["nothing_scored"] = str(found.nothing_scored).lower()
    of_all = (found.period, found.freshness)
    if not found.models:
        return (_run(f"monitor {found.today}", shared, of_all),)
    made = []
    for each in found.models:
        model = each.watched.model
        tags = {"bundle": model.bundle.digest, "in_use": str(each.watched.in_use).lower()}
        if model.version is not None:
            tags["version"] = str(model.version.number)
        name = f"monitor {found.today} {each.name}"
        made.append(_run(name, shared | tags, (*of_all, *each.findings)))
    return tuple(made)


def _run(name: str, tags: dict[str, str], findings: tuple[Finding, ...]) -> Monitored:
    raised = {finding.name: " ".join(finding.alarms) for finding in findings if finding.alarms}
    silent = {finding.name: finding.summary for finding in findings if not finding.figures}
    lines = []
    for finding in findings:
        lines += [f"**{finding.title}** {finding.summary}", *(f"- Alarm: {alarm}" for alarm in finding.alarms), ""]
    counted = sum(len(finding.alarms) for finding in findings)
    named = {f"{ALARM}{study}": words for study, words in raised.items()}
    named |= {f"{NOT_MEASURED}{study}": words for study, words in silent.items()}
    return Monitored(name, {**tags, "alarms": str(counted), **named}, "\n".join(lines), result_figures(findings))


def _model(each: ModelResult) -> dict[str, Any]:
    model = each.watched.model
    return {
        "bundle": model.bundle.digest,
        "version": None if model.version is None else model.version.number,
        "in_use": each.watched.in_use,
        "findings": [_finding(finding) for finding in each.findings],
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "name": finding.name,
        "title": finding.title,
        "said": finding.summary,
        "figures": dict(finding.figures),
        "tables": {title: _records(frame) for title, frame in finding.tables.items()},
        "alarms": list(finding.alarms),
    }


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): _plain_text(value) for name, value in row.items()} for row in frame.to_dict("records")]


def _plain_text(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def _cell(name: str, shape: str, beside: str = "") -> Callable[[Figures], str]:
    """Return what writes a figure, its interval and one beside it into a shape; a dash where it was not measured."""

    def write(found: Figures) -> str:
        if name not in found:
            return _NOTHING
        ends = {end: found.get(f"{name}_{end}", math.nan) for end in ("low", "high")}
        return shape.format(value=found[name], beside=found.get(beside, math.nan), **ends)

    return write


_LINES: Final[Mapping[str, Callable[[Figures], str]]] = {
    "answers, recent ones": _cell("answers.given", "{value:,.0f}, {beside:,.0f}", "answers.recent"),
    "PSI of the score": _cell("drift.score_psi", "{value:.3f} ({low:.3f} to {high:.3f})"),
    "features surely moved": _cell("drift.features_surely_moved", "{value:.0f}"),
    "matured loans, bad": _cell("vintages.matured", "{value:,.0f}, {beside:,.0f}", "vintages.bad"),
    "open loans, bad so far": _cell("vintages.open", "{value:,.0f}, {beside:,.0f}", "vintages.bad_so_far"),
    "observed over expected": _cell("calibration.observed_over_expected", "{value:.2f} ({low:.2f} to {high:.2f})"),
    "calibration slope": _cell("calibration.slope", "{value:.2f} ({low:.2f} to {high:.2f})"),
    "AUC": _cell("vintages.auc", "{value:.3f} ({low:.3f} to {high:.3f})"),
}
"""The lines of the short table, and how each is written."""

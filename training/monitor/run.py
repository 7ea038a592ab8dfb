"""A run of monitoring: the studies of every model that issued scores, and the result as table and MLflow runs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Final

from rich.markup import escape
from rich.table import Table

from training.evidence.study import Finding
from training.holdout import label_config
from training.labels import LabelConfig
from training.monitor.availability import freshness, period, request_outcomes
from training.monitor.calibration import calibration
from training.monitor.drift import drift
from training.monitor.inputs import Outcomes, load_outcomes
from training.monitor.performance import shadow, vintages
from training.monitor.score_log import KnownModels, short_digest
from training.monitor.subject import MonitoredModel
from training.registry import MonitoringRun, finding_tags

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import RenderableType

    from scoring import Bundle
    from training.config import MonitorConfig
    from training.console import Step
    from training.monitor.subject import References

STUDIES: Final = (request_outcomes, drift, vintages, calibration, shadow)
"""The studies of each model, in the order of the report."""


@dataclass(frozen=True)
class MonitorInputs:
    """What a run of monitoring reads.

    Attributes:
        scores: a frame of `SCORES` as `select_scores` returns it.
        shadow: a frame of `SHADOW`.
        models: the models that issued the scores.
        champion: the bundle of the champion, None without one.
        references: access to training populations; their source is also that of outcomes.
        today: the midnight of monitoring.
        selected: the digest of a bundle whose alarms always count, like the champion's.
    """

    scores: pd.DataFrame
    shadow: pd.DataFrame
    models: KnownModels
    champion: Bundle | None
    references: References
    today: date
    selected: str = ""


@dataclass(frozen=True)
class ModelResult:
    """The results of one model."""

    monitored: MonitoredModel
    findings: tuple[Finding, ...]

    @property
    def alarms(self) -> tuple[str, ...]:
        """Alarms of all studies; they count only if the model is in use."""
        return tuple(alarm for finding in self.findings for alarm in finding.alarms)

    @property
    def name(self) -> str:
        """Display name of the model."""
        return self.monitored.model.name


@dataclass(frozen=True)
class MonitorResult:
    """The result of a run of monitoring.

    Attributes:
        today: the midnight of monitoring.
        period: the number of scores in the analysis period.
        freshness: the age of the data.
        models: the champion first, then the models in use, then by the date of the latest score.
        problems: what could not be monitored or logged, and why; each is an alarm.
    """

    today: date
    period: Finding
    freshness: Finding
    models: tuple[ModelResult, ...]
    problems: tuple[str, ...] = ()

    @property
    def nothing_scored(self) -> bool:
        """Whether no model issued a score in the analysis period, so that no study could raise an alarm."""
        return self.period.figures["scored"] == 0

    @property
    def notice(self) -> str:
        """Explanation if nothing was scored; else empty."""
        return self.period.summary if self.nothing_scored else ""

    @property
    def alarms(self) -> tuple[str, ...]:
        """Every alarm that counts, with the name of its model; alarms of models not in use are in their part only."""
        in_use = (result for result in self.models if result.monitored.in_use)
        of_models = (f"{result.name.capitalize()}: {alarm}" for result in in_use for alarm in result.alarms)
        return (*self.problems, *self.freshness.alarms, *of_models)


def monitor(inputs: MonitorInputs, config: MonitorConfig, step: Step = lambda _: None) -> MonitorResult:
    """Run the studies of every model, and check the age of the data.

    `step` receives the name of each step.

    Raises:
        LabelError: the label table of outcomes cannot be read.
        StoreError: the operating data cannot be read.
    """
    results = [ModelResult(each, tuple(_study(each, step))) for each in _monitored_models(inputs, config)]
    results.sort(key=_rank, reverse=True)
    step("age of the data")
    store = inputs.references.source.store
    bundle = inputs.champion or (results[0].monitored.model.bundle if results else None)
    return MonitorResult(
        inputs.today,
        period(inputs.scores, inputs.today, config.drift.days),
        freshness(store.covers_through, inputs.today, bundle, config.freshness, by_store=not store.covers_all_stores),
        tuple(results),
        tuple(_problems(inputs)),
    )


def _rank(result: ModelResult) -> tuple[bool, bool, pd.Timestamp]:
    monitored = result.monitored
    return monitored.is_selected, monitored.in_use, monitored.scores["as_of"].max()


def _monitored_models(inputs: MonitorInputs, config: MonitorConfig) -> Iterator[MonitoredModel]:
    loaded: dict[tuple[str, LabelConfig], Outcomes] = {}
    source = inputs.references.source
    selected = {inputs.selected, inputs.champion.digest if inputs.champion is not None else ""}
    for digest, model in inputs.models.by_digest.items():
        labels = LabelConfig() if model.version is None else label_config(model.version)
        definition = model.bundle.policy.default_definition
        if (definition, labels) not in loaded:
            loaded[definition, labels] = load_outcomes(source.store, definition, inputs.today, source.table, labels)
        yield MonitoredModel(
            model,
            inputs.scores[inputs.scores["model"] == digest].reset_index(drop=True),
            loaded[definition, labels],
            inputs.shadow,
            inputs.references,
            inputs.today,
            config,
            is_selected=digest in selected,
        )


def _study(monitored: MonitoredModel, step: Step) -> Iterator[Finding]:
    for study in STUDIES:
        step(f"{monitored.model.name}: {study.__name__.replace('_', ' ')}")
        yield study(monitored)


def _problems(inputs: MonitorInputs) -> Iterator[str]:
    if inputs.models.registry_error:
        yield f"{inputs.models.registry_error} Versions are unknown, and nothing is logged to MLflow."
    for digest in inputs.models.missing:
        yield (
            f"{int((inputs.scores['model'] == digest).sum()):,} scores are not monitored, because their bundle "
            f"{short_digest(digest)} is neither stored nor registered. Restore it from a backup of the state folder."
        )


def result_figures(findings: tuple[Finding, ...]) -> dict[str, float]:
    """Return the figures of all studies, such as `drift.score_psi`."""
    return {f"{finding.name}.{name}": value for finding in findings for name, value in finding.figures.items()}


def result_tables(result: MonitorResult) -> Iterator[RenderableType]:
    """Yield the output for a terminal: a column for each model, then every alarm that counts."""
    if result.notice:
        yield result.notice
    if result.models:
        columns = [each.name if each.monitored.in_use else f"{each.name}, not in use" for each in result.models]
        table = Table("", *columns, box=None, header_style="bold")
        figures = [result_figures(each.findings) for each in result.models]
        for label, (name, template, second) in _ROWS.items():
            table.add_row(label, *(_cell(values, name, template, second) for values in figures))
        yield table
    stale = result.freshness.figures["stale_tables"]
    state = f"{stale:.0f} tables are stale or missing" if stale else "every table is fresh"
    yield f"Data as of {result.today}: {state}."
    for alarm in result.alarms:
        yield f"[red]Alarm[/red] {escape(alarm)}"
    if not result.alarms:
        yield "No alarm, but nothing was scored." if result.nothing_scored else "[green]No alarm.[/green]"


_COUNTS: Final = "{value:,.0f}, {second:,.0f}"
_ROWS: Final[Mapping[str, tuple[str, str, str]]] = {
    "assessments, recent": ("answers.given", _COUNTS, "answers.recent"),
    "PSI of the score": ("drift.score_psi", "{value:.3f} ({low:.3f} to {high:.3f})", ""),
    "features with drift": ("drift.features_surely_moved", "{value:.0f}", ""),
    "matured loans, bad": ("vintages.matured", _COUNTS, "vintages.bad"),
    "open loans, bad so far": ("vintages.open", _COUNTS, "vintages.bad_so_far"),
    "observed over expected": ("calibration.observed_over_expected", "{value:.2f} ({low:.2f} to {high:.2f})", ""),
    "calibration slope": ("calibration.slope", "{value:.2f} ({low:.2f} to {high:.2f})", ""),
    "AUC": ("vintages.auc", "{value:.3f} ({low:.3f} to {high:.3f})", ""),
}
"""The rows of the terminal table: figure, template, and a second figure in the same cell."""


def _cell(figures: Mapping[str, float], name: str, template: str, second: str) -> str:
    if name not in figures:
        return "–"
    ends = {end: figures.get(f"{name}_{end}", math.nan) for end in ("low", "high")}
    return template.format(value=figures[name], second=figures.get(second, math.nan), **ends)


def monitoring_runs(result: MonitorResult, data_version: str) -> tuple[MonitoringRun, ...]:
    """Return the MLflow runs to log: one for each model, or one for the data if no model issued a score."""
    tags = {
        "today": result.today.isoformat(),
        "data_version": data_version,
        "nothing_scored": str(result.nothing_scored).lower(),
    }
    name, shared = f"monitor {result.today}", (result.period, result.freshness)
    if not result.models:
        return (_monitoring_run(name, tags, shared),)
    runs = []
    for each in result.models:
        model = each.monitored.model
        own = {"bundle": model.bundle.digest, "in_use": str(each.monitored.in_use).lower()}
        if model.version is not None:
            own["version"] = str(model.version.number)
        runs.append(_monitoring_run(f"{name} {each.name}", tags | own, (*shared, *each.findings)))
    return tuple(runs)


def _monitoring_run(name: str, tags: dict[str, str], findings: tuple[Finding, ...]) -> MonitoringRun:
    note = []
    for finding in findings:
        note += [f"**{finding.title}** {finding.summary}", *(f"- Alarm: {alarm}" for alarm in finding.alarms), ""]
        tags = tags | finding_tags(finding)
    count = sum(len(finding.alarms) for finding in findings)
    return MonitoringRun(name, {**tags, "alarms": str(count)}, "\n".join(note), result_figures(findings))

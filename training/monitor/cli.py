"""The command `monitor`: monitors the models in use, writes a report, and ends with an exit code for a scheduler.

Training may not read the score log of the service; `sellerscore.py` passes a `ScoreSource`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from features.home import state_folder
from training.console import OutputFormat, OutputOption

if TYPE_CHECKING:
    from training.config import MonitorConfig
    from training.monitor.run import MonitorInputs, MonitorResult
    from training.monitor.score_log import ScoreSource
    from training.registry import Registry

_Portfolio = Annotated[
    Path | None, typer.Option(help="File of `score-portfolio` to monitor instead of the scores of the service.")
]
_AsOf = Annotated[
    datetime | None,
    typer.Option(formats=["%Y-%m-%d"], help="Date of the portfolio, unless the file has a column as_of."),
]
_PortfolioModel = Annotated[
    str | None, typer.Option(help="Version or alias that scored the portfolio. Default: the champion.")
]
_Today = Annotated[
    datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Date of monitoring (UTC); later data are left out.")
]
_Labels = Annotated[Path | None, typer.Option(help="Label table that the model was trained on, if any.")]
_Config = Annotated[
    Path | None, typer.Option(help="TOML file with thresholds; --show-config prints all with their defaults.")
]
_Report = Annotated[
    Path | None, typer.Option(help="File of the HTML report. Default: monitor/DATE.html in the state folder.")
]
_ShowConfig = Annotated[bool, typer.Option("--show-config", help="Print the thresholds as TOML and exit.")]


@dataclass(frozen=True)
class _Request:
    """The options of the command."""

    source: ScoreSource
    registry: Registry
    portfolio: Path | None
    as_of: date | None
    portfolio_model: str | None
    labels: Path | None
    today: date
    config: MonitorConfig


def monitor_app(source: Callable[[], ScoreSource]) -> typer.Typer:
    """Return the command for a score source, which is opened when the command runs.

    Example: `app.add_typer(monitor_app(open_source))`.
    """
    app = typer.Typer()

    @app.command()
    def monitor(
        *,
        portfolio: _Portfolio = None,
        as_of: _AsOf = None,
        portfolio_model: _PortfolioModel = None,
        today: _Today = None,
        labels: _Labels = None,
        config: _Config = None,
        report: _Report = None,
        show_config: _ShowConfig = False,
        output: OutputOption = OutputFormat.TABLE,
    ) -> None:
        """Monitor drift, performance by vintage, calibration and freshness of the data. Writes an HTML report.

        Exit codes: 0 no alarm; 1 alarm, also if MLflow cannot be reached (the report is still written); 2 invalid
        input; 3 nothing was scored in the analysis period and there is no other alarm.

        Example: sellerscore monitor
        Example: sellerscore monitor --portfolio all.csv --today 2026-06-01 --output json
        """
        from datetime import UTC

        from training.config import MonitorConfig
        from training.registry import Registry
        from training.settings import read_settings

        thresholds = read_settings(config, MonitorConfig)
        if show_config:
            typer.echo(thresholds.as_toml(), nl=False)
            return
        day = (today or datetime.now(UTC)).date()
        page = _writable(report, day)
        as_of_day = None if as_of is None else as_of.date()
        registry = Registry.in_folder(state_folder())
        request = _Request(source(), registry, portfolio, as_of_day, portfolio_model, labels, day, thresholds)
        result = _monitor(request, page, output)
        if result.alarms:
            raise typer.Exit(1)
        raise typer.Exit(3 if result.nothing_scored else 0)

    return app


def _writable(report: Path | None, today: date) -> Path:
    """Return the path of the report, checked before any work."""
    from training.errors import MonitorError

    if report is None:
        report = state_folder() / "monitor" / f"{today}.html"
        report.parent.mkdir(parents=True, exist_ok=True)
    if not report.parent.is_dir():
        raise MonitorError(
            f"The folder {report.parent} does not exist. Create it, or choose another one for the report."
        )
    if report.is_dir():
        raise MonitorError(f"The report {report} is a folder. Give the path of a file.")
    return report


def _monitor(request: _Request, page: Path, output: OutputFormat) -> MonitorResult:
    from rich.console import Console

    from features.store.folders import replace_text
    from training.monitor.report import render, to_json
    from training.monitor.run import monitor, result_tables

    with Console(stderr=True).status("Reading scores") as status:
        inputs = _read_inputs(request)
        result = monitor(inputs, request.config, lambda step: status.update(f"Monitoring {step}"))
        status.update("Logging to MLflow")
        result, run_ids = _log(request, inputs, result)
        replace_text(page, render(result, request.config))
    if output is OutputFormat.JSON:
        typer.echo(to_json(result, str(page), run_ids))
        return result
    console = Console()
    for part in result_tables(result):
        console.print(part, soft_wrap=isinstance(part, str))
    console.print(f"Report: {page}", soft_wrap=True, markup=False)
    return result


def _read_inputs(request: _Request) -> MonitorInputs:
    from features.ingest import open_store
    from training.errors import MonitorError
    from training.holdout import LabelSource
    from training.monitor.inputs import read_portfolio
    from training.monitor.run import MonitorInputs
    from training.monitor.score_log import find_models, select_scores
    from training.monitor.subject import References
    from training.registry import find_version, load_bundle

    store = open_store(state_folder() / "operating")
    champion, selected = request.source.champion(), ""
    if request.portfolio is None:
        scores = request.source.scores()
    else:
        bundle = champion
        if request.portfolio_model is not None:
            bundle = load_bundle(request.registry, find_version(request.registry, request.portfolio_model))
        if bundle is None:
            raise MonitorError("There is no champion. Name the model of the portfolio with --portfolio-model.")
        scores = read_portfolio(request.portfolio, bundle, request.as_of, request.config.portfolio.validity_days)
        selected = bundle.digest
    scores = select_scores(scores, request.today)
    return MonitorInputs(
        scores=scores,
        shadow=request.source.shadow(),
        models=find_models(scores["model"], request.source, request.registry),
        champion=champion,
        references=References(LabelSource(store, request.labels, request.today), state_folder() / "monitor"),
        today=request.today,
        selected=selected,
    )


def _log(request: _Request, inputs: MonitorInputs, result: MonitorResult) -> tuple[MonitorResult, tuple[str, ...]]:
    """Log the result to MLflow, and return it with the run IDs; if the registry cannot be reached, add an alarm."""
    from dataclasses import replace

    from training.errors import RegistryError
    from training.monitor.report import render, to_json
    from training.monitor.run import monitoring_runs
    from training.registry import log_monitoring

    if inputs.models.registry_error:
        return result, ()
    files = {"report.html": render(result, request.config), "monitor.json": to_json(result, "report.html", ())}
    runs = monitoring_runs(result, inputs.references.source.store.version)
    try:
        return result, log_monitoring(request.registry, runs, files)
    except RegistryError as error:
        problem = f"{error} Nothing was logged to MLflow; the report is complete."
        return replace(result, problems=(*result.problems, problem)), ()

"""The command `monitor`: watches the models at work, writes a report, and tells a scheduler whether to wake somebody.

The scores that were given are the service's, which training may not read: whoever mounts the command hands them over.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from features.home import state_folder

if TYPE_CHECKING:
    from scoring import Bundle
    from training.monitor.config import MonitorConfig
    from training.monitor.ledger import Ledger
    from training.monitor.watch import Given, Monitoring
    from training.registry import Registry

_Portfolio = Annotated[
    Path | None, typer.Option(help="A file of `score-portfolio`, to monitor instead of the scores that were given.")
]
_AsOf = Annotated[
    datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The midnight of the portfolio; or a column as_of in it.")
]
_PortfolioModel = Annotated[
    str | None,
    typer.Option(help="The version or alias that made the portfolio; the champion unless you say otherwise."),
]
_Today = Annotated[
    datetime | None,
    typer.Option(formats=["%Y-%m-%d"], help="The midnight (UTC) to monitor as of; what came later is left out."),
]
_Labels = Annotated[Path | None, typer.Option(help="The label table that the model was trained on, if it was on one.")]
_Config = Annotated[
    Path | None, typer.Option(help="A TOML file of limits; --show-config prints them all with their defaults.")
]
_Report = Annotated[Path | None, typer.Option(help="The page to write; monitor/DATE.html in the state folder if none.")]


@dataclass(frozen=True)
class _Asked:
    """What the command was asked to look at."""

    ledger: Ledger
    registry: Registry
    portfolio: Path | None
    as_of: date | None
    portfolio_model: str | None
    labels: Path | None
    today: date
    config: MonitorConfig


def mounted(ledger: Callable[[], Ledger]) -> typer.Typer:
    """Return the command over a ledger, which is asked for when the command runs.

    Example: `app.add_typer(mounted(ledger))`.
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
        show_config: Annotated[bool, typer.Option("--show-config", help="Print the limits as TOML and end.")] = False,
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
    ) -> None:
        """Watch the models at work: drift, outcomes by vintage, calibration, age of the data; writes an HTML report.

        Ends with 0 where all is well, 1 with an alarm (also when MLflow is away: the report is written, and says so),
        2 on bad input, 3 where nothing was scored in the days that are looked at (`days` of drift), and no other alarm.

        Example: sellerscore monitor
        Example: sellerscore monitor --portfolio all.csv --as-of 2026-01-01 --today 2026-06-01 --json
        """
        from training.monitor.config import MonitorConfig
        from training.registry import Registry
        from training.settings import read_settings

        limits = read_settings(config, MonitorConfig)
        if show_config:
            typer.echo(limits.as_toml(), nl=False)
            return
        day = _day(today) or _today()
        page = _writable(report, day)
        registry = Registry.in_folder(state_folder())
        asked = _Asked(ledger(), registry, portfolio, _day(as_of), portfolio_model, labels, day, limits)
        raise typer.Exit(_status(_monitored(asked, page, as_json=as_json)))

    return app


def _status(found: Monitoring) -> int:
    """Return what the command ends with; 2 is bad input's, which is raised."""
    if found.alarms:
        return 1
    return 3 if found.nothing_scored else 0


def _day(given: datetime | None) -> date | None:
    return None if given is None else given.date()


def _today() -> date:
    from datetime import UTC

    return datetime.now(UTC).date()


def _writable(report: Path | None, today: date) -> Path:
    """Return where the page goes, checked before any work."""
    from training.monitor.errors import MonitorError

    if report is None:
        report = state_folder() / "monitor" / f"{today}.html"
        report.parent.mkdir(parents=True, exist_ok=True)
    if not report.parent.is_dir():
        raise MonitorError(f"The folder {report.parent} is not there; make it, or name another for the report.")
    if report.is_dir():
        raise MonitorError(f"The report {report} is a folder; name a file.")
    return report


def _monitored(asked: _Asked, page: Path, *, as_json: bool) -> Monitoring:
    from rich.console import Console

    from features.store.folders import replace_text
    from training.monitor.report import render
    from training.monitor.show import as_json as shown_as_json
    from training.monitor.show import tables
    from training.monitor.watch import monitor

    with Console(stderr=True).status("Reading the scores that were given") as status:
        given = _given(asked)
        found = monitor(given, asked.config, lambda step: status.update(f"Monitoring {step}"))
        status.update("Logging to MLflow")
        found, run_ids = _logged(asked, given, found)
        replace_text(page, render(found, asked.config))
    if as_json:
        typer.echo(shown_as_json(found, str(page), run_ids))
        return found
    console = Console()
    for part in tables(found):
        console.print(part, soft_wrap=isinstance(part, str))
    console.print(f"Report: {page}", soft_wrap=True, markup=False)
    return found


def _given(asked: _Asked) -> Given:
    from features.ingest import open_store
    from training.monitor.ledger import until
    from training.monitor.models import models
    from training.monitor.portfolio import read_portfolio
    from training.monitor.reference import References
    from training.monitor.watch import Given
    from training.unseen import Source

    store = open_store(state_folder() / "operating")
    champion, asked_for = asked.ledger.champion(), ""
    if asked.portfolio is None:
        scores = asked.ledger.scores()
    else:
        maker = _maker(asked, champion)
        scores = read_portfolio(asked.portfolio, maker, asked.as_of, asked.config.portfolio.validity_days)
        asked_for = maker.digest
    known = until(scores, asked.today)
    return Given(
        scores=known,
        shadow=asked.ledger.shadow(),
        models=models(known["model"], asked.ledger, asked.registry),
        champion=champion,
        references=References(Source(store, asked.labels, asked.today), state_folder() / "monitor"),
        today=asked.today,
        asked_for=asked_for,
    )


def _maker(asked: _Asked, champion: Bundle | None) -> Bundle:
    """Return the bundle that made the portfolio."""
    from training.monitor.errors import MonitorError
    from training.registry import find, load_bundle

    if asked.portfolio_model is not None:
        return load_bundle(asked.registry, find(asked.registry, asked.portfolio_model))
    if champion is None:
        raise MonitorError("There is no champion that could have made the portfolio; name --portfolio-model.")
    return champion


def _logged(asked: _Asked, given: Given, found: Monitoring) -> tuple[Monitoring, tuple[str, ...]]:
    """Log what was found, and return it with the ids of its runs; a registry that is away is an alarm."""
    from dataclasses import replace

    from training.errors import RegistryError
    from training.monitor.report import render
    from training.monitor.show import as_json, runs
    from training.registry.monitoring import log_monitoring

    if given.models.registry_away:
        return found, ()
    files = {"report.html": render(found, asked.config), "monitor.json": as_json(found, "report.html", ())}
    try:
        return found, log_monitoring(asked.registry, runs(found, given.references.source.store.version), files)
    except RegistryError as error:
        said = f"{error} What was found is in the report alone."
        return replace(found, troubles=(*found.troubles, said)), ()

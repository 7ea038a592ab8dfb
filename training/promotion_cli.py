"""Comparisons and gates as tables in the terminal.

Commands about who is champion: compare, promote, roll back, challenge.

Heavy libraries are imported inside the commands. Errors are raised; `sellerscore.py` turns them into one sentence.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from features.home import state_folder
from training.gates import Check, GateVerdict

if TYPE_CHECKING:
    from rich.console import RenderableType

    from training.compare import Comparison, Paired
    from training.gates import Check
    from training.holdout import LabelSource
    from training.promotion import Change


_COLOURS = {GateVerdict.PASSED: "green", GateVerdict.FAILED: "red", GateVerdict.DOES_NOT_APPLY: "yellow"}


def comparison_tables(found: Comparison, candidate: int, champion: int) -> Iterator[RenderableType]:
    """Yield what a comparison found: figures, agreement of the scores, and AUC by segment.

    Example: `Console().print(*comparison_tables(found, 4, 3))`.
    """
    names = (f"version {candidate}", f"version {champion}", "difference (95% interval)")
    yield f"On {found.rows:,} loans that neither was trained on, {found.bad:,} of them bad:"
    figures = _table("figure", *names)
    for name, paired in found.figures.items():
        figures.add_row(name, *_cells(paired))
    yield figures
    agreement = found.agreement
    correlation = "none" if agreement.rank_correlation is None else f"{agreement.rank_correlation:.3f}"
    yield (
        f"Scores: rank correlation {correlation}, {agreement.mean_points_apart:.1f} points apart on "
        f"average, within 20 points in {agreement.within_20_points:.1%}, in the same band in {agreement.same_band:.1%}."
    )
    segments = _table("AUC where", "loans", "bad", *names)
    for each in found.segments:
        cells = ("too few to judge", "", "") if each.auc is None else _cells(each.auc)
        segments.add_row(f"{each.by} {each.value}", f"{each.rows:,}", f"{each.bad:,}", *cells)
    yield segments


def gate_table(checks: Iterable[Check]) -> Table:
    """Return a line for each gate: what it says and what it saw."""
    table = Table("gate", "", "what it saw", box=None, header_style="bold")
    for check in checks:
        table.add_row(check.gate, f"[{_COLOURS[check.verdict]}]{check.verdict}", check.said)
    return table


def _table(first: str, *others: str) -> Table:
    table = Table(first, box=None, header_style="bold")
    for name in others:
        table.add_column(name, justify="right")
    return table


def _cells(paired: Paired) -> tuple[str, str, str]:
    low, high = paired.difference.low, paired.difference.high
    difference = f"{paired.difference.value:+.3f} ({low:+.3f} to {high:+.3f})"
    return f"{paired.candidate:.3f}", f"{paired.champion:.3f}", difference


app = typer.Typer()


_AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


_ApprovedBy = Annotated[str, typer.Option(help="Who wants it; for `promote` never the one who trained.")]


_Reason = Annotated[str, typer.Option(help="Why; it is recorded with the name and the time.")]


_Labels = Annotated[Path | None, typer.Option(help="The label table that the model was trained on, if it was on one.")]


@app.command()
def compare(
    candidate: Annotated[str, typer.Argument(help="A version or an alias.")],
    champion: Annotated[str, typer.Argument(help="The version or alias to compare it with.")] = "champion",
    *,
    labels: _Labels = None,
    as_json: _AsJson = False,
) -> None:
    """Compare two models on the same loans, which neither was trained on, with 95% intervals of the difference.

    Models of different catalogues are compared on the loans that both were tested on.

    Example: sellerscore compare 4
    Example: sellerscore compare challenger 3 --json
    """
    from training.compare_versions import Contender, compare_versions

    # moved
    from training.console import show_steps
    from training.registry import Registry, find_version

    registry = Registry.in_folder(state_folder())
    with show_steps("Reaching the MLflow registry") as step:
        ours, theirs = find_version(registry, candidate), find_version(registry, champion)
        step("Fetching both bundles")
        contenders = [Contender.load(registry, each) for each in (ours, theirs)]
        step("Comparing on the loans that neither was trained on")
        found = compare_versions(registry, _source(labels), *contenders)
    if as_json:
        typer.echo(json.dumps({"candidate": ours.number, "champion": theirs.number, **asdict(found)}))
        return
    _print_comparison(*comparison_tables(found, ours.number, theirs.number))


@app.command()
def promote(
    version: Annotated[str, typer.Argument(help="A version or an alias; the latest version by default.")] = "latest",
    *,
    approved_by: _ApprovedBy = "",
    reason: _Reason = "",
    gates: Annotated[Path | None, typer.Option(help="A TOML file of limits; --show-gates prints them all.")] = None,
    labels: _Labels = None,
    show_gates: Annotated[bool, typer.Option("--show-gates", help="Print the limits as TOML and end.")] = False,
    as_json: _AsJson = False,
) -> None:
    """Make a version the champion, which the service then scores with, if every gate lets it pass.

    Example: sellerscore promote 4 --approved-by "Wei Zhang" --reason "Better on new sellers, see the comparison"
    Example: sellerscore promote --show-gates > gates.toml; edit it; sellerscore promote 4 --gates gates.toml ...
    """
    # moved
    from training.console import show_steps
    from training.gate_inputs import collect_inputs
    from training.gates import Gates, evaluate_gates
    from training.promotion import Approval
    from training.promotion import promote as move
    from training.registry import Registry, Version
    from training.settings import read_settings

    limits = read_settings(gates, Gates)
    if show_gates:
        typer.echo(limits.as_toml(), nl=False)
        return
    approval = Approval.now(approved_by, reason)
    registry = Registry.in_folder(state_folder())
    with show_steps("Reaching the MLflow registry") as step:

        def ask(candidate: Version, before: Version | None) -> tuple[Check, ...]:
            return evaluate_gates(limits, collect_inputs(registry, _source(labels), candidate, before, step))

        change = move(registry, version, approval, ask)
    if as_json:
        typer.echo(json.dumps(asdict(change)))
        return
    _print_comparison(gate_table(change.checks))
    if change.accepted:
        typer.echo(
            f"Accepted alarms: {', '.join(change.accepted)}; accepted by the gates file, approved by {approval.by}."
        )
    if change.card is not None:
        typer.echo(f"The model card does not show the approval: {change.card}", err=True)
    _print_change(change, f"approved by {approval.by}", "is kept as previous")


@app.command()
def rollback(approved_by: _ApprovedBy = "", reason: _Reason = "", as_json: _AsJson = False) -> None:
    """Make the champion's predecessor champion again; done twice, it goes back further, never forward.

    Example: sellerscore rollback --approved-by "Wei Zhang" --reason "Refund rates read too high since Monday"
    """
    from training.promotion import Approval
    from training.promotion import rollback as move
    from training.registry import Registry

    approval = Approval.now(approved_by, reason)
    change = move(Registry.in_folder(state_folder()), approval)
    if as_json:
        typer.echo(json.dumps(asdict(change)))
        return
    _print_change(change, f"rolled back by {approval.by}", "is withdrawn until it is promoted again")


@app.command()
def challenge(
    version: Annotated[str, typer.Argument(help="A version or an alias; the latest version by default.")] = "latest",
    stop: Annotated[bool, typer.Option("--stop", help="Have no challenger any more.")] = False,
) -> None:
    """Let a version score beside the champion: the service keeps its scores, and no bank ever sees them.

    Example: sellerscore challenge 5
    """
    from training.promotion import challenge as name_challenger
    from training.registry import MODEL_NAME, Registry, set_challenger

    registry = Registry.in_folder(state_folder())
    if stop:
        set_challenger(registry, None)
        typer.echo(f"{MODEL_NAME} has no challenger; a running service keeps its own until it is restarted.")
        return
    number = name_challenger(registry, version)
    typer.echo(f"Version {number} of {MODEL_NAME} is the challenger; restart the service to score with it.")


def _source(labels: Path | None) -> LabelSource:
    from datetime import UTC, datetime

    from features.ingest import open_store
    from training.holdout import LabelSource

    return LabelSource(open_store(state_folder() / "operating"), labels, datetime.now(UTC).date())


def _print_change(change: Change, how: str, then: str) -> None:
    from training.registry import MODEL_NAME

    kept = "" if change.replaced is None else f"; version {change.replaced} {then}"
    typer.echo(f"Version {change.champion} of {MODEL_NAME} is the champion, {how}{kept}.")


def _print_comparison(*parts: object) -> None:
    from rich.console import Console

    console = Console()
    for part in parts:
        console.print(part)

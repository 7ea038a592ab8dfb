"""Commands that compare versions and move the champion: compare, promote, rollback, challenge.

Heavy libraries are imported inside the commands. Errors are raised; `sellerscore.py` prints them as one sentence.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.table import Table

from features.home import state_folder
from training.console import OutputFormat, OutputOption
from training.gates import Check, GateVerdict

if TYPE_CHECKING:
    from rich.console import RenderableType

    from training.compare import Comparison, Paired
    from training.holdout import LabelSource
    from training.promotion import Change

_COLOURS: Final = {GateVerdict.PASSED: "green", GateVerdict.FAILED: "red", GateVerdict.DOES_NOT_APPLY: "yellow"}
_RELOAD: Final = "Running services load it within a minute."

app = typer.Typer()

_Version = Annotated[str, typer.Argument(help="Version number or alias. Default: the latest version.")]
_ApprovedBy = Annotated[str, typer.Option(help="Name of the approver; for `promote` not the trainer.")]
_Reason = Annotated[str, typer.Option(help="Reason, recorded with name and time.")]
_Labels = Annotated[Path | None, typer.Option(help="Label table that the model was trained on, if any.")]
_Gates = Annotated[Path | None, typer.Option(help="TOML file with gate limits; --show-gates prints all of them.")]
_ShowGates = Annotated[bool, typer.Option("--show-gates", help="Print the gate limits as TOML and exit.")]
_Stop = Annotated[bool, typer.Option("--stop", help="Remove the challenger.")]


@app.command()
def compare(
    candidate: Annotated[str, typer.Argument(help="Version number or alias.")],
    champion: Annotated[str, typer.Argument(help="Version number or alias to compare it with.")] = "champion",
    *,
    labels: _Labels = None,
    output: OutputOption = OutputFormat.TABLE,
) -> None:
    """Compare two models on loans that neither was trained on, with 95% intervals of the differences.

    Models of different catalogues are compared on the loans that both were tested on.

    Example: sellerscore compare 4
    Example: sellerscore compare challenger 3 --output json
    """
    from training.compare_versions import Contender, compare_versions
    from training.console import show_steps
    from training.registry import Registry, find_version

    registry = Registry.in_folder(state_folder())
    with show_steps("Reaching the MLflow registry") as step:
        ours, theirs = find_version(registry, candidate), find_version(registry, champion)
        step("Downloading both bundles")
        contenders = [Contender.load(registry, version) for version in (ours, theirs)]
        step("Comparing on the loans that neither was trained on")
        comparison = compare_versions(registry, _source(labels), *contenders)
    if output is OutputFormat.JSON:
        typer.echo(json.dumps({"candidate": ours.number, "champion": theirs.number, **asdict(comparison)}))
        return
    _print(*comparison_tables(comparison, ours.number, theirs.number))


@app.command()
def promote(
    version: _Version = "latest",
    *,
    approved_by: _ApprovedBy = "",
    reason: _Reason = "",
    gates: _Gates = None,
    labels: _Labels = None,
    show_gates: _ShowGates = False,
    output: OutputOption = OutputFormat.TABLE,
) -> None:
    """Make a version the champion, which the service scores with, if all gates pass.

    Example: sellerscore promote 4 --approved-by "Wei Zhang" --reason "Better on new sellers, see the comparison"
    Example: sellerscore promote --show-gates > gates.toml; edit it; sellerscore promote 4 --gates gates.toml ...
    """
    from training.console import show_steps
    from training.gate_inputs import collect_inputs
    from training.gates import Gates, evaluate_gates
    from training.promotion import Approval
    from training.promotion import promote as promote_version
    from training.registry import Registry, Version
    from training.settings import read_settings

    limits = read_settings(gates, Gates)
    if show_gates:
        typer.echo(limits.as_toml(), nl=False)
        return
    approval = Approval.now(approved_by, reason)
    registry = Registry.in_folder(state_folder())
    with show_steps("Reaching the MLflow registry") as step:

        def evaluate(candidate: Version, champion: Version | None) -> tuple[Check, ...]:
            return evaluate_gates(limits, collect_inputs(registry, _source(labels), candidate, champion, step))

        change = promote_version(registry, version, approval, evaluate)
    if output is OutputFormat.JSON:
        typer.echo(json.dumps(change.fields()))
        return
    _print(gate_table(change.checks))
    if change.accepted:
        typer.echo(
            f"Accepted alarms: {', '.join(change.accepted)}. The gates file accepts them; approved by {approval.by}."
        )
    if change.card is not None:
        typer.echo(f"The model card does not show the approval: {change.card}", err=True)
    _print_change(change, f"approved by {approval.by}", "is now the alias previous")


@app.command()
def rollback(approved_by: _ApprovedBy = "", reason: _Reason = "", output: OutputOption = OutputFormat.TABLE) -> None:
    """Make the champion's predecessor the champion again; a second rollback goes back further, never forward.

    Example: sellerscore rollback --approved-by "Wei Zhang" --reason "Refund rates read too high since Monday"
    """
    from training.promotion import Approval
    from training.promotion import rollback as roll_back
    from training.registry import Registry

    approval = Approval.now(approved_by, reason)
    change = roll_back(Registry.in_folder(state_folder()), approval)
    if output is OutputFormat.JSON:
        typer.echo(json.dumps(change.fields()))
        return
    _print_change(change, f"rolled back by {approval.by}", "is withdrawn until it is promoted again")


@app.command()
def challenge(version: _Version = "latest", stop: _Stop = False) -> None:
    """Let a version score the same requests as the champion; the service stores its scores, and no bank sees them.

    Example: sellerscore challenge 5
    """
    from training.promotion import challenge as set_challenger_version
    from training.registry import MODEL_NAME, Registry, set_challenger

    registry = Registry.in_folder(state_folder())
    if stop:
        set_challenger(registry, None)
        typer.echo(f"{MODEL_NAME} has no challenger. Running services stop using it within a minute.")
        return
    number = set_challenger_version(registry, version)
    typer.echo(f"Version {number} of {MODEL_NAME} is the challenger. {_RELOAD}")


def comparison_tables(comparison: Comparison, candidate: int, champion: int) -> Iterator[RenderableType]:
    """Yield the output of a comparison: metrics, agreement of the scores, and AUC by segment.

    Example: `Console().print(*comparison_tables(comparison, 4, 3))`.
    """
    names = (f"version {candidate}", f"version {champion}", "difference (95% interval)")
    yield f"{comparison.rows:,} loans that neither was trained on, {comparison.bad:,} of them bad:"
    metrics = _table("metric", *names)
    for name, paired in comparison.figures.items():
        metrics.add_row(name, *_cells(paired))
    yield metrics
    agreement = comparison.agreement
    correlation = "none" if agreement.rank_correlation is None else f"{agreement.rank_correlation:.3f}"
    yield (
        f"Scores: rank correlation {correlation}, mean distance {agreement.mean_points_apart:.1f} points, within 20 "
        f"points {agreement.within_20_points:.1%}, same band {agreement.same_band:.1%}."
    )
    segments = _table("AUC by segment", "loans", "bad", *names)
    for segment in comparison.segments:
        cells = ("too few loans", "", "") if segment.auc is None else _cells(segment.auc)
        segments.add_row(f"{segment.by} {segment.value}", f"{segment.rows:,}", f"{segment.bad:,}", *cells)
    yield segments


def gate_table(checks: Iterable[Check]) -> Table:
    """Return a table with the verdict and the summary of each gate."""
    table = Table("gate", "verdict", "summary", box=None, header_style="bold")
    for check in checks:
        table.add_row(check.gate, f"[{_COLOURS[check.verdict]}]{check.verdict}", check.summary)
    return table


def _table(first: str, *columns: str) -> Table:
    table = Table(first, box=None, header_style="bold")
    for name in columns:
        table.add_column(name, justify="right")
    return table


def _cells(paired: Paired) -> tuple[str, str, str]:
    difference = paired.difference
    text = f"{difference.value:+.3f} ({difference.low:+.3f} to {difference.high:+.3f})"
    return f"{paired.candidate:.3f}", f"{paired.champion:.3f}", text


def _source(labels: Path | None) -> LabelSource:
    from datetime import UTC, datetime

    from features.ingest import open_store
    from training.holdout import LabelSource

    return LabelSource(open_store(state_folder() / "operating"), labels, datetime.now(UTC).date())


def _print_change(change: Change, how: str, then: str) -> None:
    from training.registry import MODEL_NAME

    before = "" if change.replaced is None else f"; version {change.replaced} {then}"
    typer.echo(f"Version {change.champion} of {MODEL_NAME} is the champion, {how}{before}. {_RELOAD}")


def _print(*parts: object) -> None:
    from rich.console import Console

    console = Console()
    for part in parts:
        console.print(part)

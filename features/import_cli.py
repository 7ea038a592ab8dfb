"""The command `sellerscore import`: run, check and list mappings, and write a template."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from features.output import Output, OutputOption, print_json
from features.wording import count_of

if TYPE_CHECKING:
    from features.importers import Check, ImportReport

app = typer.Typer()


@app.command("import")
def import_export(
    name: Annotated[
        str | None, typer.Argument(help="A shipped importer (see --list), or the path of your own mapping folder.")
    ] = None,
    source: Annotated[Path | None, typer.Argument(help="The folder of the export, or its only file.")] = None,
    *,
    out: Annotated[Path | None, typer.Option(help="The delivery folder to write.")] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; report what `ingest` would accept and quarantine.")
    ] = False,
    usd_per_unit: Annotated[
        float | None, typer.Option(help="US dollars for one unit of the export's currency, recorded in the delivery.")
    ] = None,
    fx_rates: Annotated[
        Path | None, typer.Option(help="A file with rates by day: day, currency, usd_per_unit, known_at.")
    ] = None,
    covers_through: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"],
            metavar="DATE",
            help="The midnight through which the export is complete; by default that after its latest event.",
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Set a parameter of the importer; repeatable."),
    ] = None,
    list_all: Annotated[bool, typer.Option("--list", help="List the shipped importers and their parameters.")] = False,
    template: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write a commented mapping to edit into a new folder.")
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Convert the export of a shop or marketplace into a delivery for `ingest`. Every source row is counted.

    Example: sellerscore import koubei data/koubei --out var/koubei --usd-per-unit 0.15

    Check it first: sellerscore import koubei data/koubei --usd-per-unit 0.15 --check

    Your own mapping: sellerscore import --template my-shop, then sellerscore import my-shop EXPORT --check
    """
    if list_all:
        _print_importers(output)
        return
    if template is not None:
        _write_template(template)
        return
    if name is None or source is None:
        raise typer.BadParameter("Name an importer and the export: sellerscore import NAME SOURCE --out DELIVERY.")
    if check == (out is not None):
        raise typer.BadParameter("Give --out DELIVERY to write a delivery, or --check to write nothing.")

    from dataclasses import asdict

    from rich.console import Console

    from features.importers import Check, ImportOptions, check_mapping, find_mapping, import_delivery

    mapping = find_mapping(name)
    covered = None if covers_through is None else covers_through.date()
    options = ImportOptions(_settings(settings or []), usd_per_unit, fx_rates, covered)
    with Console(stderr=True).status("Starting") as status:
        if out is not None:
            result: Check | ImportReport = import_delivery(mapping, source, out, options, status.update)
        else:
            result = check_mapping(mapping, source, options, status.update)
    if output is Output.JSON:
        print_json(asdict(result))
    else:
        typer.echo(_format(result) if isinstance(result, Check) else str(result))
    if isinstance(result, Check) and not result.clean:
        raise typer.Exit(2)


def _settings(texts: list[str]) -> dict[str, str]:
    settings = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise typer.BadParameter(f"--set {text} is not NAME=VALUE, such as --set country=GB.")
        settings[name] = value
    return settings


def _print_importers(output: Output) -> None:
    from dataclasses import asdict

    from features.importers import read_mapping, shipped_mappings

    mappings = [read_mapping(folder) for folder in shipped_mappings().values()]
    if output is Output.JSON:
        names = ("name", "title", "description", "sources", "parameters", "absent")
        print_json([{name: asdict(each)[name] for name in names} for each in mappings])
        return
    for each in mappings:
        typer.echo(f"{each.name}: {each.title}")
        for source in each.sources:
            typer.echo(f"  reads {' or '.join(source.files)}{'' if source.required else ' (optional)'}")
        for parameter in each.parameters:
            default = "required" if parameter.default is None else f"default {parameter.default}"
            typer.echo(f"  --set {parameter.name}=...  {parameter.help} ({default})")


def _write_template(folder: Path) -> None:
    from features.importers import write_template

    files = write_template(folder)
    typer.echo(f"Wrote {', '.join(files)} to {folder}. Edit them, then run:")
    typer.echo(f"  sellerscore import {folder} EXPORT --check")


def _format(checked: Check) -> str:
    lines = [str(checked.report), ""]
    for table, written in checked.report.written.items():
        lines.append(f"{table}: {checked.accepted.get(table, 0):,} of {count_of(written, 'row')} would be accepted")
        if checked.duplicates.get(table):
            lines.append(f"  {checked.duplicates[table]:,} duplicates")
        for each in checked.problems:
            if each.table == table:
                example = "" if each.example is None else f" Example: {each.example!r}."
                lines.append(f"  {each.rows:,} {each.rule}: {each.wrong}{example} {each.permitted}")
    lines += [f"{each.table}: not written ({each.need}). Missing without it: {each.costs}" for each in checked.missing]
    lines.append("No row would be quarantined." if checked.clean else "Some rows would be quarantined, see above.")
    return "\n".join(lines)

"""The command `sellerscore ledger retain`."""

from __future__ import annotations

import json
from typing import Annotated

import typer


def retain(
    days: Annotated[
        int | None,
        typer.Option(min=1, help="Days for which contents are kept; SELLERSCORE_RETENTION_DAYS if none is given."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be dropped, and change nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for a program.")] = False,
) -> None:
    """Drop what scores were after their time: inputs, answer, receipt. That they were given stays provable.

    Run it once a day, by a scheduler; it may run while the service does. It cannot be undone.

    Example: sellerscore ledger retain --days 3650 --dry-run
    """
    from datetime import UTC, datetime, timedelta

    from api.errors import InputError
    from api.ledger.opening import open_ledger
    from api.progress import counting
    from api.retention import due
    from api.retention import retain as drop
    from api.settings import load_settings

    settings, now = load_settings(), datetime.now(UTC)
    kept = days or settings.retention_days
    if kept is None:
        raise InputError("Contents are kept for ever; give --days, or set SELLERSCORE_RETENTION_DAYS.")
    if kept < settings.score_validity_days:
        raise InputError(
            f"Scores may be relied on for {settings.score_validity_days} days, so their contents must be kept for at "
            f"least as many; found {kept}."
        )
    before = now - timedelta(days=kept)
    engine, ledger = open_ledger(settings)
    try:
        found = due(engine, before)
        if not dry_run:
            with counting("Dropping contents", sum(found.values())) as advance:
                found = drop(engine, ledger, before=before, now=now, advance=advance)
    finally:
        engine.dispose()
    if as_json:
        typer.echo(json.dumps({"before": before.isoformat(), "dry_run": dry_run, "rows": dict(found)}, indent=2))
        return
    for chain, rows in found.items():
        typer.echo(f"{chain}: {rows:,}")
    done = "would be dropped" if dry_run else "were dropped, each by a record"
    typer.echo(f"{sum(found.values()):,} contents from before {before:%Y-%m-%d %H:%M} UTC {done}.")
    if found and not dry_run:
        typer.echo("Backups hold them until they are renewed.")

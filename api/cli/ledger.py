"""The command `sellerscore ledger retain`.

The commands `sellerscore ledger verify | checkpoint | erase | retain`.

Heavy libraries are imported inside the commands. Errors are raised; `sellerscore.py` turns them into one sentence.

The command `sellerscore verify-receipt`. Errors are raised; `sellerscore.py` turns them into one sentence.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from api.ledger.store import Ledger
    from api.ledger.verification import Report
    from api.settings import Settings


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

    from api.cli.output import track_progress
    from api.errors import InputError
    from api.ledger.store import open_ledger
    from api.operations.retention import drop_expired as drop
    from api.operations.retention import retention_cutoff
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
        found = retention_cutoff(engine, before)
        if not dry_run:
            with track_progress("Dropping contents", sum(found.values())) as advance:
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


_HELP = """The ledger of scores: verify it, sign where it stands, erase a seller, drop what is past its time.

Example: sellerscore ledger verify
"""


ledger_app = typer.Typer(no_args_is_help=True, help=_HELP)


ledger_app.command()(retain)


_AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a program.")]


_SHOWN = 50
"""Faults that are listed for a person; --json lists all."""


@ledger_app.command()
def verify(
    checkpoint: Annotated[
        Path | None,
        typer.Option(help="A file of `ledger checkpoint`, kept elsewhere: a tail cut since is found by it."),
    ] = None,
    jwks: Annotated[
        Path | None, typer.Option(help="Public keys to trust, as served; the state folder's own if none.")
    ] = None,
    as_json: _AsJson = False,
) -> None:
    """Look at every row, and say what is wrong and where. Exit code 0: whole; 1: faults; 2: it cannot be looked at.

    Example: sellerscore ledger verify --checkpoint /elsewhere/checkpoint.json
    """
    report = _verified(checkpoint, jwks)
    if as_json:
        typer.echo(json.dumps({"whole": not report.faults, **asdict(report)}, indent=2, ensure_ascii=False))
    else:
        _say(report, checkpoint is not None)
    raise typer.Exit(1 if report.faults else 0)


@ledger_app.command()
def checkpoint(
    out: Annotated[
        Path | None, typer.Option(help="File to write; keep it where the database's keepers cannot reach.")
    ] = None,
    to: Annotated[
        str | None, typer.Option(metavar="URL", help="Address to post it to, https or http; tried four times.")
    ] = None,
    as_json: _AsJson = False,
) -> None:
    """Sign where every chain stands now, into a file or to an address.

    While serving, SELLERSCORE_CHECKPOINT_URL posts one every SELLERSCORE_CHECKPOINT_MINUTES.

    Example: sellerscore ledger checkpoint --out checkpoint.json
    """
    from api.errors import InputError
    from api.ledger.checkpoints import host_of, post_with_patience

    if (out is None) is (to is None):
        raise InputError("A checkpoint goes to a file or to an address; give --out or --to.")
    place = str(out) if to is None else host_of(to)
    content = _signed()
    if out is not None:
        _write_checkpoint_file(out, content)
    if to is not None:
        post_with_patience(to, content)
    chains = json.loads(content)["chains"]
    if as_json:
        typer.echo(json.dumps({"out": place, "chains": chains}, indent=2, ensure_ascii=False))
        return
    for each in chains:
        typer.echo(f"{each['chain']}: {each['position']:,} rows, head {each['head'][:16]}...")
    typer.echo(f"Signed in {place}." if to is None else f"Signed, and taken by {place}.")


def _signed() -> bytes:
    from datetime import UTC, datetime

    from api.auth.signing_keys import Use, open_ring
    from api.kit.database import snapshot
    from api.ledger.checkpoints import make_checkpoint

    with _open() as (settings, engine, _):
        ring = open_ring(settings, Use.RECEIPTS)
        with snapshot(engine) as connection:
            return make_checkpoint(connection, ring, datetime.now(UTC))


@ledger_app.command()
def erase(
    seller_id: Annotated[str, typer.Argument(help="The seller.")],
    reason: Annotated[str, typer.Option(help="Why; it stays in the ledger, so name no person.")],
    as_json: _AsJson = False,
) -> None:
    """Destroy the key to all that the ledger holds of a seller; remove vectors, consents and delivered rows, for good.

    Example: sellerscore ledger erase S-000005 --reason "asked for on 2026-02-01"
    """
    from datetime import UTC, datetime

    from api.operations.retention import erase_seller as erased_now
    from features.store.vectors import VectorStore

    with _open() as (settings, engine, ledger):
        done = erased_now(
            engine,
            ledger,
            VectorStore(settings.vectors_path),
            seller_id=seller_id,
            reason=reason,
            now=datetime.now(UTC),
            operating=settings.operating_path,
        )
    if as_json:
        typer.echo(json.dumps(asdict(done), indent=2, ensure_ascii=False))
        return
    rows = sum(map(len, done.positions.values()))
    typer.echo(
        f"{rows:,} rows in {len(done.positions):,} chains can be read no more; {done.vectors:,} vectors, "
        f"{done.consents:,} consents, {done.requests:,} consent requests and {done.rows:,} delivered rows are gone, "
        "and none is let in again."
    )
    typer.echo("The folders that were delivered are not ours to change, and backups hold all until they are renewed.")


@contextmanager
def _open() -> Iterator[tuple[Settings, Engine, Ledger]]:
    from api.ledger.store import open_ledger, require_there
    from api.settings import load_settings

    settings = load_settings()
    require_there(settings.database_url)
    engine, ledger = open_ledger(settings)
    try:
        yield settings, engine, ledger
    finally:
        engine.dispose()


def _verified(checkpoint: Path | None, jwks: Path | None) -> Report:
    from api.cli.output import track_progress
    from api.consents.ledger_entries import ConsentCheck
    from api.kit.database import transaction
    from api.ledger import checkpoints, store
    from api.ledger.receipts import load_trusted_keys
    from api.ledger.verification import verify as look
    from api.reviews.ledger_entries import ReviewCheck
    from api.scores.ledger_entries import ScoreIndexCheck

    with _open() as (settings, engine, ledger):
        keys = load_trusted_keys(settings, jwks)
        known = None if checkpoint is None else checkpoints.read_checkpoint(_read_checkpoint_file(checkpoint), keys)
        with transaction(engine) as connection:
            total = store.count(connection)
        with track_progress("Verifying rows", total) as advance:
            return look(engine, ledger, [ScoreIndexCheck(keys), ConsentCheck(), ReviewCheck()], known, advance)


def _say(report: Report, checked: bool) -> None:
    for fault in report.faults[:_SHOWN]:
        typer.echo(f"{fault.chain}, row {fault.position}: {fault.what}")
    if len(report.faults) > _SHOWN:
        typer.echo(f"and {len(report.faults) - _SHOWN:,} more; --json lists all.")
    typer.echo(f"{report.rows:,} rows in {report.chains:,} chains; {report.erased:,} erased, each by a record.")
    if report.retained:
        typer.echo(f"{report.retained:,} contents were dropped after their time, each by a record.")
    covered = "that checkpoint" if checked else "any checkpoint, since none was given"
    typer.echo(f"{report.uncovered:,} rows are not covered by {covered}.")
    typer.echo(f"FAULTS: {len(report.faults):,}." if report.faults else "The ledger is whole.")


def _read_checkpoint_file(path: Path) -> bytes:
    from api.errors import InputError

    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"The file {path} cannot be read ({error.strerror}); name another.") from error


def _write_checkpoint_file(path: Path, content: Any) -> None:
    from api.errors import OutputError

    try:
        path.write_bytes(content + b"\n")
    except OSError as error:
        raise OutputError(f"{path} cannot be written ({error.strerror}); name another file.") from error


receipts_app = typer.Typer(no_args_is_help=True)


@receipts_app.command("verify-receipt")
def verify_receipt(
    file: Annotated[Path, typer.Argument(help="A score as the API answered it.")],
    jwks: Annotated[
        Path | None,
        typer.Option(help="Public keys, as /.well-known/jwks.json answers; the state folder's own if none."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for a program.")] = False,
) -> None:
    """Check that a score is as it was signed and that its points sum to it. Exit code 0: genuine; 2: not.

    Example: sellerscore verify-receipt score.json --jwks jwks.json
    """
    from api.errors import InputError
    from api.ledger.receipts import load_trusted_keys, verify_receipt
    from api.settings import load_settings

    keys = load_trusted_keys(load_settings(), jwks)
    try:
        content = file.read_bytes()
    except OSError as error:
        raise InputError(f"The file {file} cannot be read ({error.strerror}); name another.") from error
    found = verify_receipt(content, keys)
    if as_json:
        typer.echo(json.dumps({"genuine": True, **asdict(found)}, indent=2, ensure_ascii=False))
        return
    said = found.outcome if found.score is None else f"score {found.score}, and its points sum to it"
    typer.echo(f"Genuine: {found.seller_id} at {found.scored_at}: {said}.")
    typer.echo(f"Row {found.position:,} of the chain {found.chain}, head {found.head}.")

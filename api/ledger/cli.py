"""The commands `sellerscore ledger verify | checkpoint | erase | retain`.

Heavy libraries are imported inside the commands. Errors are raised; `sellerscore.py` turns them into one sentence.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.ledger.retain_cli import retain

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from api.ledger.service import Ledger
    from api.ledger.verification import Report
    from api.settings import Settings

_HELP = """The ledger of scores: verify it, sign where it stands, erase a seller, drop what is past its time.

Example: sellerscore ledger verify
"""

app = typer.Typer(no_args_is_help=True, help=_HELP)
app.command()(retain)

_AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a program.")]
_SHOWN = 50
"""Faults that are listed for a person; --json lists all."""


@app.command()
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


@app.command()
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
    from api.ledger.posting import host_of, post_with_patience

    if (out is None) is (to is None):
        raise InputError("A checkpoint goes to a file or to an address; give --out or --to.")
    place = str(out) if to is None else host_of(to)
    content = _signed()
    if out is not None:
        _write(out, content)
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

    from api.database import snapshot
    from api.keys.rings import Use, opened
    from api.ledger.checkpoints import make

    with _opened() as (settings, engine, _):
        ring = opened(settings, Use.RECEIPTS)
        with snapshot(engine) as connection:
            return make(connection, ring, datetime.now(UTC))


@app.command()
def erase(
    seller_id: Annotated[str, typer.Argument(help="The seller.")],
    reason: Annotated[str, typer.Option(help="Why; it stays in the ledger, so name no person.")],
    as_json: _AsJson = False,
) -> None:
    """Destroy the key to all that the ledger holds of a seller; remove vectors, consents and delivered rows, for good.

    Example: sellerscore ledger erase S-000005 --reason "asked for on 2026-02-01"
    """
    from datetime import UTC, datetime

    from api.erasure import erase as erased_now
    from features.store.vectors import VectorStore

    with _opened() as (settings, engine, ledger):
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
def _opened() -> Iterator[tuple[Settings, Engine, Ledger]]:
    from api.ledger.opening import open_ledger, require_there
    from api.settings import load_settings

    settings = load_settings()
    require_there(settings.database_url)
    engine, ledger = open_ledger(settings)
    try:
        yield settings, engine, ledger
    finally:
        engine.dispose()


def _verified(checkpoint: Path | None, jwks: Path | None) -> Report:
    from api.consents.ledger_check import ConsentCheck
    from api.database import transaction
    from api.ledger import checkpoints, repository
    from api.ledger.verification import verify as look
    from api.progress import counting
    from api.receipts.keys import trusted
    from api.reviews.ledger_check import ReviewCheck
    from api.scores.index_check import IndexCheck

    with _opened() as (settings, engine, ledger):
        keys = trusted(settings, jwks)
        known = None if checkpoint is None else checkpoints.read(_read(checkpoint), keys)
        with transaction(engine) as connection:
            total = repository.count(connection)
        with counting("Verifying rows", total) as advance:
            return look(engine, ledger, [IndexCheck(keys), ConsentCheck(), ReviewCheck()], known, advance)


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


def _read(path: Path) -> bytes:
    from api.errors import InputError

    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"The file {path} cannot be read ({error.strerror}); name another.") from error


def _write(path: Path, content: Any) -> None:
    from api.errors import OutputError

    try:
        path.write_bytes(content + b"\n")
    except OSError as error:
        raise OutputError(f"{path} cannot be written ({error.strerror}); name another file.") from error

"""The commands `sellerscore ledger verify|checkpoint|erase|retain` and `sellerscore verify-receipt`.

Heavy libraries are imported inside the commands. `sellerscore.py` prints errors as one sentence.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from api.cli.output import ClockOption, OutputOption, print_result, track_progress
from features.output import Output

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from api.ledger.chain import Tip
    from api.ledger.checks import Scope
    from api.ledger.store import Ledger
    from api.ledger.verification import Report
    from api.settings import Settings

ledger_app = typer.Typer(
    no_args_is_help=True,
    help="The ledger of scores: verify it, sign checkpoints, erase a seller, delete expired contents.\n\n"
    "Example: sellerscore ledger verify",
)
receipts_app = typer.Typer(no_args_is_help=True)

_MAX_LISTED: Final = 50
"""Faults that the text output lists. The JSON output lists all."""


@ledger_app.command()
def verify(
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            help="File that `ledger checkpoint` wrote, and that you stored in another place. It shows if the last rows "
            "of a chain were removed."
        ),
    ] = None,
    since: Annotated[
        Path | None,
        typer.Option(help="File of a checkpoint that you trust. Only the rows from there on are verified."),
    ] = None,
    jwks: Annotated[
        Path | None, typer.Option(help="File with the trusted public keys; by default those of the state folder.")
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Verify every row, and report each fault. Exit code 0: no faults; 1: faults; 2: the ledger cannot be verified.

    The service can run at the same time. The ledger is also compared with the checkpoints in the state folder.

    Example: sellerscore ledger verify --checkpoint /elsewhere/checkpoint.json

    Example: sellerscore ledger verify --since /elsewhere/yesterday.json
    """
    report, scope = _verify(checkpoint, since, jwks)
    value = {"whole": not report.faults, **asdict(report)}
    print_result(output, value, _report_lines(report, scope))
    raise typer.Exit(1 if report.faults else 0)


@ledger_app.command()
def checkpoint(
    out: Annotated[
        Path | None, typer.Option(help="File to write. Store it where database administrators have no access.")
    ] = None,
    to: Annotated[
        str | None,
        typer.Option(metavar="URL", help="URL to post the checkpoint to (https or http), with up to four attempts."),
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Sign the current heads of all chains, and write them to a file or post them to a URL.

    The service posts checkpoints by itself if SELLERSCORE_CHECKPOINT_URL is set.

    Example: sellerscore ledger checkpoint --out checkpoint.json
    """
    from api.errors import InputError, OutputError
    from api.ledger.checkpoints import host_of, post_with_retries

    if (out is None) is (to is None):
        raise InputError("A checkpoint needs one destination. Use either --out or --to.")
    destination = str(out) if to is None else host_of(to)
    content = _sign_checkpoint()
    if out is not None:
        try:
            out.write_bytes(content + b"\n")
        except OSError as error:
            raise OutputError(f"The file {out} cannot be written ({error.strerror}). Use another file.") from error
    if to is not None:
        post_with_retries(to, content)
    chains = json.loads(content)["chains"]
    lines = [f"{chain['chain']}: {chain['position']:,} rows, head {chain['head'][:16]}..." for chain in chains]
    lines.append(f"Signed in {destination}." if to is None else f"Signed and accepted by {destination}.")
    print_result(output, {"out": destination, "chains": chains}, lines)


@ledger_app.command()
def erase(
    seller_id: Annotated[str, typer.Argument(help="ID of the seller.")],
    reason: Annotated[str, typer.Option(help="Reason. The ledger keeps it forever, so name no person.")],
    *,
    clock_is_right: ClockOption = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Erase a seller: destroy the key of their ledger rows, and delete their vectors, consents and delivered rows.

    Example: sellerscore ledger erase S-000005 --reason "requested on 2026-02-01"
    """
    from api.auth.signing_keys import Use, open_ring
    from api.ledger.clock import require_plausible_clock
    from api.operations.retention import erase_seller
    from features.store.vectors import VectorStore

    now = datetime.now(UTC)
    with _open(writes=True) as (settings, engine, _):
        if not clock_is_right:
            require_plausible_clock(engine, now)
        report = erase_seller(
            engine,
            open_ring(settings, Use.RECEIPTS),
            VectorStore(settings.vectors_path),
            seller_id=seller_id,
            reason=reason,
            now=now,
            operating=settings.operating_path,
        )
    rows = sum(map(len, report.positions.values()))
    erased = (
        f"{rows:,} rows in {len(report.positions):,} chains can no longer be read. Deleted: {report.vectors:,} "
        f"vectors, {report.consents:,} consents, {report.requests:,} consent requests and {report.rows:,} delivered "
        "rows. New rows of this seller will be rejected."
    )
    remaining = "The original delivery folders are unchanged, and backups contain the data until they are replaced."
    lines = [erased, remaining]
    if not report.had_key:
        lines.append(
            "The seller had no key. If they ever had a score, a consent or a review, the key was removed. "
            "Run `sellerscore ledger verify`, restore the key from a backup, then erase the seller again."
        )
    print_result(output, asdict(report), lines)


@ledger_app.command()
def retain(
    days: Annotated[
        int | None,
        typer.Option(min=1, help="Retention period in days; by default SELLERSCORE_RETENTION_DAYS."),
    ] = None,
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be deleted, and change nothing.")
    ] = False,
    clock_is_right: ClockOption = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Delete the contents of scores after the retention period. The ledger still proves that they were issued.

    Run it daily with a scheduler, also while the service runs. It cannot be undone.

    Example: sellerscore ledger retain --days 3650 --dry-run
    """
    from api.auth.signing_keys import Use, open_ring
    from api.errors import InputError
    from api.ledger.clock import require_plausible_clock
    from api.operations.retention import drop_expired, retention_cutoff
    from api.settings import load_settings

    settings, now = load_settings(), datetime.now(UTC)
    period = days or settings.retention_days
    if period is None:
        raise InputError("There is no retention period. Use --days, or set SELLERSCORE_RETENTION_DAYS.")
    if period < settings.score_validity_days:
        raise InputError(
            f"The retention period is {period} days. It must be at least {settings.score_validity_days} days, the "
            "validity of scores."
        )
    before = now - timedelta(days=period)
    with _open(must_exist=False, writes=not dry_run) as (_, engine, _):
        rows = retention_cutoff(engine, before)
        if rows and not dry_run:
            if not clock_is_right:
                require_plausible_clock(engine, now)
            with track_progress("Deleting contents", sum(rows.values())) as advance:
                rows = drop_expired(engine, open_ring(settings, Use.RECEIPTS), before=before, now=now, advance=advance)
    done = "would be deleted" if dry_run else "were deleted"
    lines = [f"{chain}: {number:,}" for chain, number in rows.items()]
    lines.append(f"The contents of {sum(rows.values()):,} rows from before {before:%Y-%m-%d %H:%M} UTC {done}.")
    if rows and not dry_run:
        lines.append("The ledger records these deletions. Backups contain the contents until the backups are replaced.")
    print_result(output, {"before": before.isoformat(), "dry_run": dry_run, "rows": dict(rows)}, lines)


@receipts_app.command("verify-receipt")
def verify_receipt(
    file: Annotated[Path, typer.Argument(help="File with a score, as the API returned it.")],
    jwks: Annotated[
        Path | None,
        typer.Option(help="File with the response of /.well-known/jwks.json; by default the keys of the state folder."),
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Verify the signature of a score, and that its points sum to it.

    Exit code 0: genuine; 1: not genuine, or signed by a key that is not trusted; 2: the score cannot be verified.

    Example: sellerscore verify-receipt score.json --jwks jwks.json
    """
    from api.errors import SignatureError
    from api.ledger.receipts import load_trusted_keys, verify_receipt
    from api.settings import load_settings

    try:
        receipt = verify_receipt(_read_file(file), load_trusted_keys(load_settings(), jwks))
    except SignatureError as error:
        print_result(output, {"genuine": False, "reason": str(error)}, [f"NOT genuine: {error}"])
        raise typer.Exit(1) from error
    result = receipt.outcome if receipt.score is None else f"score {receipt.score}, and its points sum to it"
    lines = [
        f"Genuine: {receipt.seller_id} at {receipt.scored_at}: {result}.",
        f"Row {receipt.position:,} of the chain {receipt.chain}, head {receipt.head}.",
    ]
    print_result(output, {"genuine": True, **asdict(receipt)}, lines)


@contextmanager
def _open(
    *, must_exist: bool = True, writes: bool = False, tables_only: bool = True
) -> Iterator[tuple[Settings, Engine, Ledger]]:
    from api.ledger.local_checkpoints import saving_checkpoint
    from api.ledger.store import open_ledger, require_there
    from api.settings import load_settings

    settings = load_settings()
    if must_exist:
        require_there(settings.database_url)
    engine, ledger = open_ledger(settings, tables_only=tables_only)
    try:
        with saving_checkpoint(settings, engine) if writes else nullcontext():
            yield settings, engine, ledger
    finally:
        engine.dispose()


def _sign_checkpoint() -> bytes:
    from api.auth.signing_keys import Use, open_ring
    from api.kit.database import snapshot
    from api.ledger.checkpoints import make_checkpoint

    with _open() as (settings, engine, _):
        ring = open_ring(settings, Use.RECEIPTS)
        with snapshot(engine) as connection:
            return make_checkpoint(connection, ring, datetime.now(UTC))


def _verify(checkpoint: Path | None, since: Path | None, jwks: Path | None) -> tuple[Report, Scope]:
    from api.kit.database import transaction
    from api.ledger import store, verification
    from api.ledger.checks import Scope
    from api.ledger.local_checkpoints import read_local_checkpoints
    from api.ledger.receipts import load_trusted_keys
    from api.operations.erased_keys import ErasedKeyCheck
    from api.operations.ledger_checks import all_checks
    from features.ingest.erasure import read_erased

    with _open(tables_only=False) as (settings, engine, ledger):
        keys = load_trusted_keys(settings, jwks)
        given = None if checkpoint is None else _read_checkpoint(checkpoint, keys)
        start = None if since is None else _read_checkpoint(since, keys)
        scope = Scope(given, read_local_checkpoints(settings.checkpoints_path, keys), start)
        with transaction(engine) as connection:
            total = sum(max(0, tip.position - scope.first(chain) + 1) for chain, tip in store.tips(connection).items())
        with track_progress("Verifying rows", total) as advance:
            checks = (*all_checks(keys), ErasedKeyCheck(read_erased(settings.operating_path)))
            return verification.verify(engine, ledger, keys, checks, scope=scope, advance=advance), scope


def _read_checkpoint(path: Path, keys: Mapping[str, Any]) -> dict[str, Tip]:
    from api.errors import SignatureError
    from api.ledger.checkpoints import read_checkpoint

    try:
        return read_checkpoint(_read_file(path), keys)
    except SignatureError as error:
        raise SignatureError(
            f"The file {path} is not a checkpoint that the keys verify. Use a file that `sellerscore ledger "
            f"checkpoint` wrote. Reason: {error}"
        ) from error


def _report_lines(report: Report, scope: Scope) -> Iterator[str]:
    for fault in report.faults[:_MAX_LISTED]:
        yield f"{fault.chain}, row {fault.position}: {fault.what}"
    if len(report.faults) > _MAX_LISTED:
        yield f"{len(report.faults) - _MAX_LISTED:,} more faults; --output json lists all."
    yield f"{report.rows:,} rows in {report.chains:,} chains."
    if report.erased:
        yield f"{report.erased:,} rows of erased sellers cannot be read. Their erasures are recorded."
    if report.retained:
        yield f"{report.retained:,} contents were deleted after the retention period. Their deletions are recorded."
    if scope.since is not None:
        yield "Rows before the checkpoint of --since were not verified."
    options = [
        name for name, tips in (("--checkpoint", scope.checkpoint), ("--since", scope.since)) if tips is not None
    ]
    yield f"Compared with {_compared_checkpoints(options, len(scope.local))}."
    if options:
        yield f"{report.uncovered:,} rows are later than {'both' if options[1:] else 'this checkpoint'}."
    else:
        yield f"{report.uncovered:,} rows are not covered by a checkpoint from another place. Use --checkpoint."
    yield f"FAULTS: {len(report.faults):,}." if report.faults else "The ledger is whole."


def _compared_checkpoints(options: Sequence[str], local: int) -> str:
    found = []
    if options:
        found.append(f"the checkpoint{'s' * (len(options) > 1)} of {' and '.join(options)}")
    if local:
        found.append(f"{local:,} checkpoint{'s' * (local > 1)} in the state folder")
    return " and ".join(found) or "no checkpoint"


def _read_file(path: Path) -> bytes:
    from api.errors import InputError
    from features.regular_files import read_small_file

    try:
        return read_small_file(path)
    except OSError as error:
        raise InputError(f"The file {path} cannot be read ({error.strerror}).") from error

"""The command `sellerscore verify-receipt`. Errors are raised; `sellerscore.py` turns them into one sentence."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True)


@app.command("verify-receipt")
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
    from api.receipts.keys import trusted
    from api.receipts.service import verify
    from api.settings import load_settings

    keys = trusted(load_settings(), jwks)
    try:
        content = file.read_bytes()
    except OSError as error:
        raise InputError(f"The file {file} cannot be read ({error.strerror}); name another.") from error
    found = verify(content, keys)
    if as_json:
        typer.echo(json.dumps({"genuine": True, **asdict(found)}, indent=2, ensure_ascii=False))
        return
    said = found.outcome if found.score is None else f"score {found.score}, and its points sum to it"
    typer.echo(f"Genuine: {found.seller_id} at {found.scored_at}: {said}.")
    typer.echo(f"Row {found.position:,} of the chain {found.chain}, head {found.head}.")

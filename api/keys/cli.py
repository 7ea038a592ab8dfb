"""The commands `sellerscore keys list | rotate`.

Heavy libraries are imported inside the commands. Errors are raised; `sellerscore.py` turns them into one sentence.
"""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated, Final

import typer

_HELP = """Signing keys of receipts and of tokens: list them, rotate them.

Example: sellerscore keys list
"""

app = typer.Typer(no_args_is_help=True, help=_HELP)

_AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a program.")]
_LONGEST_DELAY = 60 * 24 * 30


class _Use(StrEnum):
    # the same as Use of the rings, whose module is slow to import
    RECEIPTS = "receipts"
    TOKENS = "tokens"


_ADVICE: Final = {
    _Use.RECEIPTS: "Keep the older keys: without them what they signed can be verified by saved public keys alone.",
    _Use.TOKENS: "Tokens of the older keys are good for ten minutes after this one begins to sign; then the files of "
    "those keys may be removed.",
}


@app.command("list")
def list_keys(as_json: _AsJson = False) -> None:
    """List both rings, oldest key first, and what each key does now.

    Example: sellerscore keys list
    """
    found = [each for use in _Use for each in _listed(use)]
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    for each in found:
        typer.echo(f"{each['use']:<9} {each['kid']}  {each['standing']}")


@app.command()
def rotate(
    use: Annotated[_Use, typer.Argument(help="Which keys.")],
    delay_minutes: Annotated[
        float,
        typer.Option(
            min=0,
            max=_LONGEST_DELAY,
            help="Minutes from publishing the key to signing with it. 0 signs at once: banks that hold an older copy "
            "of the public keys then refuse receipts until they fetch it again.",
        ),
    ] = 10.0,
    as_json: _AsJson = False,
) -> None:
    """Make a new key; running services take it up within about a minute, without a restart.

    It signs after the delay. Receipts signed by older keys verify for as long as those are kept; tokens signed by older
    keys verify for ten minutes more.

    Example: sellerscore keys rotate receipts
    """
    from datetime import UTC, datetime, timedelta

    from api.keyring import KeyRing
    from api.keys.rings import Use, folder_of
    from api.settings import load_settings

    before = [each["kid"] for each in _listed(use)]
    KeyRing.rotate(folder_of(load_settings(), Use(use)), datetime.now(UTC), timedelta(minutes=delay_minutes))
    new = next(each for each in reversed(_listed(use)) if each["kid"] not in before)
    if as_json:
        typer.echo(json.dumps(new, indent=2))
        return
    typer.echo(f"Made {new['kid']}: {new['standing']}.")
    typer.echo(_ADVICE[use])


def _listed(use: _Use) -> list[dict[str, str | None]]:
    from datetime import UTC, datetime

    from api.keyring import key_files, key_id
    from api.keys.rings import Use, folder_of, read, standing
    from api.settings import load_settings

    settings = load_settings()
    files = key_files(folder_of(settings, Use(use)))
    ring = read(settings, Use(use)) if files else None
    first = datetime.min.replace(tzinfo=UTC)
    return [
        {
            "use": str(use),
            "kid": (kid := key_id(file)),
            "begins": None if file.begins == first else file.begins.isoformat(),
            "standing": standing(Use(use), ring, kid, file.begins),
        }
        for file in files
        if ring is not None
    ]

"""`sellerscore bank|platform|operator create|rotate|revoke|list`: one implementation, mounted once a kind.

Heavy libraries are imported inside the commands. Errors are raised; `sellerscore.py` turns them into one sentence.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from api.access.rights import Kind

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from api.access.public_keys import PublicKey
    from api.access.repository import Client, Credential, Credentials
    from api.access.service import Made

_PLURALS: Final = {Kind.BANK: "Banks", Kind.PLATFORM: "The platform's clients", Kind.OPERATOR: "Operators"}
_WITH_KEY: Final = '"Example name" --public-key key.jwk'
_ONCE: Final = "This secret is shown once and cannot be shown again; hand it over and keep no copy."

_AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a program.")]
_KeyFile = Annotated[
    Path | None,
    typer.Option("--public-key", help="A file with a public JWK (Ed25519, P-256, RSA), in place of a secret."),
]
_Id = Annotated[str, typer.Argument(help="The client's id, as create and list show it.")]
_Overlap = Annotated[
    float, typer.Option("--overlap-hours", min=0, max=720, help="Hours that what it had before lives on.")
]


def commands_of(kind: Kind) -> typer.Typer:
    """Return the commands for the clients of a kind.

    Example: `app.add_typer(commands_of(Kind.BANK), name="bank")`.
    """
    app = typer.Typer(
        no_args_is_help=True,
        help=f"{_PLURALS[kind]} that may call the API: create, rotate, revoke, list.\n\n"
        f'Example: sellerscore {kind} create "Example name"',
    )
    for name, command, about, examples in (
        ("create", _create(kind), "Make a client; its secret is printed once.", ('"Example name"', _WITH_KEY)),
        ("rotate", _rotate(kind), "Give a client a new secret or key; the old lives on a while.", (f"{kind}-0123",)),
        ("revoke", _revoke(kind), "Refuse a client from now on, for good.", (f"{kind}-0123",)),
        ("list", _list(kind), "List clients and what they prove themselves with.", ("--json",)),
    ):
        shown = (f"Example: sellerscore {kind} {name} {example}" for example in examples)
        app.command(name, help="\n\n".join((about, *shown)))(command)
    return app


def _create(kind: Kind) -> Callable[..., None]:
    def create(
        name: Annotated[str, typer.Argument(help="What people call it.")],
        public_key: _KeyFile = None,
        as_json: _AsJson = False,
    ) -> None:
        from api.access import service

        key = _key(public_key)
        with _database() as engine:
            made = service.create(engine, kind, name, key=key, now=datetime.now(UTC))
        _print_made(made, "created", as_json)

    return create


def _rotate(kind: Kind) -> Callable[..., None]:
    def rotate(
        client_id: _Id, public_key: _KeyFile = None, overlap_hours: _Overlap = 24.0, as_json: _AsJson = False
    ) -> None:
        from api.access import service

        key, overlap = _key(public_key), timedelta(hours=overlap_hours)
        with _database() as engine:
            made = service.rotate(engine, kind, client_id, key=key, overlap=overlap, now=datetime.now(UTC))
        _print_made(made, "rotated", as_json)

    return rotate


def _revoke(kind: Kind) -> Callable[..., None]:
    def revoke(client_id: _Id, as_json: _AsJson = False) -> None:
        from api.access import service

        with _database() as engine:
            client = service.revoke(engine, kind, client_id, datetime.now(UTC))
        if as_json:
            _print_json(_shown(client))
        else:
            typer.echo(f"Revoked {client.id} ({client.name}); it is refused from now on.")

    return revoke


def _list(kind: Kind) -> Callable[..., None]:
    def list_clients(as_json: _AsJson = False) -> None:
        from api.access import service

        with _database() as engine:
            found = service.listed(engine, kind)
        if as_json:
            _print_json([{**_shown(client), **_credentials(held)} for client, held in found.items()])
            return
        for client, held in found.items():
            typer.echo(_line(client, held, datetime.now(UTC)))
        if not found:
            typer.echo(f'None yet; `sellerscore {kind} create "Example name"` makes one.')

    return list_clients


@contextmanager
def _database() -> Iterator[Engine]:
    from api.ledger.opening import open_ledger
    from api.settings import load_settings

    # opening brings the schema to the newest, which may carry scores into the ledger
    engine, _ = open_ledger(load_settings())
    try:
        yield engine
    finally:
        engine.dispose()


def _key(path: Path | None) -> PublicKey | None:
    from api.access.public_keys import read_public_key

    return None if path is None else read_public_key(path)


def _print_made(made: Made, done: str, as_json: bool) -> None:
    old = None if made.old_until is None else _written(made.old_until)
    if as_json:
        _print_json({**_shown(made.client), "client_secret": made.secret, "old_credentials_until": old})
        return
    typer.echo(f"{done.capitalize()} {made.client.name}.")
    typer.echo(f"client_id      {made.client.id}")
    if made.secret is None:
        typer.echo("It proves itself with its own key (private_key_jwt); there is no secret.")
    else:
        typer.echo(f"client_secret  {made.secret}")
        typer.echo(_ONCE)
    if old is not None:
        typer.echo(f"What it had before is good until {old}.")


def _shown(client: Client) -> dict[str, Any]:
    revoked = None if client.revoked_at is None else _written(client.revoked_at)
    return {
        "id": client.id,
        "kind": str(client.kind),
        "name": client.name,
        "created_at": _written(client.created_at),
        "revoked_at": revoked,
    }


def _credentials(held: Credentials) -> dict[str, Any]:
    def plain(each: Credential) -> dict[str, Any]:
        return {name: _written(value) if isinstance(value, datetime) else value for name, value in asdict(each).items()}

    return {"secrets": [plain(each) for each in held.secrets], "keys": [plain(each) for each in held.keys]}


def _line(client: Client, held: Credentials, now: datetime) -> str:
    def good(found: tuple[Credential, ...]) -> int:
        return sum(each.expires_at is None or each.expires_at > now for each in found)

    state = "revoked" if client.revoked_at else f"secrets {good(held.secrets)}, keys {good(held.keys)}"
    return f"{client.id}  {state:<18}  {client.name}"


def _written(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _print_json(value: object) -> None:
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))

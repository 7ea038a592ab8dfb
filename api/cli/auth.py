"""`sellerscore bank|platform|operator create|rotate|revoke|list`: one implementation, mounted once a kind.

Heavy libraries are imported inside the commands. Errors are raised; `sellerscore.py` turns them into one sentence.

The commands `sellerscore keys list | rotate`.

Heavy libraries are imported inside the commands. Errors are raised; `sellerscore.py` turns them into one sentence.

`sellerscore operator link`: a link that logs an operator in to the queue of reviews.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from api.auth.scopes import ClientKind

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from api.auth.clients import Client, CreatedClient, Credential, Credentials
    from api.auth.credentials import PublicKey


_PLURALS: Final = {
    ClientKind.BANK: "Banks",
    ClientKind.PLATFORM: "The platform's clients",
    ClientKind.OPERATOR: "Operators",
}


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


def commands_of(kind: ClientKind) -> typer.Typer:
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


def _create(kind: ClientKind) -> Callable[..., None]:
    def create(
        name: Annotated[str, typer.Argument(help="What people call it.")],
        public_key: _KeyFile = None,
        as_json: _AsJson = False,
    ) -> None:
        from api.auth import clients

        key = _key(public_key)
        with _database() as engine:
            made = clients.create_client(engine, kind, name, key=key, now=datetime.now(UTC))
        _print_created(made, "created", as_json)

    return create


def _rotate(kind: ClientKind) -> Callable[..., None]:
    def rotate(
        client_id: _Id, public_key: _KeyFile = None, overlap_hours: _Overlap = 24.0, as_json: _AsJson = False
    ) -> None:
        from api.auth import clients

        key, overlap = _key(public_key), timedelta(hours=overlap_hours)
        with _database() as engine:
            made = clients.rotate_credential(engine, kind, client_id, key=key, overlap=overlap, now=datetime.now(UTC))
        _print_created(made, "rotated", as_json)

    return rotate


def _revoke(kind: ClientKind) -> Callable[..., None]:
    def revoke(client_id: _Id, as_json: _AsJson = False) -> None:
        from api.auth import clients

        with _database() as engine:
            client = clients.revoke_client(engine, kind, client_id, datetime.now(UTC))
        if as_json:
            _print_json(_render(client))
        else:
            typer.echo(f"Revoked {client.id} ({client.name}); it is refused from now on.")

    return revoke


def _list(kind: ClientKind) -> Callable[..., None]:
    def list_clients(as_json: _AsJson = False) -> None:
        from api.auth import clients

        with _database() as engine:
            found = clients.list_clients(engine, kind)
        if as_json:
            _print_json([{**_render(client), **_credentials(held)} for client, held in found.items()])
            return
        for client, held in found.items():
            typer.echo(_line(client, held, datetime.now(UTC)))
        if not found:
            typer.echo(f'None yet; `sellerscore {kind} create "Example name"` makes one.')

    return list_clients


@contextmanager
def _database() -> Iterator[Engine]:
    from api.ledger.store import open_ledger
    from api.settings import load_settings

    # opening brings the schema to the newest, which may carry scores into the ledger
    engine, _ = open_ledger(load_settings())
    try:
        yield engine
    finally:
        engine.dispose()


def _key(path: Path | None) -> PublicKey | None:
    from api.auth.credentials import read_public_key

    return None if path is None else read_public_key(path)


def _print_created(made: CreatedClient, done: str, as_json: bool) -> None:
    old = None if made.old_until is None else _write_once(made.old_until)
    if as_json:
        _print_json({**_render(made.client), "client_secret": made.secret, "old_credentials_until": old})
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


def _render(client: Client) -> dict[str, Any]:
    revoked = None if client.revoked_at is None else _write_once(client.revoked_at)
    return {
        "id": client.id,
        "kind": str(client.kind),
        "name": client.name,
        "created_at": _write_once(client.created_at),
        "revoked_at": revoked,
    }


def _credentials(held: Credentials) -> dict[str, Any]:
    def plain(each: Credential) -> dict[str, Any]:
        return {
            name: _write_once(value) if isinstance(value, datetime) else value for name, value in asdict(each).items()
        }

    return {"secrets": [plain(each) for each in held.secrets], "keys": [plain(each) for each in held.keys]}


def _line(client: Client, held: Credentials, now: datetime) -> str:
    def good(found: tuple[Credential, ...]) -> int:
        return sum(each.expires_at is None or each.expires_at > now for each in found)

    state = "revoked" if client.revoked_at else f"secrets {good(held.secrets)}, keys {good(held.keys)}"
    return f"{client.id}  {state:<18}  {client.name}"


def _write_once(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _print_json(value: object) -> None:
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


_KEYS_HELP = """Signing keys of receipts and of tokens: list them, rotate them.

Example: sellerscore keys list
"""


keys_app = typer.Typer(no_args_is_help=True, help=_KEYS_HELP)


_KeysAsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a program.")]


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


@keys_app.command("list")
def list_keys(as_json: _KeysAsJson = False) -> None:
    """List both rings, oldest key first, and what each key does now.

    Example: sellerscore keys list
    """
    found = [each for use in _Use for each in _list_ring(use)]
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    for each in found:
        typer.echo(f"{each['use']:<9} {each['kid']}  {each['standing']}")


@keys_app.command("rotate")
def rotate_keys(
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
    as_json: _KeysAsJson = False,
) -> None:
    """Make a new key; running services take it up within about a minute, without a restart.

    It signs after the delay. Receipts signed by older keys verify for as long as those are kept; tokens signed by older
    keys verify for ten minutes more.

    Example: sellerscore keys rotate receipts
    """
    from datetime import UTC, datetime, timedelta

    from api.auth.signing_keys import KeyRing, Use, folder_of
    from api.settings import load_settings

    before = [each["kid"] for each in _list_ring(use)]
    KeyRing.rotate(folder_of(load_settings(), Use(use)), datetime.now(UTC), timedelta(minutes=delay_minutes))
    new = next(each for each in reversed(_list_ring(use)) if each["kid"] not in before)
    if as_json:
        typer.echo(json.dumps(new, indent=2))
        return
    typer.echo(f"Made {new['kid']}: {new['standing']}.")
    typer.echo(_ADVICE[use])


def _list_ring(use: _Use) -> list[dict[str, str | None]]:
    from datetime import UTC, datetime

    from api.auth.signing_keys import Use, describe_key, folder_of, key_files, key_id, read_ring
    from api.settings import load_settings

    settings = load_settings()
    files = key_files(folder_of(settings, Use(use)))
    ring = read_ring(settings, Use(use)) if files else None
    first = datetime.min.replace(tzinfo=UTC)
    return [
        {
            "use": str(use),
            "kid": (kid := key_id(file)),
            "begins": None if file.begins == first else file.begins.isoformat(),
            "standing": describe_key(Use(use), ring, kid, file.begins),
        }
        for file in files
        if ring is not None
    ]


def link(
    client_id: Annotated[str, typer.Argument(help="The operator's id, as create and list show it.")],
) -> None:
    """Print a link that logs an operator in once, within ten minutes, to the pages of the queue of reviews.

    Example: sellerscore operator link operator-0123
    """
    from api.auth import clients
    from api.auth.scopes import ClientKind
    from api.auth.sessions import UserKind, login_url
    from api.errors import AccessError
    from api.kit.database import open_database, transaction
    from api.settings import load_settings

    settings = load_settings()
    engine = open_database(settings.database_url)
    try:
        with transaction(engine) as connection:
            client = clients.find_client(connection, client_id)
        if client is None or client.kind is not ClientKind.OPERATOR or client.revoked_at is not None:
            raise AccessError(
                f'There is no operator "{client_id}" to log in; `sellerscore operator list` shows those there are.'
            )
        typer.echo(login_url(engine, UserKind.OPERATOR, client_id, settings.issuer, by="command"))
    finally:
        engine.dispose()

"""The commands `sellerscore bank|platform|operator create|rotate|revoke|list`, `operator link`, and `keys list|rotate`.

Heavy libraries are imported inside the commands. `sellerscore.py` prints errors as one sentence.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from api.auth.scopes import ClientKind
from api.cli.output import ClockOption, OutputOption, print_result, track_progress
from features.output import Output

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from api.auth.clients import Client, Credential, Credentials
    from api.auth.credentials import NewSecret, PublicKey
    from api.clients.service import ClientRegister, CreatedClient

_PLURALS: Final = {
    ClientKind.BANK: "Banks",
    ClientKind.PLATFORM: "Clients of the platform",
    ClientKind.OPERATOR: "Operators",
}

_KeyFile = Annotated[
    Path | None,
    typer.Option(
        "--public-key",
        help="File with the client's public key as a JWK (Ed25519, P-256 or RSA). The client then gets no secret.",
    ),
]
_Id = Annotated[str, typer.Argument(help="ID of the client. The commands `create` and `list` print it.")]
_Overlap = Annotated[
    float, typer.Option("--overlap-hours", min=0, max=720, help="Hours for which the former credentials stay valid.")
]


def commands_of(kind: ClientKind) -> typer.Typer:
    """Return the commands for the clients of a kind.

    Example: `app.add_typer(commands_of(ClientKind.BANK), name="bank")`.
    """
    app = typer.Typer(
        no_args_is_help=True,
        help=f"{_PLURALS[kind]} that can call the API: create, rotate, revoke, list.\n\n"
        f'Example: sellerscore {kind} create "Example name"',
    )
    with_key = '"Example name" --public-key key.jwk'
    for name, command, about, examples in (
        ("create", create, "Create a client and print its secret once.", ('"Example name"', with_key)),
        ("rotate", rotate, "Replace the secret or public key of a client.", (f"{kind}-0123",)),
        ("revoke", revoke, "Revoke a client: all its calls are rejected. This cannot be undone.", (f"{kind}-0123",)),
        ("list", list_clients, "List clients and their credentials.", ("--output json",)),
    ):
        lines = (f"Example: sellerscore {kind} {name} {example}" for example in examples)
        app.command(name, help="\n\n".join((about, *lines)))(command)
    return app


def _kind(context: typer.Context) -> ClientKind:
    """Return the kind of clients of a command, which is the name of its group."""
    return ClientKind(context.command_path.split()[-2])


def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Name of the client.")],
    *,
    public_key: _KeyFile = None,
    clock_is_right: ClockOption = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Create a client and print its secret."""
    with _credential(public_key, clock_is_right=clock_is_right) as (register, credential):
        created = register.create(_kind(context), name, credential=credential, now=datetime.now(UTC))
    _print_client(created, "Created", output)


def rotate(
    context: typer.Context,
    client_id: _Id,
    *,
    public_key: _KeyFile = None,
    overlap_hours: _Overlap = 24.0,
    clock_is_right: ClockOption = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Give a client a new credential."""
    overlap, now = timedelta(hours=overlap_hours), datetime.now(UTC)
    with _credential(public_key, clock_is_right=clock_is_right) as (register, credential):
        rotated = register.rotate(_kind(context), client_id, credential=credential, overlap=overlap, now=now)
    _print_client(rotated, "Rotated", output)


def revoke(
    context: typer.Context, client_id: _Id, *, clock_is_right: ClockOption = False, output: OutputOption = Output.TABLE
) -> None:
    """Revoke a client."""
    with _writable_database(clock_is_right=clock_is_right) as engine:
        client = _register(engine).revoke(_kind(context), client_id, datetime.now(UTC))
    lines = [f"Revoked {client.id} ({client.name}). Its calls are rejected from now on."]
    print_result(output, _to_dict(client), lines)


def list_clients(context: typer.Context, output: OutputOption = Output.TABLE) -> None:
    """List the clients of a kind."""
    from api.auth import clients

    with _database() as engine:
        listed = clients.list_clients(engine, _kind(context))
    values = [
        {**_to_dict(client), "secrets": list(map(_to_dict, owned.secrets)), "keys": list(map(_to_dict, owned.keys))}
        for client, owned in listed.items()
    ]
    lines = [_line(client, owned, datetime.now(UTC)) for client, owned in listed.items()]
    none = f'None yet. Create one with `sellerscore {_kind(context)} create "Example name"`.'
    print_result(output, values, lines or [none])


def link(
    client_id: Annotated[str, typer.Argument(help="ID of the operator. The commands `create` and `list` print it.")],
    *,
    clock_is_right: ClockOption = False,
) -> None:
    """Print a link that logs an operator in to the review pages. It works once, within ten minutes.

    The ledger records who can log in with it, and when it was created.

    Example: sellerscore operator link operator-0123
    """
    from api.auth.clients import open_secrets
    from api.auth.sessions import Sessions
    from api.settings import load_settings

    settings = load_settings()
    with _writable_database(clock_is_right=clock_is_right) as engine:
        sessions = Sessions(engine, open_secrets(settings.keys_path, engine))
        typer.echo(_register(engine).operator_link(sessions, client_id, settings.issuer, datetime.now(UTC)))


@contextmanager
def _database() -> Iterator[Engine]:
    from api.kit.database import open_database
    from api.settings import load_settings

    engine = open_database(load_settings().database_url)
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def _writable_database(*, clock_is_right: bool) -> Iterator[Engine]:
    """Open the database for a command that appends to the ledger. A local checkpoint is saved at its end."""
    from api.ledger.clock import require_plausible_clock
    from api.ledger.local_checkpoints import saving_checkpoint
    from api.settings import load_settings

    with _database() as engine:
        if not clock_is_right:
            require_plausible_clock(engine, datetime.now(UTC))
        with saving_checkpoint(load_settings(), engine):
            yield engine


@contextmanager
def _credential(
    public_key: Path | None, *, clock_is_right: bool
) -> Iterator[tuple[ClientRegister, NewSecret | PublicKey]]:
    """Open the register of clients, and return it with the public key in a file or a new secret."""
    from api.auth.clients import open_secrets
    from api.auth.credentials import read_public_key
    from api.settings import load_settings

    key = None if public_key is None else read_public_key(public_key)
    with _writable_database(clock_is_right=clock_is_right) as engine:
        yield _register(engine), key or open_secrets(load_settings().keys_path, engine).new()


def _register(engine: Engine) -> ClientRegister:
    from api.auth.signing_keys import Use, read_ring
    from api.clients.service import ClientRegister
    from api.settings import load_settings

    return ClientRegister(engine, read_ring(load_settings(), Use.RECEIPTS))


def _print_client(created: CreatedClient, done: str, output: Output) -> None:
    client, old = created.client, None if created.former_until is None else _format_seconds(created.former_until)
    value = {**_to_dict(client), "client_secret": created.secret, "old_credentials_until": old}
    lines = [f"{done} {client.name}.", f"client_id      {client.id}"]
    if created.secret is None:
        lines.append("It authenticates with its own key (private_key_jwt) and has no secret.")
    else:
        lines.append(f"client_secret  {created.secret}")
        lines.append("The secret cannot be shown again. Pass it to the client and keep no copy.")
    if old is not None:
        lines.append(f"The former credentials are valid until {old}.")
    print_result(output, value, lines)


def _to_dict(record: Client | Credential) -> dict[str, Any]:
    return {
        name: _format_seconds(value) if isinstance(value, datetime) else value for name, value in asdict(record).items()
    }


def _line(client: Client, owned: Credentials, now: datetime) -> str:
    def valid(credentials: tuple[Credential, ...]) -> int:
        return sum(each.expires_at is None or each.expires_at > now for each in credentials)

    state = "revoked" if client.revoked_at else f"secrets {valid(owned.secrets)}, keys {valid(owned.keys)}"
    return f"{client.id}  {state:<18}  {client.name}"


def _format_seconds(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


keys_app = typer.Typer(
    no_args_is_help=True,
    help="Keys of receipts, tokens and the ledger: list, rotate.\n\nExample: sellerscore keys list",
)

_MAX_DELAY: Final = 60 * 24 * 30


# the values of `signing_keys.Use`, which is slow to import
_Use = Literal["receipts", "tokens"]

_ADVICE: Final[Mapping[_Use, str]] = {
    "receipts": "Keep the files of the former keys. Without them, only saved public keys can verify what they signed.",
    "tokens": "Tokens of the former keys stay valid for ten minutes after the new key starts to sign. Then you can "
    "delete the files of the former keys.",
}


@keys_app.command("list")
def list_keys(output: OutputOption = Output.TABLE) -> None:
    """List the keys of receipts and tokens, oldest first, with their current role.

    Example: sellerscore keys list
    """
    keys = [key for use in _ADVICE for key in _list_ring(use)]
    print_result(output, keys, (f"{key['use']:<9} {key['kid']}  {key['standing']}" for key in keys))


@keys_app.command("rotate")
def rotate_keys(
    use: Annotated[
        Literal["receipts", "tokens", "master"],
        typer.Argument(help="The keys to rotate; `master` is the key that encrypts the keys of sellers."),
    ],
    delay_minutes: Annotated[
        float,
        typer.Option(
            min=0,
            max=_MAX_DELAY,
            help="Minutes from the publication of the key to its first signature. With 0, banks that have cached the "
            "public keys reject receipts until they fetch the keys again.",
        ),
    ] = 10.0,
    output: OutputOption = Output.TABLE,
) -> None:
    """Create a new key. Running services load it within a minute, without a restart.

    The new key starts to sign after the delay. What former keys signed stays valid: receipts as long as you keep the
    files of these keys, tokens for ten minutes.

    `master` is different: the new master key is used at once, and the keys of all sellers are encrypted with it. This
    takes about a minute. If the command is interrupted, run it again: it continues. Earlier backups can only be read
    with the former master key. Store a copy of it with these backups first.

    Example: sellerscore keys rotate receipts

    Example: sellerscore keys rotate master
    """
    if use == "master":
        _rotate_master(output)
        return
    from api.auth.signing_keys import KeyRing, Use, folder_of
    from api.settings import load_settings

    before = [key["kid"] for key in _list_ring(use)]
    KeyRing.rotate(folder_of(load_settings(), Use(use)), datetime.now(UTC), timedelta(minutes=delay_minutes))
    new = next(key for key in reversed(_list_ring(use)) if key["kid"] not in before)
    print_result(output, new, [f"Created {new['kid']}: {new['standing']}.", _ADVICE[use]])


def _rotate_master(output: Output) -> None:
    from sqlalchemy import func, select

    from api.kit.database import transaction
    from api.ledger.encryption import seller_keys
    from api.ledger.local_checkpoints import saving_checkpoint
    from api.ledger.master_key import rotate_master_key
    from api.ledger.store import open_ledger, require_there
    from api.settings import load_settings

    settings = load_settings()
    require_there(settings.database_url)
    engine, _ = open_ledger(settings)
    try:
        with transaction(engine) as connection:
            total = connection.execute(select(func.count()).select_from(seller_keys)).scalar_one()
        with saving_checkpoint(settings, engine), track_progress("Encrypting keys of sellers", total) as advance:
            keys = rotate_master_key(settings.keys_path, engine, advance)
    finally:
        engine.dispose()
    done = f"The master key was replaced. The keys of {keys:,} sellers were encrypted with the new one."
    print_result(output, {"keys": keys}, [done, "Make a new backup of the database and of the folder of keys."])


def _list_ring(use: _Use) -> list[dict[str, str | None]]:
    from api.auth.signing_keys import Use, describe_key, folder_of, key_files, key_id, read_ring
    from api.settings import load_settings

    settings = load_settings()
    files = key_files(folder_of(settings, Use(use)))
    if not files:
        return []
    ring, first = read_ring(settings, Use(use)), datetime.min.replace(tzinfo=UTC)
    return [
        {
            "use": use,
            "kid": (kid := key_id(file)),
            "begins": None if file.begins == first else file.begins.isoformat(),
            "standing": describe_key(Use(use), ring, kid, file.begins),
        }
        for file in files
    ]

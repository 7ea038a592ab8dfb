"""`sellerscore operator link`: a link that logs an operator in to the queue of reviews."""

from __future__ import annotations

from typing import Annotated

import typer


def link(
    client_id: Annotated[str, typer.Argument(help="The operator's id, as create and list show it.")],
) -> None:
    """Print a link that logs an operator in once, within ten minutes, to the pages of the queue of reviews.

    Example: sellerscore operator link operator-0123
    """
    from api.access import repository
    from api.access.rights import Kind
    from api.database import open_database, transaction
    from api.errors import AccessError
    from api.seller_sessions.endpoints import login_page
    from api.seller_sessions.repository import Person
    from api.settings import load_settings

    settings = load_settings()
    engine = open_database(settings.database_url)
    try:
        with transaction(engine) as connection:
            client = repository.find(connection, client_id)
        if client is None or client.kind is not Kind.OPERATOR or client.revoked_at is not None:
            raise AccessError(
                f'There is no operator "{client_id}" to log in; `sellerscore operator list` shows those there are.'
            )
        typer.echo(login_page(engine, Person.OPERATOR, client_id, settings.issuer, by="command"))
    finally:
        engine.dispose()

"""Who is champion: the aliases that say so, and the one way in which they move."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from training.errors import PromotionError
from training.registry.connection import MODEL_NAME, Registry, connected
from training.registry.versions import aliases_of

if TYPE_CHECKING:
    from training.registry.connection import Client

CHAMPION: Final = "champion"
"""The version that the service scores with."""

PREVIOUS: Final = "previous"
"""The champion before, to which a rollback returns."""

CHALLENGER: Final = "challenger"
"""The version whose scores the service keeps beside the champion's, unseen by banks."""

REPLACED: Final = "replaced"
"""The tag of a champion that says which version it replaced, so that a rollback is sure of it."""


def aliases(registry: Registry) -> dict[str, int]:
    """Return the version of each alias; empty where no model is registered.

    Example: `{"champion": 3, "previous": 2}`.

    Raises:
        RegistryError: the registry cannot be reached.
    """
    with connected(registry) as client:
        return aliases_of(client)


def set_champion(registry: Registry, version: int, replacing: int | None, record: Mapping[str, str]) -> None:
    """Make a version the champion, with the one that it replaces as `previous` and tags that say who wanted it.

    Moving the alias `champion` is the one moment of change: before it are only tags of a version that is not in force,
    after it only what follows from its tag `replaced`. A kill in between leaves the old champion or the new one, and
    a rollback knows its way from either.

    Args:
        registry: where.
        version: the champion to be.
        replacing: the champion that there is now, None where there is none; any other means that it changed meanwhile.
        record: tags of the version.

    Raises:
        PromotionError: another process moved the champion meanwhile.
        RegistryError: the registry cannot be reached; then nothing moved.
    """
    with connected(registry) as client:
        for name, text in {**record, REPLACED: str(replacing).lower()}.items():
            client.set_model_version_tag(MODEL_NAME, str(version), name, text)
        before = aliases_of(client)
        if before.get(CHAMPION) != replacing:
            raise PromotionError(
                f"Version {before.get(CHAMPION)} became the champion in the middle of this; nothing was moved, so "
                "compare with the new champion and decide again."
            )
        client.set_registered_model_alias(MODEL_NAME, CHAMPION, str(version))
        _follow(client, before, version, replacing)
        now = aliases_of(client).get(CHAMPION)
        if now != version:
            raise PromotionError(
                f"Another process made version {now} the champion right after version {version}; promote version "
                f"{version} again if it is the one you want."
            )


def _follow(client: Client, before: Mapping[str, int], version: int, replaced: int | None) -> None:
    if replaced is not None:
        client.set_registered_model_alias(MODEL_NAME, PREVIOUS, str(replaced))
    if before.get(CHALLENGER) == version:
        client.delete_registered_model_alias(MODEL_NAME, CHALLENGER)


def set_challenger(registry: Registry, version: int | None) -> None:
    """Make a version the challenger, or with None have no challenger.

    Raises:
        RegistryError: the registry cannot be reached.
    """
    with connected(registry) as client:
        if version is not None:
            client.set_registered_model_alias(MODEL_NAME, CHALLENGER, str(version))
        elif CHALLENGER in aliases_of(client):
            client.delete_registered_model_alias(MODEL_NAME, CHALLENGER)

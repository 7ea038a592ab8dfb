"""Who is champion: the aliases that say so, and the one way in which they move."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from training.errors import PromotionError
from training.registry.connection import MODEL_NAME, Registry, connected
from training.registry.run_lifecycle import PROCESS, Process
from training.registry.versions import aliases_of

if TYPE_CHECKING:
    from training.registry.connection import Client

CHAMPION: Final = "champion"
"""The version that the service scores with."""

PREVIOUS: Final = "previous"
"""The champion before, to which a rollback returns; after a rollback, the one before that."""

CHALLENGER: Final = "challenger"
"""The version whose scores the service keeps beside the champion's, unseen by banks."""

REPLACED: Final = "replaced"
"""The tag of a champion that says which version it replaced, so that a rollback is sure of it."""

WITHDRAWN: Final = "withdrawn"
"""The tag of a version from which a rollback led away, and why; only a promotion makes it champion again."""

INTENDED: Final = "intended."
"""What a tag begins with until the act that it tells of is done."""

_BY: Final = INTENDED + PROCESS
"""The tag that says which process intends it."""

_WITHDRAWS: Final = "withdraws"
"""Beside what is intended by a rollback: the version that it withdraws, a space, and why."""


def aliases(registry: Registry) -> dict[str, int]:
    """Return the version of each alias; empty where no model is registered.

    Example: `{"champion": 3, "previous": 2}`.

    Raises:
        RegistryError: the registry cannot be reached.
    """
    with connected(registry) as client:
        return aliases_of(client)


def set_champion(
    registry: Registry,
    version: int,
    replacing: int | None,
    record: Mapping[str, str],
    withdrawing: str | None = None,
) -> None:
    """Make a version the champion, with tags that say who wanted it; the one before is `previous`, or withdrawn.

    Moving the alias `champion` is the one moment of change. Before it the tags are written as intended, each under
    `intended.`, so that what never came about does not read as done; after it they take their names, see `settle`. A
    kill in between leaves the old champion or the new one, and a rollback knows its way from either. An attempt that
    fails before the move takes them off again; what a kill leaves, or a registry that is away by then, is swept by
    `settle`.

    Args:
        registry: where.
        version: the champion to be.
        replacing: the champion that there is now, None where there is none; any other means that it changed meanwhile.
        record: tags of the version.
        withdrawing: why the champion that there is now goes, where this is a rollback. The version then keeps the way
            back that it had, so that no second rollback leads to the one that was withdrawn.

    Raises:
        PromotionError: another process moved the champion meanwhile.
        RegistryError: the registry cannot be reached; then nothing moved.
    """
    way = {REPLACED: _text(replacing)} if withdrawing is None else {_WITHDRAWS: f"{replacing} {withdrawing}"}
    with connected(registry) as client:
        with _undone_on_failure(client, version):
            _intend(client, version, {**record, **way})
            before = aliases_of(client)
            if before.get(CHAMPION) != replacing:
                raise PromotionError(
                    f"Version {before.get(CHAMPION)} became the champion in the middle of this; nothing was moved, so "
                    "compare with the new champion and decide again."
                )
            client.set_registered_model_alias(MODEL_NAME, CHAMPION, str(version))
        _recover(client, version)
        now = aliases_of(client).get(CHAMPION)
        if now != version:
            raise PromotionError(
                f"Another process made version {now} the champion right after version {version}; promote version "
                f"{version} again if it is the one you want."
            )


def recover_aliases(registry: Registry) -> None:
    """Finish what a killed process left: what follows from the champion's alias, and intentions that came to nothing.

    Those of a process that may still be at it, of another host above all, are left alone. Who calls it holds the lock
    of promotions, so that this process itself intends nothing.

    Raises:
        RegistryError: the registry cannot be reached.
    """
    with connected(registry) as client:
        champion = aliases_of(client).get(CHAMPION)
        if champion is not None:
            _recover(client, champion)
        for version in client.search_model_versions(f"name='{MODEL_NAME}'"):
            by = Process.read(version.tags.get(_BY, ""))
            if by is not None and (by.is_gone() or by == Process.own()):
                _forget_intended(client, int(version.version))


def _intend(client: Client, version: int, record: Mapping[str, str]) -> None:
    """Write tags as intended, before them who intends it, so that none is ever without."""
    _forget_intended(client, version)  # of an attempt that came to nothing
    client.set_model_version_tag(MODEL_NAME, str(version), _BY, str(Process.own()))
    for name, text in record.items():
        client.set_model_version_tag(MODEL_NAME, str(version), INTENDED + name, text)


@contextmanager
def _undone_on_failure(client: Client, version: int) -> Iterator[None]:
    """Take off what was intended where the version did not become champion; else `settle` has it to finish."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except BaseException:
        # a registry that is away says so by itself; what cannot be undone now, the next command undoes
        with suppress(MlflowException, SQLAlchemyError, OSError):
            if aliases_of(client).get(CHAMPION) != version:
                _forget_intended(client, version)
        raise


def _recover(client: Client, champion: int) -> None:
    """Give intended tags of the champion their names, and move the aliases that follow; done twice, it is the same."""
    tags = client.get_model_version(MODEL_NAME, str(champion)).tags
    done = {name.removeprefix(INTENDED): text for name, text in tags.items() if name.startswith(INTENDED)}
    if not done:
        return
    done.pop(PROCESS, None)
    withdraws = done.pop(_WITHDRAWS, None)
    for name, text in done.items():
        client.set_model_version_tag(MODEL_NAME, str(champion), name, text)
    if withdraws is not None:
        gone, _, why = withdraws.partition(" ")
        client.set_model_version_tag(MODEL_NAME, gone, WITHDRAWN, why)
    elif WITHDRAWN in tags:
        client.delete_model_version_tag(MODEL_NAME, str(champion), WITHDRAWN)
    _follow(client, champion, {**tags, **done}.get(REPLACED, _text(None)))
    _forget_intended(client, champion)


def _forget_intended(client: Client, version: int) -> None:
    tags = client.get_model_version(MODEL_NAME, str(version)).tags
    for name in sorted(tags, key=lambda name: name == _BY):  # who intends it goes last, so that none is ever without
        if name.startswith(INTENDED):
            client.delete_model_version_tag(MODEL_NAME, str(version), name)


def _follow(client: Client, champion: int, replaced: str) -> None:
    """Let `previous` be where a rollback leads, and the champion challenge nobody."""
    named = aliases_of(client)
    if replaced != _text(None):
        client.set_registered_model_alias(MODEL_NAME, PREVIOUS, replaced)
    elif PREVIOUS in named:
        client.delete_registered_model_alias(MODEL_NAME, PREVIOUS)
    if named.get(CHALLENGER) == champion:
        client.delete_registered_model_alias(MODEL_NAME, CHALLENGER)


def _text(version: int | None) -> str:
    return str(version).lower()


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

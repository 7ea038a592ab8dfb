"""Aliases of the registered model, and the protocol that moves the champion safely.

Moving the alias `champion` is one atomic step of the registry. The tags that belong to it are written before as
intended, each with the prefix `intended.`, so that an interrupted promotion does not look like a completed one; after
it they get their names. A kill in between leaves the old or the new champion, and a rollback works from either.
`recover_aliases` completes or removes what a failed or killed process left.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from training.errors import PromotionError
from training.registry.connection import MODEL_NAME, Registry, connected
from training.registry.run_lifecycle import PROCESS, current_process, has_ended
from training.registry.versions import aliases_of

if TYPE_CHECKING:
    from training.registry.connection import Client

CHAMPION: Final = "champion"
"""The version that the service scores with."""

PREVIOUS: Final = "previous"
"""The target of a rollback: the version that the champion replaced."""

CHALLENGER: Final = "challenger"
"""The version whose scores the service stores for comparison; banks never see them."""

REPLACED: Final = "replaced"
"""The tag of a champion with the version that it replaced, or `none`."""

WITHDRAWN: Final = "withdrawn"
"""The tag of a version that a rollback withdrew, with the reason; only a promotion makes it the champion again."""

INTENDED: Final = "intended."
"""Prefix of the tags of a promotion or rollback that is not complete."""

_INTENDED_BY: Final = INTENDED + PROCESS
_WITHDRAWS: Final = "withdraws"
"""The intended tag of a rollback: the version that it withdraws, a space, and the reason."""


def aliases(registry: Registry) -> dict[str, int]:
    """Return the version of each alias; empty if no model is registered.

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
    """Make a version the champion, and write the tags of the decision.

    Args:
        registry: the MLflow registry.
        version: the new champion.
        replacing: the current champion, None without one; the call fails if it has changed.
        record: tags of the version, such as `approved_by`.
        withdrawing: for a rollback, the reason for withdrawing the current champion. The new champion then keeps its
            own rollback target, so that a second rollback goes back further.

    Raises:
        PromotionError: another process moved the champion.
        RegistryError: the registry cannot be reached; then nothing moved.
    """
    target = {REPLACED: _text(replacing)} if withdrawing is None else {_WITHDRAWS: f"{replacing} {withdrawing}"}
    with connected(registry) as client:
        _write_intended(client, version, {**record, **target})
        current = aliases_of(client).get(CHAMPION)
        if current != replacing:
            _remove_intended(client, version)
            raise PromotionError(
                f"Another process made version {current} the champion. Nothing was moved. Compare with the new "
                "champion and decide again."
            )
        client.set_registered_model_alias(MODEL_NAME, CHAMPION, str(version))
        _complete(client, version)
        current = aliases_of(client).get(CHAMPION)
        if current != version:
            raise PromotionError(
                f"Another process made version {current} the champion right after version {version}. Promote version "
                f"{version} again if you want it."
            )


def recover_aliases(registry: Registry) -> None:
    """Complete or remove what a failed or killed promotion or rollback left.

    The caller holds the lock of promotions. Intended tags of other running processes and of other hosts stay.

    Raises:
        RegistryError: the registry cannot be reached.
    """
    with connected(registry) as client:
        champion = aliases_of(client).get(CHAMPION)
        if champion is not None:
            _complete(client, champion)
        for version in client.search_model_versions(f"name='{MODEL_NAME}'"):
            process = version.tags.get(_INTENDED_BY, "")
            if process == current_process() or has_ended(process):
                _remove_intended(client, int(version.version))


def _write_intended(client: Client, version: int, record: Mapping[str, str]) -> None:
    """Write intended tags, the process first, so that no other one is ever without it."""
    _remove_intended(client, version)
    for name, text in {PROCESS: current_process(), **record}.items():
        client.set_model_version_tag(MODEL_NAME, str(version), INTENDED + name, text)


def _complete(client: Client, champion: int) -> None:
    """Rename the intended tags of the champion, and move the other aliases; idempotent."""
    tags = client.get_model_version(MODEL_NAME, str(champion)).tags
    record = {name.removeprefix(INTENDED): text for name, text in tags.items() if name.startswith(INTENDED)}
    if not record:
        return
    record.pop(PROCESS, None)
    withdraws = record.pop(_WITHDRAWS, None)
    for name, text in record.items():
        client.set_model_version_tag(MODEL_NAME, str(champion), name, text)
    if withdraws is not None:
        withdrawn, _, reason = withdraws.partition(" ")
        client.set_model_version_tag(MODEL_NAME, withdrawn, WITHDRAWN, reason)
    elif WITHDRAWN in tags:
        client.delete_model_version_tag(MODEL_NAME, str(champion), WITHDRAWN)
    _move_alias(client, PREVIOUS, {**tags, **record}.get(REPLACED, _text(None)))
    if aliases_of(client).get(CHALLENGER) == champion:
        _move_alias(client, CHALLENGER, _text(None))
    _remove_intended(client, champion)


def _remove_intended(client: Client, version: int) -> None:
    """Remove intended tags, the process last, so that no other one is ever without it."""
    tags = client.get_model_version(MODEL_NAME, str(version)).tags
    for name in sorted(tags, key=lambda name: name == _INTENDED_BY):
        if name.startswith(INTENDED):
            client.delete_model_version_tag(MODEL_NAME, str(version), name)


def _text(version: int | None) -> str:
    return str(version).lower()


def _move_alias(client: Client, alias: str, version: str) -> None:
    """Move an alias to a version, or remove it for `none`."""
    if version != _text(None):
        client.set_registered_model_alias(MODEL_NAME, alias, version)
    elif alias in aliases_of(client):
        client.delete_registered_model_alias(MODEL_NAME, alias)


def set_challenger(registry: Registry, version: int | None) -> None:
    """Make a version the challenger; None removes the alias.

    Raises:
        RegistryError: the registry cannot be reached.
    """
    with connected(registry) as client:
        _move_alias(client, CHALLENGER, _text(version))

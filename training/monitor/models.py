"""The models whose scores are monitored: the bundle of each, and the version under which it is registered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from scoring import Bundle, BundleError
from training.errors import RegistryError
from training.registry import Registry, Version, load_bundle
from training.registry.monitoring import registered

if TYPE_CHECKING:
    from training.monitor.ledger import Ledger

_SHORT: Final = 19
"""Characters of a digest that tell it from any other: `sha256:` and twelve more."""


@dataclass(frozen=True)
class Model:
    """A model that gave scores; `version` is None where none that is registered has its bundle, or none is known."""

    bundle: Bundle
    version: Version | None = None

    @property
    def name(self) -> str:
        """What to call it: `version 3`, or its bundle where no version is known."""
        return f"bundle {short(self.bundle.digest)}" if self.version is None else f"version {self.version.number}"


@dataclass(frozen=True)
class Models:
    """Models by the digest of their bundles.

    Attributes:
        known: those whose bundle could be read.
        lost: digests of the others.
        registry_away: why the registry could not be asked; empty where it could.
    """

    known: Mapping[str, Model] = field(default_factory=dict)
    lost: tuple[str, ...] = ()
    registry_away: str = ""


def short(digest: str) -> str:
    """Return the beginning of a digest: `sha256:9b02cf5a31de`."""
    return digest[:_SHORT]


def models(digests: Iterable[str], ledger: Ledger, registry: Registry) -> Models:
    """Find bundles and versions: bundles where the service keeps them, else in the registry.

    A registry that is away takes the versions with it and nothing else, as long as the bundles are kept.
    """
    wanted = sorted(set(digests))
    away, versions = "", {}
    try:
        versions = registered(registry, wanted)
    except RegistryError as error:
        away = str(error)
    known = {}
    for digest in wanted:
        bundle = ledger.bundle(digest) or _fetched(registry, versions.get(digest))
        if bundle is not None:
            known[digest] = Model(bundle, versions.get(digest))
    return Models(known, tuple(digest for digest in wanted if digest not in known), away)


def _fetched(registry: Registry, version: Version | None) -> Bundle | None:
    if version is None:
        return None
    try:
        return load_bundle(registry, version)
    except (RegistryError, BundleError):
        return None

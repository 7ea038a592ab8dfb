"""Registered versions: found by number, alias or bundle, with what their run logged, and their bundles."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from scoring import Bundle
from training.errors import RegistryError
from training.registry.connection import MODEL_NAME, Registry, connected

if TYPE_CHECKING:
    from training.registry.connection import Client

TESTED: Final = "tested_bundle"
"""The tag with the digest of the bundle whose metrics a run measured."""

TESTED_FOLDER: Final = "tested_bundle"
"""The artifact folder of that bundle, if the registered bundle is another one."""

LATEST: Final = "latest"
"""The name of the version that was registered last; MLflow allows no alias of this name."""

_NUMBER: Final = re.compile(r"-?[0-9]{1,18}")


@dataclass(frozen=True)
class Version:
    """A registered version.

    `params`, `metrics` and `tags` are those of its run; metrics have the names of their findings, such as
    `drift.score_psi`. `record` contains the version's own tags, such as `approved_by`.
    """

    number: int
    run_id: str
    params: Mapping[str, str] = field(repr=False)
    metrics: Mapping[str, float] = field(repr=False)
    tags: Mapping[str, str] = field(repr=False)
    record: Mapping[str, str] = field(repr=False)


def find_version(registry: Registry, wanted: str | int = LATEST) -> Version:
    """Return the version with a number or alias; the latest one by default.

    Example: `find_version(registry, 3)`, `find_version(registry, "champion")`.

    Raises:
        RegistryError: there is no such version or alias, or the registry cannot be reached.
    """
    with connected(registry) as client:
        number = _number(client, str(wanted))
        version = client.get_model_version(MODEL_NAME, str(number))
        run = client.get_run(version.run_id).data
    metrics = {name.replace("/", ".", 1): value for name, value in run.metrics.items()}
    return Version(number, version.run_id, run.params, metrics, run.tags, version.tags)


def find_by_bundle(registry: Registry, digests: Iterable[str]) -> dict[str, Version]:
    """Return the version of each registered bundle; the latest one if a bundle was registered twice.

    Example: `find_by_bundle(registry, ["sha256:9b02..."])["sha256:9b02..."].number` is 3.

    Raises:
        RegistryError: the registry cannot be reached.
    """
    with connected(registry) as client:
        versions = client.search_model_versions(f"name='{MODEL_NAME}'")
    numbers = {each.tags.get("bundle"): each.version for each in sorted(versions, key=lambda each: int(each.version))}
    return {digest: find_version(registry, str(numbers[digest])) for digest in sorted({*digests} & numbers.keys())}


def load_bundle(registry: Registry, version: Version) -> Bundle:
    """Download the bundle of a version, and check that its run logged the same digest.

    Raises:
        RegistryError: the model contains no bundle or another one, or the registry cannot be reached.
        BundleError: the files do not match the manifest.
    """
    return _load(
        registry, version, f"models:/{MODEL_NAME}/{version.number}/artifacts/bundle", version.tags.get("bundle")
    )


def load_tested(registry: Registry, version: Version) -> Bundle:
    """Download the bundle that the run tested, which was not trained on test loans.

    It is the registered bundle, unless the run fitted the model again on all matured loans. Errors are those of
    `load_bundle`.
    """
    digest = version.tags.get(TESTED)
    if digest is None or digest == version.tags.get("bundle"):
        return load_bundle(registry, version)
    return _load(registry, version, f"runs:/{version.run_id}/{TESTED_FOLDER}", digest)


def _load(registry: Registry, version: Version, address: str, digest: str | None) -> Bundle:
    import mlflow.artifacts

    with tempfile.TemporaryDirectory(prefix="sellerscore-") as folder, connected(registry):
        path = Path(mlflow.artifacts.download_artifacts(address, dst_path=folder))
        bundle = Bundle.from_files({file.name: file.read_bytes() for file in path.iterdir()})
    if bundle.digest != digest:
        raise RegistryError(
            f"Version {version.number} of {MODEL_NAME} contains the bundle {bundle.digest}, but its run logged "
            f"{digest}. Train again."
        )
    return bundle


def aliases_of(client: Client) -> dict[str, int]:
    """Return the version of each alias; empty if no model is registered."""
    return {
        alias: int(number)
        for model in client.search_registered_models(f"name='{MODEL_NAME}'")
        for alias, number in model.aliases.items()
    }


def _number(client: Client, wanted: str) -> int:
    versions = sorted(int(version.version) for version in client.search_model_versions(f"name='{MODEL_NAME}'"))
    if not versions:
        raise RegistryError("No model is registered yet. Run `sellerscore train` first.")
    if wanted == LATEST:
        return versions[-1]
    registered = f"Registered versions: {', '.join(map(str, versions))}"
    if _NUMBER.fullmatch(wanted):
        if int(wanted) not in versions:
            raise RegistryError(f"Unknown version {wanted} of {MODEL_NAME}. {registered}.")
        return int(wanted)
    aliases = aliases_of(client)
    if wanted not in aliases:
        raise RegistryError(
            f"Unknown alias {wanted} of {MODEL_NAME}. {registered}; aliases: {', '.join(sorted(aliases)) or 'none'}."
        )
    return aliases[wanted]

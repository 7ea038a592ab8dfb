"""Registered versions: found by number or alias, with what their run logged and the bundle that they hold."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from scoring import Bundle
from scoring.bundle import MANIFEST
from training.errors import RegistryError
from training.registry.connection import MODEL_NAME, Registry, connected

if TYPE_CHECKING:
    from training.registry.connection import Client

_NUMBER: Final = re.compile(r"-?[0-9]{1,18}")

TESTED: Final = "tested_bundle"
"""The tag that names the bundle with which a run measured its figures."""

TESTED_FOLDER: Final = "tested_bundle"
"""The artifacts of a run that hold it, where another bundle serves."""

LATEST: Final = "latest"
"""What asks for the version that was registered last; MLflow keeps this word from being an alias."""


@dataclass(frozen=True)
class Version:
    """A registered version and what is known of it.

    `params`, `metrics` and `tags` are what its run logged, all texts but the metrics, which have the names of their
    findings, such as `drift.score_psi`; `record` holds the version's own tags, among them who approved it.
    """

    number: int
    run_id: str
    params: Mapping[str, str] = field(repr=False)
    metrics: Mapping[str, float] = field(repr=False)
    tags: Mapping[str, str] = field(repr=False)
    record: Mapping[str, str] = field(repr=False)


def find_version(registry: Registry, wanted: str = LATEST) -> Version:
    """Return the version with a number or alias, the latest one unless said otherwise.

    Example: `find(registry, "3")`, `find(registry, "champion")`.

    Raises:
        RegistryError: there is no such version or alias, or the registry cannot be reached.
    """
    with connected(registry) as client:
        number = _number(client, wanted)
        version = client.get_model_version(MODEL_NAME, str(number))
        run = client.get_run(version.run_id).data
    metrics = {name.replace("/", ".", 1): value for name, value in run.metrics.items()}
    return Version(number, version.run_id, run.params, metrics, run.tags, version.tags)


def load_bundle(registry: Registry, version: Version) -> Bundle:
    """Fetch a version's bundle, verified to be the one that its run logged.

    Raises:
        RegistryError: the model holds no bundle, or another; or the registry cannot be reached.
        BundleError: its files do not verify.
    """
    import mlflow.artifacts

    with tempfile.TemporaryDirectory(prefix="sellerscore-") as folder:
        with connected(registry) as client:
            address = client.get_model_version_download_uri(MODEL_NAME, str(version.number))
            root = Path(mlflow.artifacts.download_artifacts(address, dst_path=folder))
        found = [path.parent for path in root.rglob(f"bundle/{MANIFEST}")]
        if len(found) != 1:
            raise RegistryError(f"Version {version.number} of {MODEL_NAME} holds {len(found)} bundles, not one.")
        bundle = Bundle.from_files({file.name: file.read_bytes() for file in found[0].iterdir()})
    if bundle.digest != version.tags.get("bundle"):
        raise RegistryError(
            f"Version {version.number} of {MODEL_NAME} holds the bundle {bundle.digest}, but its run logged "
            f"{version.tags.get('bundle')}; train again."
        )
    return bundle


def load_tested(registry: Registry, version: Version) -> Bundle:
    """Fetch the bundle that a version was tested with, which learnt from no test loan.

    It is the version's own bundle unless the run fitted the recipe again on all matured loans.

    Raises:
        RegistryError: the bundle is not there, or another is; or the registry cannot be reached.
        BundleError: its files do not verify.
    """
    import mlflow.artifacts

    wanted = version.tags.get(TESTED)
    if wanted is None or wanted == version.tags.get("bundle"):
        return load_bundle(registry, version)
    with tempfile.TemporaryDirectory(prefix="sellerscore-") as folder, connected(registry):
        place = Path(mlflow.artifacts.download_artifacts(f"runs:/{version.run_id}/{TESTED_FOLDER}", dst_path=folder))
        bundle = Bundle.from_files({file.name: file.read_bytes() for file in place.iterdir()})
    if bundle.digest != wanted:
        raise RegistryError(
            f"The run of version {version.number} holds the tested bundle {bundle.digest}, but logged {wanted}; train "
            "again."
        )
    return bundle


def aliases_of(client: Client) -> dict[str, int]:
    """Return the version of each alias; empty where no model is registered."""
    return {
        alias: int(number)
        for model in client.search_registered_models(f"name='{MODEL_NAME}'")
        for alias, number in model.aliases.items()
    }


def _number(client: Client, wanted: str) -> int:
    versions = sorted(int(found.version) for found in client.search_model_versions(f"name='{MODEL_NAME}'"))
    if not versions:
        raise RegistryError("No model is registered yet; run `sellerscore train` first.")
    if wanted == LATEST:
        return versions[-1]
    if _NUMBER.fullmatch(wanted):
        if int(wanted) not in versions:
            raise RegistryError(
                f"There is no version {wanted} of {MODEL_NAME}; registered are {', '.join(map(str, versions))}."
            )
        return int(wanted)
    known = aliases_of(client)
    if wanted not in known:
        raise RegistryError(
            f"No version of {MODEL_NAME} has the alias {wanted}; give a number from {', '.join(map(str, versions))}"
            + (f", or {', '.join(sorted(known))}." if known else ".")
        )
    return known[wanted]

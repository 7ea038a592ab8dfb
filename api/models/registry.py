"""The MLflow model registry: loads champion and challenger, and saves their bundles, so that a restart needs no MLflow.

This is the only module of the package that imports mlflow. The registry is read at start and by the model reloader,
never in a request.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from api.errors import ModelMissingError, ModelStoreError, StartError
from api.models.bundle_store import (
    BundlePointer,
    ServedModel,
    drop_pointer,
    load_bundle,
    read_files,
    read_pointer,
    save_bundle,
    save_pointer,
)
from api.settings import Settings
from scoring import Bundle, BundleError, ScoringError

logger = logging.getLogger(__name__)

MODEL_NAME: Final = "sellerscore"

CHAMPION: Final = "champion"

CHALLENGER: Final = "challenger"

EVIDENCE: Final = "evidence_summary"

PUBLISHED: Final = (
    EVIDENCE,
    *("approved_by", "approved_at", "approved_because", "accepted_alarms"),
    *("rolled_back_by", "rolled_back_at", "rolled_back_because"),
)
"""Tags of a registered version that `GET /v1/model` publishes; training writes them."""

_MANIFEST: Final = "manifest.json"

_QUIET: Final = {
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}
"""Our defaults for MLflow: no progress bars, no telemetry, and no minutes of retries for an unreachable server."""


def _describe_error(error: BaseException, uri: str) -> str:
    """Return the message for an error of MLflow, its database or the network. It hides the password of the address."""
    registry = f"The MLflow registry at {_mask_address(uri)}"
    if isinstance(error, ImportError):
        return (
            f"{registry} needs the Python package {error.name}, which is not installed. Install it, or set "
            "MLFLOW_TRACKING_URI to the address of an MLflow server."
        )
    if _is_timeout(error):
        return f"{registry} does not respond. Start it, or set MLFLOW_TRACKING_URI to its address."
    lines = str(error).strip().splitlines() or [type(error).__name__]
    reason = lines[0].replace(uri, _mask_address(uri)).rstrip(".")
    return f"{registry} failed: {reason}. Repair it, or set MLFLOW_TRACKING_URI to another one."


def _mask_address(uri: str) -> str:
    try:
        return make_url(uri).render_as_string()
    except ArgumentError:
        return uri


def _is_timeout(error: BaseException) -> bool:
    """Return whether a network error is the cause. MLflow wraps it in its own exception."""
    from requests.exceptions import ConnectionError as NoConnectionError
    from requests.exceptions import Timeout

    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, NoConnectionError | Timeout):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


@dataclass(frozen=True)
class _RegisteredVersion:
    """The version with an alias. `source` distinguishes equal version numbers of different registries."""

    version: str
    source: str
    record: Mapping[str, str]


class RegistryUnavailableError(Exception):
    """The registry does not exist or does not respond. A saved bundle can be used."""


def load_champion(settings: Settings) -> ServedModel:
    """Load the champion: the saved bundle if the registry is unavailable or has the same version.

    Raises:
        ModelMissingError: The registry has no champion.
        ModelStoreError: The registry is unavailable and no complete bundle is saved; the model has no bundle, or
            another one than was promoted; or the state folder cannot be used.
        BundleError: The bundle in the registry does not verify.
    """
    return _load(settings, CHAMPION)


def load_challenger(settings: Settings) -> ServedModel | None:
    """Load the model with the alias `challenger`; None if there is none or it cannot be used.

    Its errors are only logged, because no caller depends on it.
    """
    try:
        try:
            return _load(settings, CHALLENGER)
        except ModelMissingError:
            drop_pointer(settings, CHALLENGER)
    except (StartError, ScoringError) as error:
        logger.warning("the challenger cannot be used: %s", error)
    return None


def _load(settings: Settings, alias: str) -> ServedModel:
    pointer = read_pointer(settings, alias)
    try:
        found = _find_registered(settings.mlflow_uri, alias)
        if pointer is None or (found.version, found.source) != (pointer.version, pointer.source):
            served = _fetch(settings, found)
            save_pointer(settings, alias, served)
            return served
        record = found.record
    except RegistryUnavailableError as error:
        if pointer is None:
            raise ModelStoreError(str(error)) from error
        logger.warning("%s Using the saved model version %s.", error, pointer.version)
        record = pointer.record
    try:
        bundle = load_bundle(settings, pointer.digest)
    except (BundleError, ModelStoreError) as error:
        bundle = _repair(settings, pointer, error)
    served = ServedModel(bundle, pointer.model_name, pointer.version, pointer.source, record)
    if record != pointer.record:
        # the version may have been approved since
        try:
            save_pointer(settings, alias, served)
        except ModelStoreError as error:
            logger.warning("the tags of model version %s could not be stored: %s", pointer.version, error)
    return served


def fetch_current(settings: Settings, alias: str, loaded: Collection[ServedModel]) -> ServedModel:
    """Return the model that has an alias now: one of the loaded ones, or a new one, which is loaded and saved.

    The pointer is not changed; `save_pointer` does that once the model is active.

    Raises:
        RegistryUnavailableError: The registry does not respond.
        ModelMissingError: No model has the alias.
        ModelStoreError: The model has no bundle, or it cannot be saved.
        BundleError: Its bundle does not verify.
    """
    found = _find_registered(settings.mlflow_uri, alias)
    for each in loaded:
        if (each.version, each.source) == (found.version, found.source):
            return each if each.record == found.record else replace(each, record=found.record)
    return _fetch(settings, found)


def _fetch(settings: Settings, found: _RegisteredVersion) -> ServedModel:
    files = _download(settings.mlflow_uri, found.version)
    bundle = Bundle.from_files(files)
    save_bundle(settings, bundle.digest, files)
    return ServedModel(bundle, MODEL_NAME, found.version, found.source, found.record)


def _repair(settings: Settings, pointer: BundlePointer, damage: Exception) -> Bundle:
    """Download the saved version again. Its digest must not have changed."""
    saved = f"The saved model version {pointer.version} cannot be used: {damage}"
    try:
        files = _download(settings.mlflow_uri, pointer.version)
    except RegistryUnavailableError as error:
        raise ModelStoreError(f"{saved} It cannot be downloaded again either: {error}") from error
    bundle = Bundle.from_files(files)
    if bundle.digest != pointer.digest:
        raise ModelStoreError(
            f"{saved} The registry now has {bundle.digest} under that version instead of the promoted "
            f"{pointer.digest}, so it was rejected. Train a model and promote it."
        )
    save_bundle(settings, pointer.digest, files)
    logger.warning("the saved model version %s was damaged and was downloaded again", pointer.version)
    return bundle


def _find_registered(uri: str, alias: str) -> _RegisteredVersion:
    with _open_registry(uri) as mlflow:
        try:
            found = mlflow.MlflowClient(uri, uri).get_model_version_by_alias(MODEL_NAME, alias)
        except mlflow.tracking.registry.UnsupportedModelRegistryStoreURIException:
            raise
        except mlflow.exceptions.MlflowException as error:
            if error.error_code in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
                raise ModelMissingError(
                    f"No model has the alias {alias} in the registry. Run `sellerscore train` and `sellerscore "
                    "promote`."
                ) from error
            raise
    # the version is a number from a database and text from a server
    record = {name: str(found.tags[name]) for name in PUBLISHED if name in found.tags}
    return _RegisteredVersion(str(found.version), str(found.source), record)


def _download(uri: str, version: str) -> dict[str, bytes]:
    with tempfile.TemporaryDirectory(prefix="sellerscore-") as folder:
        with _open_registry(uri) as mlflow:
            # a models:/ address would be resolved in the default registry of the process
            address = mlflow.MlflowClient(uri, uri).get_model_version_download_uri(MODEL_NAME, version)
            root = mlflow.artifacts.download_artifacts(address, dst_path=folder, tracking_uri=uri)
        found = sorted(Path(root).rglob(f"bundle/{_MANIFEST}"))
        if len(found) != 1:
            raise ModelStoreError(
                f"Version {version} of the model {MODEL_NAME} has {len(found)} bundles instead of one. Train it again."
            )
        return read_files(found[0].parent)


@contextmanager
def _open_registry(uri: str) -> Iterator[Any]:
    """Yield MLflow, and turn the errors of the block into `RegistryUnavailableError`."""
    # mlflow would create an empty database, which takes seconds
    file = make_url(uri).database if uri.startswith("sqlite:///") else None
    if file and not os.path.isfile(file):  # noqa: PTH113 - an unreadable folder is not a registry either
        raise RegistryUnavailableError(
            f"There is no model registry at {file}. Run `sellerscore train` and `sellerscore promote`, or set "
            "MLFLOW_TRACKING_URI to the address of one."
        )
    mlflow = _mlflow()
    try:
        yield mlflow
    except (mlflow.exceptions.MlflowException, ImportError, OSError, SQLAlchemyError) as error:
        raise RegistryUnavailableError(_describe_error(error, uri)) from error


def _mlflow() -> Any:
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    import mlflow
    import mlflow.artifacts

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return mlflow

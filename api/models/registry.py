"""What to say when the model registry cannot be read: one plain sentence with what to do, and no password in it.

Where models come from: champion and challenger of the MLflow registry, kept by digest, so restarts need no MLflow.

The one module of this package that names mlflow. Besides at start, the registry is read by the thread that looks for
another model now and then; never in a request.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Collection, Mapping
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
    write_pointer,
)
from api.settings import Settings
from scoring import Bundle, BundleError, ScoringError


def describe_registry_error(error: BaseException, uri: str) -> str:
    """Return the sentence for a failure of the registry.

    Example: `told(error, "http://anna:secret@127.0.0.1:9")` of a server that is not there is `The MLflow registry at
    http://anna:***@127.0.0.1:9 does not answer; start it, or set MLFLOW_TRACKING_URI to where it is.`

    Args:
        error: what MLflow, its database or the network raised.
        uri: the address of the registry.
    """
    place = f"The MLflow registry at {mask_address(uri)}"
    if isinstance(error, ImportError):
        return (
            f"{place} needs the Python package {error.name}, which is not installed; install it, or set "
            "MLFLOW_TRACKING_URI to the address of an MLflow server."
        )
    if _is_timeout(error):
        return f"{place} does not answer; start it, or set MLFLOW_TRACKING_URI to where it is."
    lines = str(error).strip().splitlines() or [type(error).__name__]
    reason = lines[0].replace(uri, mask_address(uri)).rstrip(".")
    return f"{place} failed: {reason}; mend it, or set MLFLOW_TRACKING_URI to where another is."


def mask_address(uri: str) -> str:
    """Return an address for people to read: a password in it is hidden."""
    try:
        return make_url(uri).render_as_string()
    except ArgumentError:
        return uri


def _is_timeout(error: BaseException) -> bool:
    """Return whether nobody answered over the network: MLflow tells it as a failure of its own, for that reason."""
    from requests.exceptions import ConnectionError as NoConnectionError
    from requests.exceptions import Timeout

    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, NoConnectionError | Timeout):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


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
"""Defaults of ours for mlflow: no bars, no calls home, and no minutes of retries when its server is away."""


@dataclass(frozen=True)
class _RegisteredVersion:
    """The version that has the alias; `source` tells it from one of another registry with the same number."""

    version: str
    source: str
    record: Mapping[str, str]


class RegistryUnavailableError(Exception):
    """The registry is not there or does not answer; a bundle that is kept may serve on."""


def load_champion(settings: Settings) -> ServedModel:
    """Load the model that has the alias `champion`, from what is kept where the registry names the same or is away.

    Raises:
        ModelMissingError: the registry has no champion.
        ModelStoreError: there is no registry, or it does not answer, and nothing whole is kept; the model holds no
            bundle, or another than was promoted; or the state folder cannot be used.
        BundleError: the bundle in the registry does not verify.
    """
    return _load(settings, CHAMPION)


def load_challenger(settings: Settings) -> ServedModel | None:
    """Load the model that has the alias `challenger`, or None where there is none or it cannot be used.

    It is nobody's to rely on, so whatever is wrong with it is a line in the log and no reason not to serve.
    """
    try:
        try:
            return _load(settings, CHALLENGER)
        except ModelMissingError:
            drop_pointer(settings, CHALLENGER)
    except (StartError, ScoringError) as error:
        logger.warning("the challenger, if there is one, cannot be used: %s", error)
    return None


def _load(settings: Settings, alias: str) -> ServedModel:
    pointer = read_pointer(settings, alias)
    try:
        found = _find_registered(settings.mlflow_uri, alias)
        if pointer is None or (found.version, found.source) != (pointer.version, pointer.source):
            served = _fetch(settings, found)
            save_pointer(settings, alias, served)
            return served
        pointer = _with_record(settings, alias, pointer, found)
    except RegistryUnavailableError as error:
        if pointer is None:
            raise ModelStoreError(str(error)) from error
        logger.warning("%s Serving the kept model version %s.", error, pointer.version)
    try:
        bundle = load_bundle(settings, pointer.digest)
    except (BundleError, ModelStoreError) as error:
        bundle = _repair(settings, pointer, error)
    return ServedModel(bundle, pointer.model_name, pointer.version, pointer.source, pointer.record)


def _with_record(settings: Settings, alias: str, pointer: BundlePointer, found: _RegisteredVersion) -> BundlePointer:
    """Return the pointer with the tags that the version has now, and store it; a version may be approved later."""
    if pointer.record == found.record:
        return pointer
    pointer = replace(pointer, record=found.record)
    try:
        write_pointer(settings, alias, pointer)
    except ModelStoreError as error:
        logger.warning("the record of model version %s is not stored for a restart: %s", found.version, error)
    return pointer


def fetch_current(settings: Settings, alias: str, known: Collection[ServedModel]) -> ServedModel:
    """Return the model that has an alias now: one of those that are known, or another, loaded and kept by digest.

    Nothing is remembered for a restart; `remember` does that once it serves.

    Raises:
        RegistryAwayError: the registry does not answer.
        ModelMissingError: no model has the alias.
        ModelStoreError: the model holds no bundle, or none can be kept.
        BundleError: its bundle does not verify.
    """
    found = _find_registered(settings.mlflow_uri, alias)
    for each in known:
        if (each.version, each.source) == (found.version, found.source):
            return each if each.record == found.record else replace(each, record=found.record)
    return _fetch(settings, found)


def save_pointer(settings: Settings, alias: str, served: ServedModel) -> None:
    """Let a restart without the registry serve this model.

    Raises:
        ModelStoreError: the state folder cannot be written.
    """
    digest = served.bundle.digest
    write_pointer(
        settings, alias, BundlePointer(served.model_name, served.version, served.source, digest, served.record)
    )


def _fetch(settings: Settings, found: _RegisteredVersion) -> ServedModel:
    files = _download(settings.mlflow_uri, found.version)
    bundle = Bundle.from_files(files)
    save_bundle(settings, bundle.digest, files)
    return ServedModel(bundle, MODEL_NAME, found.version, found.source, found.record)


def _repair(settings: Settings, pointer: BundlePointer, damage: Exception) -> Bundle:
    """Fetch the kept version again; it must be the very bundle that was promoted."""
    kept = f"The kept model version {pointer.version} cannot be used: {damage}"
    try:
        files = _download(settings.mlflow_uri, pointer.version)
    except RegistryUnavailableError as error:
        raise ModelStoreError(f"{kept} It cannot be fetched again either: {error}") from error
    bundle = Bundle.from_files(files)
    if bundle.digest != pointer.digest:
        raise ModelStoreError(
            f"{kept} The registry now holds {bundle.digest} under that version, not {pointer.digest}, which was "
            "promoted, so it was not taken; train a model and promote it."
        )
    save_bundle(settings, pointer.digest, files)
    logger.warning("the kept model version %s was damaged and is fetched again", pointer.version)
    return bundle


def _find_registered(uri: str, alias: str) -> _RegisteredVersion:
    _require_registry(uri)
    mlflow = _mlflow()
    try:
        found = mlflow.MlflowClient(uri, uri).get_model_version_by_alias(MODEL_NAME, alias)
    except mlflow.tracking.registry.UnsupportedModelRegistryStoreURIException as error:
        raise RegistryUnavailableError(describe_registry_error(error, uri)) from error
    except mlflow.exceptions.MlflowException as error:
        if error.error_code in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
            raise ModelMissingError(
                f"No model has the alias {alias} in the registry; run `sellerscore train` and `sellerscore promote`."
            ) from error
        raise RegistryUnavailableError(describe_registry_error(error, uri)) from error
    except (ImportError, OSError, SQLAlchemyError) as error:
        raise RegistryUnavailableError(describe_registry_error(error, uri)) from error
    # a number from a database, a text from a server
    record = {name: str(found.tags[name]) for name in PUBLISHED if name in found.tags}
    return _RegisteredVersion(str(found.version), str(found.source), record)


def _require_registry(uri: str) -> None:
    # mlflow would make an empty database where there is none, and that takes seconds
    file = make_url(uri).database if uri.startswith("sqlite:///") else None
    if file and not os.path.isfile(file):  # noqa: PTH113 - a folder that may not be read is no registry either
        raise RegistryUnavailableError(
            f"There is no model registry at {file}; run `sellerscore train` and `sellerscore promote`, or set "
            "MLFLOW_TRACKING_URI to where one is."
        )


def _download(uri: str, version: str) -> dict[str, bytes]:
    _require_registry(uri)
    mlflow = _mlflow()
    with tempfile.TemporaryDirectory(prefix="sellerscore-") as folder:
        try:
            # a models:/ address would be looked up in the process's own registry, whatever is passed here
            address = mlflow.MlflowClient(uri, uri).get_model_version_download_uri(MODEL_NAME, version)
            root = mlflow.artifacts.download_artifacts(address, dst_path=folder, tracking_uri=uri)
        except (mlflow.exceptions.MlflowException, ImportError, OSError, SQLAlchemyError) as error:
            raise RegistryUnavailableError(describe_registry_error(error, uri)) from error
        found = sorted(Path(root).rglob(f"bundle/{_MANIFEST}"))
        if len(found) != 1:
            raise ModelStoreError(
                f"Version {version} of the model {MODEL_NAME} holds {len(found)} bundles, not one; train it again."
            )
        return read_files(found[0].parent)


def _mlflow() -> Any:
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    import mlflow
    import mlflow.artifacts

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return mlflow

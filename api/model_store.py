"""Where models come from: champion and challenger of the MLflow registry, kept by digest, so restarts need no MLflow.

The one module of this package that names mlflow. Besides at start, the registry is read by the thread that looks for
another model now and then; never in a request.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from api.errors import ModelMissingError, ModelStoreError, StartError
from api.kept_bundles import Pointer, drop_pointer, keep, load_bundle, read_files, read_pointer, write_pointer
from api.registry_away import told
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
"""Defaults of ours for mlflow: no bars, no calls home, and no minutes of retries when its server is away."""


@dataclass(frozen=True)
class Served:
    """A model in use: its bundle, the name and version it has in the registry, and where that keeps its files.

    `record` holds the tags of the version that are published: its evidence, and who approved it.
    """

    bundle: Bundle
    model_name: str
    version: str
    source: str = ""
    record: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Registered:
    """The version that has the alias; `source` tells it from one of another registry with the same number."""

    version: str
    source: str
    record: Mapping[str, str]


class RegistryAwayError(Exception):
    """The registry is not there or does not answer; a bundle that is kept may serve on."""


def load_champion(settings: Settings) -> Served:
    """Load the model that has the alias `champion`, from what is kept where the registry names the same or is away.

    Raises:
        ModelMissingError: the registry has no champion.
        ModelStoreError: there is no registry, or it does not answer, and nothing whole is kept; the model holds no
            bundle, or another than was promoted; or the state folder cannot be used.
        BundleError: the bundle in the registry does not verify.
    """
    return _load(settings, CHAMPION)


def load_challenger(settings: Settings) -> Served | None:
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


def _load(settings: Settings, alias: str) -> Served:
    pointer = read_pointer(settings, alias)
    try:
        found = _registered(settings.mlflow_uri, alias)
        if pointer is None or (found.version, found.source) != (pointer.version, pointer.source):
            served = _fetched(settings, found)
            remember(settings, alias, served)
            return served
        pointer = _with_record(settings, alias, pointer, found)
    except RegistryAwayError as error:
        if pointer is None:
            raise ModelStoreError(str(error)) from error
        logger.warning("%s Serving the kept model version %s.", error, pointer.version)
    try:
        bundle = load_bundle(settings, pointer.digest)
    except (BundleError, ModelStoreError) as error:
        bundle = _mended(settings, pointer, error)
    return Served(bundle, pointer.model_name, pointer.version, pointer.source, pointer.record)


def _with_record(settings: Settings, alias: str, pointer: Pointer, found: _Registered) -> Pointer:
    """Return the pointer with the tags that the version has now, and store it; a version may be approved later."""
    if pointer.record == found.record:
        return pointer
    pointer = replace(pointer, record=found.record)
    try:
        write_pointer(settings, alias, pointer)
    except ModelStoreError as error:
        logger.warning("the record of model version %s is not stored for a restart: %s", found.version, error)
    return pointer


def latest(settings: Settings, alias: str, known: Collection[Served]) -> Served:
    """Return the model that has an alias now: one of those that are known, or another, loaded and kept by digest.

    Nothing is remembered for a restart; `remember` does that once it serves.

    Raises:
        RegistryAwayError: the registry does not answer.
        ModelMissingError: no model has the alias.
        ModelStoreError: the model holds no bundle, or none can be kept.
        BundleError: its bundle does not verify.
    """
    found = _registered(settings.mlflow_uri, alias)
    for each in known:
        if (each.version, each.source) == (found.version, found.source):
            return each if each.record == found.record else replace(each, record=found.record)
    return _fetched(settings, found)


def remember(settings: Settings, alias: str, served: Served) -> None:
    """Let a restart without the registry serve this model.

    Raises:
        ModelStoreError: the state folder cannot be written.
    """
    digest = served.bundle.digest
    write_pointer(settings, alias, Pointer(served.model_name, served.version, served.source, digest, served.record))


def _fetched(settings: Settings, found: _Registered) -> Served:
    files = _download(settings.mlflow_uri, found.version)
    bundle = Bundle.from_files(files)
    keep(settings, bundle.digest, files)
    return Served(bundle, MODEL_NAME, found.version, found.source, found.record)


def _mended(settings: Settings, pointer: Pointer, damage: Exception) -> Bundle:
    """Fetch the kept version again; it must be the very bundle that was promoted."""
    kept = f"The kept model version {pointer.version} cannot be used: {damage}"
    try:
        files = _download(settings.mlflow_uri, pointer.version)
    except RegistryAwayError as error:
        raise ModelStoreError(f"{kept} It cannot be fetched again either: {error}") from error
    bundle = Bundle.from_files(files)
    if bundle.digest != pointer.digest:
        raise ModelStoreError(
            f"{kept} The registry now holds {bundle.digest} under that version, not {pointer.digest}, which was "
            "promoted, so it was not taken; train a model and promote it."
        )
    keep(settings, pointer.digest, files)
    logger.warning("the kept model version %s was damaged and is fetched again", pointer.version)
    return bundle


def _registered(uri: str, alias: str) -> _Registered:
    _require_registry(uri)
    mlflow = _mlflow()
    try:
        found = mlflow.MlflowClient(uri, uri).get_model_version_by_alias(MODEL_NAME, alias)
    except mlflow.tracking.registry.UnsupportedModelRegistryStoreURIException as error:
        raise RegistryAwayError(told(error, uri)) from error
    except mlflow.exceptions.MlflowException as error:
        if error.error_code in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
            raise ModelMissingError(
                f"No model has the alias {alias} in the registry; run `sellerscore train` and `sellerscore promote`."
            ) from error
        raise RegistryAwayError(told(error, uri)) from error
    except (ImportError, OSError, SQLAlchemyError) as error:
        raise RegistryAwayError(told(error, uri)) from error
    # a number from a database, a text from a server
    record = {name: str(found.tags[name]) for name in PUBLISHED if name in found.tags}
    return _Registered(str(found.version), str(found.source), record)


def _require_registry(uri: str) -> None:
    # mlflow would make an empty database where there is none, and that takes seconds
    file = make_url(uri).database if uri.startswith("sqlite:///") else None
    if file and not os.path.isfile(file):  # noqa: PTH113 - a folder that may not be read is no registry either
        raise RegistryAwayError(
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
            raise RegistryAwayError(told(error, uri)) from error
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

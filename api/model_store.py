"""Where the model comes from: the champion of the MLflow registry, kept by digest so that a restart needs no MLflow.

The one module of this package that names mlflow. It reads the registry only while a service or command starts.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy.exc import SQLAlchemyError

from api.errors import ModelMissingError, ModelStoreError
from api.settings import Settings
from scoring import Bundle

logger = logging.getLogger(__name__)

MODEL_NAME: Final = "sellerscore"
ALIAS: Final = "champion"
_MANIFEST: Final = "manifest.json"
_QUIET: Final = {
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}
"""Defaults of ours for mlflow: no bars, no calls home, and no minutes of retries when its server is away."""


@dataclass(frozen=True)
class Champion:
    """The model in force: its bundle, and the name and version it has in the registry."""

    bundle: Bundle
    model_name: str
    version: str


@dataclass(frozen=True)
class _Pointer:
    """What `champion.json` remembers: the registered version, where its files came from, the digest of its bundle."""

    model_name: str
    version: str
    source: str
    digest: str


@dataclass(frozen=True)
class _Registered:
    """The version that has the alias; `source` tells it from one of another registry with the same number."""

    version: str
    source: str


class _RegistryAwayError(Exception):
    """The registry does not answer; a bundle that is kept may serve on."""


def load_champion(settings: Settings) -> Champion:
    """Load the model that has the alias `champion`, from what is kept where the registry names the same or is away.

    Raises:
        ModelMissingError: the registry has no champion, or there is neither a registry nor a kept bundle.
        ModelStoreError: the registry does not answer and nothing is kept, or the model holds no bundle.
        BundleError: the bundle does not verify.
    """
    pointer = _read_pointer(settings)
    try:
        found = _registered(settings.mlflow_uri)
        if pointer is None or (found.version, found.source) != (pointer.version, pointer.source):
            pointer = _fetch(settings, found)
    except _RegistryAwayError as error:
        if pointer is None:
            raise ModelStoreError(
                f"The model registry does not answer and no model is kept: {error}; start it, or set "
                "SELLERSCORE_MLFLOW_URI to where it is."
            ) from error
        logger.warning("the model registry does not answer; serving the kept model version %s", pointer.version)
    return Champion(load_bundle(settings, pointer.digest), pointer.model_name, pointer.version)


def load_bundle(settings: Settings, digest: str) -> Bundle:
    """Load a kept bundle by its digest, such as `sha256:e3b0...`.

    Raises:
        ModelStoreError: no bundle is kept under the digest, or what is kept is another.
        BundleError: its files do not verify.
    """
    folder = _folder(settings, digest)
    if not folder.is_dir():
        raise ModelStoreError(f"No bundle is kept under {digest}; start once with the model registry reachable.")
    bundle = Bundle.from_files(_read(folder))
    if bundle.digest != digest:
        raise ModelStoreError(f"The bundle kept under {digest} is {bundle.digest}; remove its folder and start again.")
    return bundle


def _fetch(settings: Settings, found: _Registered) -> _Pointer:
    files = _download(settings.mlflow_uri, found.version)
    pointer = _Pointer(MODEL_NAME, found.version, found.source, Bundle.from_files(files).digest)
    _keep(settings, pointer.digest, files)
    _write_durably(settings.home / "champion.json", json.dumps(asdict(pointer), indent=1).encode())
    return pointer


def _registered(uri: str) -> _Registered:
    # mlflow would make an empty database where there is none, and that takes seconds
    if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).is_file():
        raise _RegistryAwayError("there is no registry yet; run `sellerscore train` and `sellerscore promote`")
    mlflow = _mlflow()
    try:
        found = mlflow.MlflowClient(uri, uri).get_model_version_by_alias(MODEL_NAME, ALIAS)
    except mlflow.exceptions.MlflowException as error:
        if error.error_code in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
            raise ModelMissingError(
                f"No model has the alias {ALIAS} in the registry; run `sellerscore train` and `sellerscore promote`."
            ) from error
        raise _RegistryAwayError(_first_line(error)) from error
    except (OSError, SQLAlchemyError) as error:
        raise _RegistryAwayError(_first_line(error)) from error
    # a number from a database, a text from a server
    return _Registered(str(found.version), str(found.source))


def _download(uri: str, version: str) -> dict[str, bytes]:
    mlflow = _mlflow()
    with tempfile.TemporaryDirectory(prefix="sellerscore-") as folder:
        try:
            # a models:/ address would be looked up in the process's own registry, whatever is passed here
            address = mlflow.MlflowClient(uri, uri).get_model_version_download_uri(MODEL_NAME, version)
            root = mlflow.artifacts.download_artifacts(address, dst_path=folder, tracking_uri=uri)
        except (mlflow.exceptions.MlflowException, OSError, SQLAlchemyError) as error:
            raise _RegistryAwayError(_first_line(error)) from error
        found = sorted(Path(root).rglob(f"bundle/{_MANIFEST}"))
        if len(found) != 1:
            raise ModelStoreError(
                f"Version {version} of the model {MODEL_NAME} holds {len(found)} bundles, not one; train it again."
            )
        return _read(found[0].parent)


def _mlflow() -> Any:
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    import mlflow
    import mlflow.artifacts

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return mlflow


def _keep(settings: Settings, digest: str, files: Mapping[str, bytes]) -> None:
    folder = _folder(settings, digest)
    folder.parent.mkdir(parents=True, exist_ok=True)
    if folder.is_dir():
        if _read(folder) == files:
            return
        shutil.rmtree(folder)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".new-") as scratch:
        complete = Path(scratch, "bundle")
        complete.mkdir()
        for name, content in files.items():
            _write_durably(complete / name, content)
        complete.replace(folder)


def _read_pointer(settings: Settings) -> _Pointer | None:
    path = settings.home / "champion.json"
    if not path.exists():
        return None
    try:
        return _Pointer(**json.loads(path.read_bytes()))
    except (ValueError, TypeError) as error:
        raise ModelStoreError(f"The file {path} cannot be read ({error}); remove it and start again.") from error


def _write_durably(path: Path, content: bytes) -> None:
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    with scratch.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)


def _folder(settings: Settings, digest: str) -> Path:
    return settings.home / "bundles" / digest.removeprefix("sha256:")


def _read(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]

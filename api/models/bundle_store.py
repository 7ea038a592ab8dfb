"""Bundles in the state folder, each under its digest, and pointers to the champion and the challenger."""

from __future__ import annotations

import errno
import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import Final

from api.errors import BundleNotKept, ModelStoreError, StartError
from api.kit.files import sync_folder, write_atomically
from api.settings import Settings
from scoring import Bundle, ScoringError

_OCCUPIED: Final = frozenset({errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR})
"""Errors of a rename whose target is a file or a folder with content."""


@dataclass(frozen=True)
class BundlePointer:
    """The content of `champion.json` and `challenger.json`: registered version, source, and digest of the bundle.

    `record` holds the tags of the version that `GET /v1/model` publishes.
    """

    model_name: str
    version: str
    source: str
    digest: str
    record: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ServedModel:
    """A loaded model: its bundle, and its name, version and source in the registry.

    `record` holds the published tags of the version: its evidence and its approval.
    """

    bundle: Bundle
    model_name: str
    version: str
    source: str = ""
    record: Mapping[str, str] = field(default_factory=dict)


def load_bundle(settings: Settings, digest: str) -> Bundle:
    """Load a saved bundle by its digest, such as `sha256:e3b0...`.

    Raises:
        ModelStoreError: No bundle is saved under the digest, or it has another digest.
        BundleError: Its files do not verify.
    """
    folder = _folder(settings, digest)
    if not folder.is_dir():
        raise ModelStoreError(f"No bundle is saved under {digest}. Start once while the model registry is available.")
    try:
        files = read_files(folder)
    except OSError as error:
        raise ModelStoreError(
            f"The bundle in {folder} cannot be read ({error.strerror}). Give this user read access and start again."
        ) from error
    bundle = Bundle.from_files(files)
    if bundle.digest != digest:
        raise ModelStoreError(f"The bundle saved under {digest} is {bundle.digest}. Delete its folder and start again.")
    return bundle


def save_bundle(settings: Settings, digest: str, files: Mapping[str, bytes]) -> None:
    """Save the files of a bundle under its digest, replacing different content.

    The folder appears complete or not at all, and is durable when this returns: scores name the bundle afterwards.

    Raises:
        ModelStoreError: The folder cannot be written.
    """
    folder = _folder(settings, digest)
    with _writing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        if folder.is_dir() and read_files(folder) == files:
            return
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".new-") as scratch:
            complete = Path(scratch, "bundle")
            complete.mkdir()
            for name, content in files.items():
                write_atomically(complete / name, content)
            _put(complete, folder, Path(scratch))
        sync_folder(folder.parent)


def _put(complete: Path, folder: Path, scratch: Path) -> None:
    """Rename a complete folder to its final name. A folder with other content is moved away."""
    for number in count():
        try:
            complete.replace(folder)
        except OSError as error:
            if error.errno not in _OCCUPIED:
                raise
        else:
            return
        # another service that started at the same time may have saved it
        if _is_same(folder, complete):
            return
        # or may have moved it away
        with suppress(FileNotFoundError):
            folder.replace(scratch / f"former-{number}")


def _is_same(folder: Path, complete: Path) -> bool:
    try:
        return read_files(folder) == read_files(complete)
    except OSError:
        return False


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ModelStoreError(
            f"The model cannot be saved in {path} ({error.strerror}). Give this user write access, or set "
            "SELLERSCORE_HOME to another folder."
        ) from error


def save_pointer(settings: Settings, alias: str, served: ServedModel) -> None:
    """Store which model has an alias, for a restart without the registry.

    Raises:
        ModelStoreError: The file cannot be written.
    """
    digest = served.bundle.digest
    pointer = BundlePointer(served.model_name, served.version, served.source, digest, served.record)
    path = _pointer_path(settings, alias)
    with _writing(path):
        write_atomically(path, json.dumps(asdict(pointer), indent=1).encode())


def read_pointer(settings: Settings, alias: str) -> BundlePointer | None:
    """Return which saved bundle has an alias, or None.

    Raises:
        ModelStoreError: The file exists and cannot be read.
    """
    path = _pointer_path(settings, alias)
    try:
        content = json.loads(path.read_bytes())
        # a later version may have written more fields
        return BundlePointer(
            **{name: value for name, value in content.items() if name in BundlePointer.__dataclass_fields__}
        )
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, TypeError, AttributeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ModelStoreError(f"The file {path} cannot be read ({reason}). Delete it and start again.") from error


def drop_pointer(settings: Settings, alias: str) -> None:
    """Delete the pointer of an alias. The bundle stays, because scores may name it.

    Raises:
        ModelStoreError: The file cannot be deleted.
    """
    path = _pointer_path(settings, alias)
    with _writing(path):
        path.unlink(missing_ok=True)


def _pointer_path(settings: Settings, alias: str) -> Path:
    return settings.home / f"{alias}.json"


def _folder(settings: Settings, digest: str) -> Path:
    return settings.home / "bundles" / digest.removeprefix("sha256:")


def read_files(folder: Path) -> dict[str, bytes]:
    """Return the files of a bundle folder by name, for `Bundle.from_files`."""
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


@lru_cache(maxsize=4)
def _load_cached(settings: Settings, digest: str) -> Bundle:
    return load_bundle(settings, digest)


def find_bundle(champion: ServedModel, settings: Settings, digest: str) -> Bundle:
    """Return the bundle that issued a score: the current or a saved one.

    Raises:
        BundleNotKept: It is missing or damaged.
    """
    if digest == champion.bundle.digest:
        return champion.bundle
    try:
        return _load_cached(settings, digest)
    except (StartError, ScoringError) as error:
        raise BundleNotKept from error

"""Bundles kept in the state folder, each under its digest, and the pointers to those in use: champion, challenger.

Here are files alone: where a bundle comes from is the business of `model_store`.
"""

from __future__ import annotations

import errno
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import Final

from api.errors import (
    BundleNotKept,
    ModelStoreError,
    StartError,
)
from api.settings import Settings
from scoring import Bundle, ScoringError

_TAKEN: Final = frozenset({errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR})
"""What a system says where a folder is to take the place of one that holds something, or of a file."""


@dataclass(frozen=True)
class BundlePointer:
    """The content of `champion.json`: the registered version, where its files came from, the digest of its bundle.

    `record` holds the tags of the version that `GET /v1/model` publishes; older files have none. `challenger.json` is
    another.
    """

    model_name: str
    version: str
    source: str
    digest: str
    record: Mapping[str, str] = field(default_factory=dict)


def load_bundle(settings: Settings, digest: str) -> Bundle:
    """Load a kept bundle by its digest, such as `sha256:e3b0...`.

    Raises:
        ModelStoreError: no bundle is kept under the digest, or what is kept is another.
        BundleError: its files do not verify.
    """
    folder = _folder(settings, digest)
    if not folder.is_dir():
        raise ModelStoreError(f"No bundle is kept under {digest}; start once with the model registry reachable.")
    try:
        files = read_files(folder)
    except OSError as error:
        raise ModelStoreError(
            f"The bundle in {folder} cannot be read ({error.strerror}); let this user read it and start again."
        ) from error
    bundle = Bundle.from_files(files)
    if bundle.digest != digest:
        raise ModelStoreError(f"The bundle kept under {digest} is {bundle.digest}; remove its folder and start again.")
    return bundle


def save_bundle(settings: Settings, digest: str, files: Mapping[str, bytes]) -> None:
    """Keep a bundle's files under its digest; what lies there and differs is replaced.

    Whole or not at all, and on the disk when this returns: scores that name the bundle come after it.

    Raises:
        ModelStoreError: the folder cannot be written.
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
                _write_durably(complete / name, content)
            _put(complete, folder, Path(scratch))
        _sync(folder.parent)


def _put(complete: Path, folder: Path, scratch: Path) -> None:
    """Let a folder that is on the disk take its place; one that is not as it should be is moved out of the way."""
    for number in count():
        try:
            complete.replace(folder)
        except OSError as error:
            if error.errno not in _TAKEN:
                raise
        else:
            return
        # another service that began at the same time may have put it there
        if _is_same(folder, complete):
            return
        # or have moved it out of the way
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
            f"The model cannot be kept in {path} ({error.strerror}); let this user write there, or set "
            "SELLERSCORE_HOME to a folder that can be written."
        ) from error


def write_pointer(settings: Settings, alias: str, pointer: BundlePointer) -> None:
    """Remember which kept bundle has an alias; a reader finds the pointer before or this one.

    Raises:
        ModelStoreError: the file cannot be written.
    """
    path = _pointer_path(settings, alias)
    with _writing(path):
        _write_durably(path, json.dumps(asdict(pointer), indent=1).encode())


def read_pointer(settings: Settings, alias: str) -> BundlePointer | None:
    """Return which kept bundle has an alias, or None where none ever had.

    Raises:
        ModelStoreError: the file is there and cannot be read.
    """
    path = _pointer_path(settings, alias)
    try:
        content = json.loads(path.read_bytes())
        # a later program may have written more
        return BundlePointer(
            **{name: value for name, value in content.items() if name in BundlePointer.__dataclass_fields__}
        )
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, TypeError, AttributeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ModelStoreError(f"The file {path} cannot be read ({reason}); remove it and start again.") from error


def drop_pointer(settings: Settings, alias: str) -> None:
    """Forget which kept bundle has an alias; the bundle itself stays, since scores may name it.

    Raises:
        ModelStoreError: the file cannot be removed.
    """
    path = _pointer_path(settings, alias)
    with _writing(path):
        path.unlink(missing_ok=True)


def _write_durably(path: Path, content: bytes) -> None:
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    with scratch.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)
    _sync(path.parent)


def _sync(folder: Path) -> None:
    """Have the disk hold the names in a folder, too."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _pointer_path(settings: Settings, alias: str) -> Path:
    return settings.home / f"{alias}.json"


def _folder(settings: Settings, digest: str) -> Path:
    return settings.home / "bundles" / digest.removeprefix("sha256:")


def read_files(folder: Path) -> dict[str, bytes]:
    """Return the files of a bundle's folder by name, as `Bundle.from_files` takes them."""
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


@dataclass(frozen=True)
class ServedModel:
    """A model in use: its bundle, the name and version it has in the registry, and where that keeps its files.

    `record` holds the tags of the version that are published: its evidence, and who approved it.
    """

    bundle: Bundle
    model_name: str
    version: str
    source: str = ""
    record: Mapping[str, str] = field(default_factory=dict)


@lru_cache(maxsize=4)
def _kept_bundle(settings: Settings, digest: str) -> Bundle:
    return load_bundle(settings, digest)


def find_bundle(champion: ServedModel, settings: Settings, digest: str) -> Bundle:
    """Return the bundle that made a score, the one in force or a kept one.

    Raises:
        BundleNotKept: it is gone or damaged.
    """
    if digest == champion.bundle.digest:
        return champion.bundle
    try:
        return _kept_bundle(settings, digest)
    except (StartError, ScoringError) as error:
        raise BundleNotKept from error

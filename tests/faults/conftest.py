"""Fixtures of fault injection."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.api.conftest import bundle_files  # noqa: F401 - a fixture


@pytest.fixture(scope="session")
def bundle_folder(bundle_files: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: F811
    """The files of a bundle, for another process."""
    folder = tmp_path_factory.mktemp("bundle")
    for name, content in bundle_files.items():
        (folder / name).write_bytes(content)
    return folder

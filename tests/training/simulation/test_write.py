"""Where a delivery cannot be put, the simulation says so in a sentence."""

from datetime import date
from pathlib import Path

import pytest

from training.errors import SimulationError
from training.simulation.write import new_delivery


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(SimulationError, match="lies under a file"),
        new_delivery(tmp_path / "file" / "d", date(2024, 1, 1), "a test"),
    ):
        pass

    # Rights do not bind the superuser, under whom tests may run.
    def refuse(**_: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.mkdtemp", refuse)
    with (
        pytest.raises(SimulationError, match="Permission denied"),
        new_delivery(tmp_path / "d", date(2024, 1, 1), "a test"),
    ):
        pass

"""Every notebook runs from top to bottom on a small marketplace, and is stored without outputs."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

from tests.world import World, shared_world

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return shared_world(tmp_path_factory)


def test_there_is_a_notebook() -> None:
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_stored_without_outputs_and_defines_nothing(path: Path) -> None:
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in cells)
    assert not [cell.source for cell in cells if "\ndef " in f"\n{cell.source}" or "\nclass " in f"\n{cell.source}"]


# Jupyter's kernel speaks over loopback without encryption and warns of it; nothing secret passes there
@pytest.mark.filterwarnings("ignore:.*without encryption")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nbclient import NotebookClient

    monkeypatch.setenv("SELLERSCORE_HOME", str(world.copy(tmp_path).home))
    notebook = nbformat.read(path, as_version=4)
    done = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(ROOT)}}).execute()
    outputs = [output for cell in done.cells if cell.cell_type == "code" for output in cell.outputs]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert any("= score" in output.get("text", "") for output in outputs)

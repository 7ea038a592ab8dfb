"""Every notebook runs from top to bottom on small data, and is stored without outputs."""

from __future__ import annotations

import ast
from pathlib import Path

import nbformat
import pytest

from tests.notebooks.invoices import write_ledger
from tests.world import World, shared_world

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
EVERYDAY = "04"
"""The notebook that runs in every test; all of them run in `make soak`, since each starts a kernel of its own."""
EXPLAINING = ("04", "05")
"""Notebooks that take a score apart and must show that its points add up to it."""


OURS = ("api", "features", "scoring", "training")
RUNNING = [
    pytest.param(path, id=path.stem, marks=() if path.name.startswith(EVERYDAY) else (pytest.mark.soak,))
    for path in NOTEBOOKS
]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return shared_world(tmp_path_factory)


def test_the_notebooks_are_numbered_in_the_order_to_read_them() -> None:
    assert [path.name[:3] for path in NOTEBOOKS] == ["01_", "02_", "03_", "04_", "05_"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_stored_without_outputs_and_defines_nothing(path: Path) -> None:
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in cells)
    source = "\n".join(cell.source for cell in cells).replace("%matplotlib inline", "")
    defining = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    assert not [node for node in ast.walk(ast.parse(source)) if isinstance(node, defining)]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_what_a_notebook_imports_of_ours_is_there(path: Path) -> None:
    cells = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    source = "\n".join(cells).replace("%matplotlib inline", "")
    imports = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom)]
    ours = [node for node in imports if str(node.module).partition(".")[0] in OURS]
    assert ours
    for node in ours:
        names = [alias.name for alias in node.names]
        # the list lets Python import what is a module of its own, as the statement in the notebook does
        module = __import__(str(node.module), fromlist=names)
        assert not [name for name in names if not hasattr(module, name)], node.module


# Jupyter's kernel speaks over loopback without encryption and warns of it; nothing secret passes there
@pytest.mark.filterwarnings("ignore:.*without encryption")
@pytest.mark.slow
@pytest.mark.parametrize("path", RUNNING)
def test_a_notebook_runs(path: Path, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = world.copy(tmp_path).home
    champion = (home / "mlflow.db").read_bytes()
    monkeypatch.setenv("SELLERSCORE_HOME", str(home))
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")  # on data this small, threads only wait for each other
    monkeypatch.setenv("SELLERSCORE_INVOICES", str(write_ledger(tmp_path / "invoices")))

    outputs = _outputs(path)

    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert any("= score" in output.get("text", "") for output in outputs) == path.name.startswith(EXPLAINING)
    assert (home / "mlflow.db").read_bytes() == champion, "a notebook registers and promotes nothing"


@pytest.mark.soak
@pytest.mark.filterwarnings("ignore:.*without encryption")
def test_without_invoices_the_notebook_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from nbclient.exceptions import CellExecutionError

    monkeypatch.setenv("SELLERSCORE_INVOICES", str(tmp_path / "nowhere"))
    with pytest.raises(CellExecutionError, match="set SELLERSCORE_INVOICES to the folder that holds enterprises"):
        _outputs(FOLDER / "05_real_firms_from_invoices.ipynb")


def _outputs(path: Path) -> list[nbformat.NotebookNode]:
    """Run a notebook in a kernel of its own, from its own folder as Jupyter does, and return all that it showed."""
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    done = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(path.parent)}}).execute()
    return [output for cell in done.cells if cell.cell_type == "code" for output in cell.outputs]

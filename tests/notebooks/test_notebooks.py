"""Every notebook runs from top to bottom on small data, and is stored without outputs."""

from __future__ import annotations

import ast
from pathlib import Path

import nbformat
import pytest

from tests.notebooks.invoices import write_invoices
from tests.world import World, shared_world

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
FAST = "04"
"""The notebook that always runs; `make soak` runs all of them, because each needs a separate kernel."""
EXPLAIN_A_SCORE = ("04", "05")
"""Notebooks that explain a score and must show that its points add up."""

PACKAGES = ("api", "features", "scoring", "training")
RUNNING = [
    pytest.param(path, id=path.stem, marks=() if path.name.startswith(FAST) else (pytest.mark.soak,))
    for path in NOTEBOOKS
]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return shared_world(tmp_path_factory)


def test_the_notebooks_are_numbered_in_the_order_to_read_them() -> None:
    assert [path.name[:3] for path in NOTEBOOKS] == ["01_", "02_", "03_", "04_", "05_"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_stored_without_outputs_defines_nothing_and_imports_what_exists(path: Path) -> None:
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in cells)
    source = "\n".join(cell.source for cell in cells).replace("%matplotlib inline", "")
    nodes = list(ast.walk(ast.parse(source)))
    assert not [node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)]
    imports = [node for node in nodes if isinstance(node, ast.ImportFrom)]
    own_imports = [node for node in imports if str(node.module).partition(".")[0] in PACKAGES]
    assert own_imports
    for node in own_imports:
        names = [alias.name for alias in node.names]
        # the list makes Python import submodules too, as the statement in the notebook does
        module = __import__(str(node.module), fromlist=names)
        assert not [name for name in names if not hasattr(module, name)], node.module


# Jupyter's kernel warns that its loopback connection is not encrypted; it carries no secrets
@pytest.mark.filterwarnings("ignore:.*without encryption")
@pytest.mark.slow
@pytest.mark.parametrize("path", RUNNING)
def test_a_notebook_runs(path: Path, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = world.copy(tmp_path).home
    champion = (home / "mlflow.db").read_bytes()
    monkeypatch.setenv("SELLERSCORE_HOME", str(home))
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")  # threads are slower on small data
    monkeypatch.setenv("SELLERSCORE_INVOICES", str(write_invoices(tmp_path / "invoices")))

    outputs = _run(path)

    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert any("= score" in output.get("text", "") for output in outputs) == path.name.startswith(EXPLAIN_A_SCORE)
    assert (home / "mlflow.db").read_bytes() == champion, "a notebook must not register or promote a model"


@pytest.mark.soak
@pytest.mark.filterwarnings("ignore:.*without encryption")
def test_without_invoices_the_notebook_explains_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from nbclient.exceptions import CellExecutionError

    monkeypatch.setenv("SELLERSCORE_INVOICES", str(tmp_path / "missing"))
    with pytest.raises(CellExecutionError, match="Set SELLERSCORE_INVOICES to the folder with enterprises"):
        _run(FOLDER / "05_real_firms_from_invoices.ipynb")


def _run(path: Path) -> list[nbformat.NotebookNode]:
    """Run a notebook in a separate kernel, in its own folder as Jupyter does, and return its outputs."""
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    executed = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(path.parent)}}).execute()
    return [output for cell in executed.cells if cell.cell_type == "code" for output in cell.outputs]

"""Import rules that import-linter cannot check, verified on the syntax trees of all modules."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("scoring", "features", "training", "api")
HOMES = {
    "duckdb": {"features/engines/duckdb.py"},
    "pyspark": {"features/engines/spark.py"},
    "py4j": {"features/engines/spark.py"},
    "numba": {"scoring/kernel/compiled.py"},
    "mlflow": {"training/registry/", "training/served_model.py", "api/models/registry.py"},
}
"""Libraries that only these files and packages may import; MLflow executes `served_model` itself."""

PURE = {"scoring", "numpy", "lightgbm", "numba"} | (
    set(sys.stdlib_module_names) - {"os", "io", "pathlib", "socket", "sqlite3", "time", "tempfile", "shutil", "random"}
)


def modules(*packages: str) -> list[Path]:
    return [path for package in packages for path in sorted((ROOT / package).rglob("*.py"))]


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {module_name(path): path for path in modules(*PACKAGES)}


@cache
def nodes(path: Path) -> tuple[ast.Import | ast.ImportFrom | ast.Call | ast.Attribute, ...]:
    """Return the imports, calls and attributes of a file at any depth, also under `TYPE_CHECKING`."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return tuple(
        node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom | ast.Call | ast.Attribute)
    )


def imported_names(path: Path) -> Iterator[str]:
    """Yield the modules that a file imports: `a.b` for `from a import b` if that is a module, else `a`."""
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module is not None, f"{path} has a relative import"
            assert node.level == 0, f"{path} has a relative import"
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                yield submodule if submodule in NAMES else node.module


def top(name: str) -> str:
    return name.partition(".")[0]


def importers(library: str, *packages: str) -> set[str]:
    return {
        path.relative_to(ROOT).as_posix() for path in modules(*packages) if library in map(top, imported_names(path))
    }


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_has_no_circular_imports(package: str) -> None:
    graph = {
        name: {target for target in imported_names(path) if top(target) == package and target in NAMES} - {name}
        for name, path in NAMES.items()
        if top(name) == package
    }
    assert sum(map(len, graph.values())) > 10
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"circular import: {' -> '.join(reversed(error.args[1]))}")


@pytest.mark.parametrize("library", HOMES)
def test_a_library_behind_an_adapter_is_imported_by_its_adapter_only(library: str) -> None:
    # features/engines/duckdb.py reaches DuckDB through Ibis and need not import it
    assert not [path for path in importers(library, *PACKAGES) if not path.startswith(tuple(HOMES[library]))]


def test_the_service_never_loads_shap() -> None:
    assert importers("shap", *PACKAGES)
    assert not importers("shap", "api", "scoring", "features")


def test_only_engines_open_ibis_backends() -> None:
    opening = {
        path.relative_to(ROOT).as_posix()
        for path in modules(*PACKAGES)
        for node in nodes(path)
        if isinstance(node, ast.Attribute) and node.attr == "connect" and ast.unparse(node.value).startswith("ibis")
    }
    assert opening == {"features/engines/duckdb.py", "features/engines/spark.py"}


@pytest.mark.parametrize("path", modules("scoring"), ids=lambda path: path.name)
def test_scoring_is_pure(path: Path) -> None:
    assert set(map(top, imported_names(path))) <= PURE
    called = {ast.unparse(node.func) for node in nodes(path) if isinstance(node, ast.Call)}
    assert called.isdisjoint({"open", "print", "date.today", "datetime.now", "np.random.default_rng"})


@pytest.mark.parametrize("path", modules("features/catalogue"), ids=lambda path: path.name)
def test_definitions_have_no_engine_code(path: Path) -> None:
    allowed = {"features.catalogue", "features.expressions", "features.errors", "features.facts", "features.festivals"}
    own = {name for name in imported_names(path) if top(name) in PACKAGES}
    assert all(any(name == module or name.startswith(module + ".") for module in allowed) for name in own)
    assert not {"ibis", "pandas", "pyarrow"} & set(map(top, imported_names(path)))


def test_the_mlflow_folder_has_no_python_file() -> None:
    assert not list((ROOT / "mlflow").rglob("*.py"))


def test_the_command_starts_without_heavy_libraries() -> None:
    code = "import sys, sellerscore; print([n for n in sys.modules if '.' not in n])"
    loaded = set(
        ast.literal_eval(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout.decode())
    )
    heavy = {"pandas", "ibis", "duckdb", "pyspark", "lightgbm", "numba", "mlflow", "shap", "sklearn", "matplotlib"}
    heavy |= {"fastapi", "sqlalchemy"}
    assert not heavy & loaded

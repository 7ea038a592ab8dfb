"""No circular imports: imports inside functions and under `TYPE_CHECKING` count as well."""

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("scoring", "features", "training", "api")

Graph = Mapping[str, set[str]]


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_modules(tree: ast.Module, package: str, modules: set[str]) -> Iterator[str]:
    """Yield the modules that a file imports; `package` resolves its relative imports.

    `from a import b` is an import of `a.b` if that is a module, else of `a`.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            source = ".".join([*above, *filter(None, [node.module])])
            for alias in node.names:
                submodule = f"{source}.{alias.name}"
                yield submodule if submodule in modules else source


@cache
def module_graph() -> Graph:
    """Return the imports of each module of the four packages, by full name."""
    paths = {module_name(path): path for package in PACKAGES for path in (ROOT / package).rglob("*.py")}
    graph = {}
    for name, path in paths.items():
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        tree = ast.parse(path.read_text(encoding="utf-8"))
        graph[name] = {target for target in imported_modules(tree, package, set(paths)) if target in paths} - {name}
    return graph


def cycles(graph: Graph) -> list[set[str]]:
    """Return the strongly connected components of more than one module (Kosaraju's algorithm)."""
    order: list[str] = []
    visited: set[str] = set()

    def visit(name: str, edges: Graph, finished: list[str]) -> None:
        visited.add(name)
        for target in sorted(edges.get(name, ())):
            if target not in visited:
                visit(target, edges, finished)
        finished.append(name)

    for name in graph:
        if name not in visited:
            visit(name, graph, order)
    importers: dict[str, set[str]] = {name: set() for name in graph}
    for name, targets in graph.items():
        for target in targets:
            importers[target].add(name)
    visited.clear()
    components = []
    for name in reversed(order):
        if name not in visited:
            component: list[str] = []
            visit(name, importers, component)
            components.append(set(component))
    return [component for component in components if len(component) > 1]


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_has_no_circular_imports(package: str) -> None:
    graph = module_graph()
    assert any(name.startswith(f"{package}.") for name in graph)
    assert [sorted(cycle) for cycle in cycles(graph) if any(name.split(".")[0] == package for name in cycle)] == []


def test_the_graph_has_an_import_order() -> None:
    """Check the search above independently: the standard library sorts the modules topologically."""
    try:
        TopologicalSorter(module_graph()).prepare()
    except CycleError as error:
        pytest.fail(f"circular import: {' -> '.join(reversed(error.args[1]))}")


def test_a_cycle_is_found() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set(), "e": {"a", "f"}, "f": {"e"}}
    assert sorted(map(sorted, cycles(graph))) == [["b", "c"], ["e", "f"]]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import a.b.c", {"a.b.c"}),
        ("from a.b import c", {"a.b.c"}),
        ("from a.b import name", {"a.b"}),
        ("from a import b, name", {"a.b", "a"}),
        ("from . import c", {"a.b.c"}),
        ("from .c import name", {"a.b.c"}),
        ("from .. import b", {"a.b"}),
        ("def f():\n    from a import b", {"a.b"}),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import a", {"typing", "a"}),
    ],
)
def test_imports_are_resolved_at_any_depth(source: str, expected: set[str]) -> None:
    assert set(imported_modules(ast.parse(source), "a.b", {"a", "a.b", "a.b.c"})) == expected

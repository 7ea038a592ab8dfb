"""README and docs name existing commands, targets and files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer.main
from typer.testing import CliRunner

import sellerscore
from features.catalogue import CATALOGUE
from features.describe import markdown
from features.importers import shipped_mappings

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES += [ROOT / "mlflow" / "README.md"]
COMMANDS = set(typer.main.get_command(sellerscore.app).commands)  # type: ignore[attr-defined]
LINK_TO_ANCHOR = re.compile(r"\]\(([^)#:]*)#([^)]+)\)")


def anchors_of(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub names them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_anchors_targets_and_commands_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link]
    assert not [link for link in links if not (page.parent / link).exists()]
    targets = set(re.findall(r"^(\w[\w-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"(?<=`)make ([a-z-]+)", text)) <= targets
    assert set(re.findall(r"`sellerscore ([a-z][a-z-]+)", text)) <= COMMANDS
    anchors = [(page.parent / file if file else page, anchor) for file, anchor in LINK_TO_ANCHOR.findall(text)]
    assert not [(str(target), anchor) for target, anchor in anchors if anchor not in anchors_of(target)]


def test_the_index_links_every_page() -> None:
    linked = set(re.findall(r"\]\(([^)#]+)\)", (ROOT / "docs" / "index.md").read_text(encoding="utf-8")))
    pages = {page.name for page in (ROOT / "docs").glob("*.md")} - {"index.md"}
    assert not pages - linked


def test_readme_is_short_and_shows_both_commands_and_a_score() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 80
    assert {"make run", "make test"} <= set(re.findall(r"make (?:run|test)", text))
    points_shown = [int(points) for points in re.findall(r"([+-]\d+) [ █▒]+\n", text)]
    assert re.search(r"^Score +\d+$", text, re.MULTILINE)
    assert len(points_shown) >= 5


def test_readme_states_the_number_of_features() -> None:
    scored = sum(feature.scored for feature in CATALOGUE)
    stated = f"{len(CATALOGUE)} features, {scored} of which may be scored"
    assert stated in (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_command_has_help_with_an_example() -> None:
    runner = CliRunner()
    assert set(re.findall(r"[a-z-]+", runner.invoke(sellerscore.app, ["--help"]).output)) >= COMMANDS
    for name in sorted(COMMANDS):
        result = runner.invoke(sellerscore.app, [name, "--help"])
        assert result.exit_code == 0
        assert f"Example: sellerscore {name}" in " ".join(result.output.split())


def test_the_features_page_equals_its_generated_text() -> None:
    assert (ROOT / "docs" / "features.md").read_text(encoding="utf-8") == markdown(), "run make docs"


def test_the_data_contract_names_every_importer() -> None:
    page = (ROOT / "docs" / "data-contract.md").read_text(encoding="utf-8")
    assert all(f"| `{name}` |" in page for name in shipped_mappings())


def test_a_lock_names_no_index() -> None:
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    assert not [line for line in lines if re.search(r"https?://|--(extra-)?index-url|--find-links", line)]
    pinned = [line for line in lines if re.match(r"[a-zA-Z]", line)]
    assert all("==" in line for line in pinned)
    assert sum("--hash=sha256:" in line for line in lines) >= len(pinned)

"""Small exports and mappings for tests."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from features.importers import (
    ImportOptions,
    ImportReport,
    SourceReport,
    find_mapping,
    import_delivery,
    read_mapping,
    write_template,
)
from features.ingest import OperatingStore, ingest, open_store
from tests.features.ingest.build import accepted

TOML = (Path("features") / "importers" / "template" / "mapping.toml").resolve().read_text(encoding="utf-8")
"""The template of mapping.toml."""


def write_rows(path: Path, rows: Sequence[Mapping[str, object]], delimiter: str = ",", encoding: str = "utf-8") -> Path:
    """Write rows as a text file with the columns of the first row; None is empty."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]), delimiter=delimiter, lineterminator="\n")
    writer.writeheader()
    writer.writerows([dict(row) for row in rows])
    path.write_bytes(text.getvalue().encode(encoding))
    return path


def import_and_ingest(
    name: str, source: Path, folder: Path, usd_per_unit: float | None = None, **settings: str
) -> tuple[ImportReport, OperatingStore]:
    """Import an export with a shipped mapping and ingest it; no row may be quarantined."""
    report = import_delivery(find_mapping(name), source, folder / "d", ImportOptions(settings, usd_per_unit))
    ingested = ingest(folder / "d", folder / "s")
    assert all(not table.quarantined for table in ingested.tables), ingested
    return report, open_store(folder / "s")


def find_report(report: ImportReport, source: str) -> SourceReport:
    return next(counts for counts in report.sources if counts.source == source)


def values(store: OperatingStore, table: str, *columns: str) -> list[Any]:
    """Return the accepted values of a table ordered by key: of one column, or tuples of several columns."""
    rows = [tuple(row[column] for column in columns) for row in accepted(store, table)]
    return rows if len(columns) > 1 else [row for (row,) in rows]


def template(folder: Path, **files: str | None) -> Path:
    """Write the template mapping with some files replaced, or deleted if None."""
    write_template(folder)
    for name, text in files.items():
        path = folder / (f"{name}.toml" if name == "mapping" else f"{name}.sql")
        if text is None:
            path.unlink()
        else:
            path.write_text(text)
    return folder


def rewrite_orders(folder: Path, *changes: tuple[str, str], more: str = "", encoding: str = "utf-8") -> Path:
    """Replace texts in the template's example of orders, add lines, and return the folder of the mapping."""
    path = folder / "example" / "orders.csv"
    text = path.read_text(encoding="utf-8") + more
    for old, new in changes:
        text = text.replace(old, new)
    path.write_bytes(text.encode(encoding))
    return folder


def run_template(folder: Path, out: Path, source: Path | None = None, **options: object) -> ImportReport:
    import_options = ImportOptions({"seller_id": "S1"}, **options)  # type: ignore[arg-type]
    return import_delivery(read_mapping(folder), source or folder / "example", out, import_options)

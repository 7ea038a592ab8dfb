"""Small exports and mappings for tests."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from features.importers import ImportOptions, ImportReport, find_mapping, import_delivery, read_mapping, write_template
from features.ingest import OperatingStore, ingest, open_store

NOW = datetime(2026, 6, 1)  # noqa: DTZ001 - as the contract's times


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


def run_template(folder: Path, out: Path, source: Path | None = None, **options: object) -> ImportReport:
    """Import the template's example, or another export, with the mapping in a folder."""
    import_options = ImportOptions({"seller_id": "S1"}, **options)  # type: ignore[arg-type]
    return import_delivery(read_mapping(folder), source or folder / "example", out, import_options)

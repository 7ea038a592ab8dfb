"""A ledger of sales and purchase invoices becomes a delivery: an order for a sale, a refund for a red-letter invoice.

Writes a folder for `ingest` and accounts for every row of the ledger. A bank's own rating in the ledger is never read.
"""

from __future__ import annotations

import csv
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Final

from features.engines.duckdb import engine_errors, open_engine
from features.errors import DeliveryError, FeaturesError
from features.intake.delivery import TERMS_FILE, ConstantRate, constant_rate
from features.intake.invoice_report import InvoiceReport

LABELS_FILE: Final = "labels.csv"
"""Beside the tables, for training: seller_id, bad (true or false), as_of. Intake does not read it."""


def import_invoices(source: Path, out: Path, usd_per_unit: float, currency: str = "CNY") -> InvoiceReport:
    """Write the invoices in the folder `source` as a delivery into the new folder `out`.

    `source` holds `enterprises`, `sales_invoices` and `purchase_invoices`, each as Parquet or CSV. An enterprise is a
    seller with one store, known from its first invoice on. Amounts include tax. `known_at` is the invoice's date.

    | invoice | becomes |
    |---|---|
    | sale, valid, positive | order |
    | sale, valid, negative (red-letter) | refund without an order |
    | sale, void, positive | order, and its cancel the same day |
    | sale, void, negative | not mapped: a refund that never was leaves no trace in trade |
    | sale of zero, valid or void | not mapped: a spoilt form, no trade |
    | purchase, valid, positive | purchase |
    | purchase, negative, void or zero | not mapped: the contract knows no reduction of purchases |

    Example: `import_invoices(Path("ledger"), Path("delivery"), usd_per_unit=0.145)`.

    Raises:
        DeliveryError: a file or column is missing or unreadable, the rate or currency cannot be one, or `out` holds
            files already or cannot be written. `out` is then as it was.
    """
    rate = constant_rate(currency, usd_per_unit)
    if not source.is_dir():
        raise DeliveryError(f"{source} is not a folder; name the folder that holds the invoices")
    with _new_folder(out) as draft:
        return _write(source, draft, rate)


@contextmanager
def _new_folder(out: Path) -> Iterator[Path]:
    """Yield a folder beside `out` that takes its place at the end, if nothing was raised until then."""
    try:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise DeliveryError(f"{out} is not empty; name a new folder for the delivery")
        out.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
        try:
            yield draft
            draft.chmod(0o755)
            draft.replace(out)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise DeliveryError(f"{out} lies under a file; name a new folder for the delivery") from error
    except OSError as error:
        raise DeliveryError(
            f"{out} cannot be written: {error.strerror or error}; name a new folder where you may write"
        ) from error


def _write(source: Path, draft: Path, rate: ConstantRate) -> InvoiceReport:
    from features.intake.ledger_tables import tables_of
    from features.intake.ledgers import open_ledgers

    work = draft / "work"
    work.mkdir()
    # One thread keeps rows in order, so that the same ledger gives the same bytes and thus the same delivery.
    with open_engine(threads=1) as engine:
        try:
            ledgers = open_ledgers(engine, source, work)
            tables = tables_of(ledgers, rate.currency)
            for name, rows in tables.items():
                rows.to_parquet(draft / f"{name}.parquet", compression="zstd")
            written = {name: ledgers.count(draft / f"{name}.parquet") for name in tables}
            report = InvoiceReport(ledgers.reports(), written, len(ledgers.labels), ledgers.covers_through)
        except engine_errors() as error:
            raise DeliveryError(f"{source} could not be imported: {str(error).strip().splitlines()[0]}") from error
    _expect_complete(report)
    shutil.rmtree(work)
    _write_labels(draft / LABELS_FILE, ledgers.labels, report.covers_through)
    _write_terms(draft / TERMS_FILE, list(tables), report.covers_through, rate)
    return report


def _expect_complete(report: InvoiceReport) -> None:
    """Hold the rows that were written against the rows that were mapped."""
    mapped: dict[str, int] = {}
    for ledger in report.ledgers:
        mapped |= ledger.mapped
    cancelled = mapped.get("cancelled_order", 0)
    expected = {
        "sellers": mapped.get("seller", 0),
        "stores": mapped.get("seller", 0),
        "orders": mapped.get("order", 0) + cancelled,
        "refunds": mapped.get("refund", 0) + cancelled,
        "purchases": mapped.get("purchase", 0),
    }
    if expected != dict(report.written):
        raise FeaturesError(f"the rows written, {dict(report.written)}, are not those mapped, {expected}")


def _write_labels(path: Path, labels: Mapping[str, bool], as_of: date) -> None:
    if not labels:
        return
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("seller_id", "bad", "as_of"))
        writer.writerows((seller, str(bad).lower(), as_of.isoformat()) for seller, bad in sorted(labels.items()))


def _write_terms(path: Path, tables: list[str], covered: date, rate: ConstantRate) -> None:
    terms = {"covers_through": {table: covered.isoformat() for table in tables}, "constant_rate": asdict(rate)}
    path.write_text(json.dumps(terms, indent=2) + "\n", encoding="utf-8")

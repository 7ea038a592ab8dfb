"""Deliveries of operating data in: validated row by row, stored whole or not at all, read back by table."""

from features.intake.erasing import erase_rows
from features.intake.ingestion import ingest
from features.intake.invoice_report import InvoiceReport, LedgerReport
from features.intake.invoices import import_invoices
from features.intake.report import IntakeReport, TableReport
from features.intake.store import OperatingStore, StoredDelivery, open_store

__all__ = [
    "IntakeReport",
    "InvoiceReport",
    "LedgerReport",
    "OperatingStore",
    "StoredDelivery",
    "TableReport",
    "erase_rows",
    "import_invoices",
    "ingest",
    "open_store",
]

"""Ingest of operating data: validate deliveries row by row, store them atomically, and read them by table."""

from features.ingest.erasure import erase_rows
from features.ingest.ingest_delivery import ingest
from features.ingest.report import IngestReport, TableReport, read_report
from features.store.operating import OperatingStore, StoredDelivery, open_store

__all__ = [
    "IngestReport",
    "OperatingStore",
    "StoredDelivery",
    "TableReport",
    "erase_rows",
    "ingest",
    "open_store",
    "read_report",
]

"""Deliveries of operating data in: validated row by row, stored whole or not at all, read back by table."""

from features.ingest.erasure import erase_rows
from features.ingest.ingest_delivery import ingest
from features.ingest.report import IngestReport, TableReport
from features.store.operating import OperatingStore, StoredDelivery, open_store

__all__ = [
    "IngestReport",
    "OperatingStore",
    "StoredDelivery",
    "TableReport",
    "erase_rows",
    "ingest",
    "open_store",
]

"""Deliveries of operating data in: validated row by row, stored whole or not at all, read back by table."""

from features.intake.erasing import erase_rows
from features.intake.ingestion import ingest
from features.intake.report import IntakeReport, TableReport
from features.intake.store import OperatingStore, StoredDelivery, open_store

__all__ = [
    "IntakeReport",
    "OperatingStore",
    "StoredDelivery",
    "TableReport",
    "erase_rows",
    "ingest",
    "open_store",
]

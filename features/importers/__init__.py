"""Importers: convert exports of shops and marketplaces into deliveries for `ingest`, by SQL mappings."""

from features.importers.check import Check, check_mapping
from features.importers.mapping import Mapping, find_mapping, read_mapping, shipped_mappings, write_template
from features.importers.report import ImportReport, SourceReport
from features.importers.run import ImportOptions, import_delivery

__all__ = [
    "Check",
    "ImportOptions",
    "ImportReport",
    "Mapping",
    "SourceReport",
    "check_mapping",
    "find_mapping",
    "import_delivery",
    "read_mapping",
    "shipped_mappings",
    "write_template",
]

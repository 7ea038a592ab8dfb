"""The data quality page of a delivery: row status, quarantine, coverage, lateness, drift and column summaries."""

from features.quality.page import write_page

__all__ = ["write_page"]

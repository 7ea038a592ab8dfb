"""Reason catalogues for tests: a statement for every scored feature of a sheet."""

from __future__ import annotations

from collections.abc import Iterable

from scoring.reason_catalogue import GroupEntry, ReasonCatalogue, ReasonEntry, Texts, Wording
from scoring.sheet import FeatureEntry


def reason_catalogue(entries: Iterable[FeatureEntry], version: str = "2026-01") -> ReasonCatalogue:
    """Return statements for each scored feature, and labels for its reason groups and tables."""
    scored = [entry for entry in entries if entry.scored]
    groups = dict.fromkeys(entry.reason_group for entry in scored)
    tables = sorted({table for entry in scored for table in entry.tables})
    return ReasonCatalogue(
        version,
        tuple(GroupEntry(group, Wording(f"About {group}", f"{group}组")) for group in groups),
        tuple(_entry(entry) for entry in scored),
        {table: Wording(f"The data of {table}", f"{table}数据") for table in tables},
        _texts("{table} were not delivered", "未提供{table}"),
        _texts("{table} end on {through}", "{table}截至{through}"),
    )


def _entry(entry: FeatureEntry) -> ReasonEntry:
    side = _texts(
        f"{entry.label} {entry.side}: {{value}}, typical {{typical}}", f"{entry.label}：{{value}}（{{typical}}）"
    )
    return ReasonEntry(entry.name, side, _texts(f"{entry.label} not known", f"{entry.label}未知"))


def _texts(english: str, chinese: str) -> Texts:
    return Texts(*(Wording(f"{english} ({reader})", chinese) for reader in ("bank", "seller", "letter")))

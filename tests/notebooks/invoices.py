"""Generated invoices of small firms: some repaid, some defaulted, some have no record."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

import numpy as np

_FIRST = date(2018, 1, 1)
_DAYS = 540
_AMOUNTS = ("total_amount", "net_amount", "tax_amount")


def write_invoices(folder: Path, repaid: int = 38, defaulted: int = 26, unknown: int = 6) -> Path:
    """Write a folder for the importer `invoices`; firms that defaulted have more returns and lower sales at the end."""
    rng = np.random.default_rng(7)
    outcomes = ["false"] * repaid + ["true"] * defaulted + [""] * unknown
    firms = [(f"E{number}", outcome) for number, outcome in enumerate(outcomes)]
    folder.mkdir()
    _write(folder / "enterprises.csv", ("enterprise_id", "defaulted"), firms)
    for name, partner in (("sales", "buyer_id"), ("purchase", "supplier_id")):
        columns = ("enterprise_id", "invoice_no", "invoice_date", partner, "status", *_AMOUNTS)
        rows = [
            row for firm, outcome in firms for row in _invoices(rng, firm, defaulted=outcome == "true", partner=name)
        ]
        _write(folder / f"{name}_invoices.csv", columns, rows)
    return folder


def _invoices(rng: np.random.Generator, firm: str, *, defaulted: bool, partner: str) -> list[tuple[object, ...]]:
    days = np.sort(rng.integers(0, _DAYS, 60))
    returned = rng.random(60) < rng.uniform(0.05, 0.2 if defaulted else 0.12)
    amounts = np.round(rng.lognormal(7.0, 0.9, 60) * np.where(defaulted, 1.0 - 0.4 * days / _DAYS, 1.0), 2)
    return [
        (
            firm,
            number,
            _FIRST + timedelta(days=int(days[number])),
            f"{partner[0].upper()}{rng.integers(12)}",
            "void" if rng.random() < 0.05 else "valid",
            *(amounts[number] * (-1 if returned[number] else 1), 0, 0),
        )
        for number in range(60)
    ]


def _write(path: Path, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(columns)
        writer.writerows(rows)

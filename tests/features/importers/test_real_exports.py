"""Every row of the real exports is mapped or counted with a reason."""

import os
from pathlib import Path

import pytest

from tests.features.importers.exports import import_and_ingest

SHARED = Path(os.environ.get("SELLERSCORE_SHARED_DATA", "../shared/data"))


EXPORTS = {
    "koubei": ("koubei", 0.15, [1_333, 312_426, 80_708], {}, 34_432_587, 0),
    "invoices": ("sme-invoices", 0.145, [425, 493_319, 606_122], None, 468_981, 123),
    "online-retail": (
        "online-retail",
        1.58,
        [541_909],
        {"adjustment": 3, "fee": 87, "price_of_zero": 2_515},
        19_946,
        0,
    ),
}
"""Folder, US dollars per unit, rows of each source, rows by reason (None: not compared), orders and labels."""


@pytest.mark.soak
@pytest.mark.parametrize("name", EXPORTS)
def test_every_row_is_counted(name: str, tmp_path: Path) -> None:
    folder, rate, read, not_mapped, orders, labels = EXPORTS[name]
    if not (SHARED / folder).is_dir():
        pytest.skip(f"no data in {SHARED / folder}; set SELLERSCORE_SHARED_DATA to the folder that holds them")
    report, store = import_and_ingest(name, SHARED / folder, tmp_path, usd_per_unit=rate)
    assert [counts.read for counts in report.sources] == read
    reasons = {reason: rows for counts in report.sources for reason, rows in counts.not_mapped.items()}
    assert not_mapped in (None, reasons)
    assert (store.rows("orders"), report.labels) == (orders, labels)

"""The invoice mapping: every invoice is mapped as documented, or counted with a reason."""

import csv
from datetime import date
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.errors import FeaturesError
from features.importers import ImportOptions, ImportReport, find_mapping, import_delivery
from features.ingest import ingest, open_store
from features.ingest.delivery import open_delivery
from tests.features.ingest.build import accepted

MARCH = date(2019, 3, 1)
SALES = [
    ("E1", "100", MARCH, "B1", "11300", "valid"),
    ("E1", "100", MARCH, "B1", "11300", "valid"),  # the same row again
    ("E1", "100", date(2019, 5, 1), "B2", "50", "valid"),  # the number again, another invoice
    ("E1", "101", MARCH, "B1", "-300", "valid"),
    ("E1", "102", MARCH, "B1", "70", "void"),
    ("E1", "103", MARCH, "B1", "-70", "void"),
    ("E1", "104", MARCH, "B1", "0", "void"),
    ("E1", "105", MARCH, "B1", "5", "draft"),
    ("E9", "106", MARCH, "B1", "5", "valid"),
    ("E1", "107", None, "B1", "5", "valid"),
    ("E1", "108", MARCH, "B1", None, "valid"),
]
PURCHASES = [
    ("E1", "7", date(2019, 2, 27), "A1", "40", "valid"),
    ("E1", "8", MARCH, "A1", "-4", "valid"),
    ("E1", "9", MARCH, "A1", "4", "void"),
    ("E2", "9", date(2019, 6, 30), "A1", "4", "valid"),
]
FIRMS = "enterprise_id,masked_name,credit_rating,defaulted\nE1,**A,A,false\nE2,**B,D,true\nE3,**C,B,true\n"


def ledger(folder: Path, firms: str = FIRMS) -> Path:
    folder.mkdir()
    (folder / "enterprises.csv").write_text(firms)
    for name, partner, rows in (("sales", "buyer_id", SALES), ("purchase", "supplier_id", PURCHASES)):
        columns = ("enterprise_id", "invoice_no", "invoice_date", partner, "total_amount", "status")
        data = {column: [row[place] for row in rows] for place, column in enumerate(columns)}
        totals = [None if amount is None else Decimal(str(amount)) for amount in data.pop("total_amount")]
        money = pa.array(totals, pa.decimal128(18, 2))
        table = pa.table({**data, "total_amount": money, "net_amount": money, "tax_amount": pa.array([0] * len(rows))})
        pq.write_table(table, folder / f"{name}_invoices.parquet")
    return folder


def import_invoices(source: Path, out: Path, usd_per_unit: float | None = 0.145, currency: str = "CNY") -> ImportReport:
    options = ImportOptions({"currency": currency}, usd_per_unit)
    return import_delivery(find_mapping("invoices"), source, out, options)


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> tuple[ImportReport, Path]:
    """The report of an import, and the delivery that it wrote; not to be changed."""
    folder = tmp_path_factory.mktemp("imported")
    return import_invoices(ledger(folder / "l"), folder / "d"), folder / "d"


def test_each_invoice_is_mapped_as_documented(imported: tuple[ImportReport, Path], tmp_path: Path) -> None:
    report, delivery = imported
    firms, sales, purchases = report.sources
    assert (firms.mapped, firms.not_mapped) == ({"seller": 2}, {"no_invoice": 1})
    assert sales.mapped == {"order": 3, "refund": 1, "cancelled_order": 1}
    assert sales.not_mapped == {
        "void_refund": 1,
        "sale_of_zero": 1,
        "status_unknown": 1,
        "enterprise_unknown": 1,
        "invoice_date_not_a_day": 1,
        "amount_not_a_number": 1,
    }
    assert (purchases.mapped, purchases.not_mapped) == ({"purchase": 2}, {"purchase_reduction": 1, "void_purchase": 1})
    assert report.covers_through == date(2019, 7, 1)
    assert "3 order" in str(report)

    taken = ingest(delivery, tmp_path / "s")
    assert all(not table.quarantined for table in taken.tables)
    assert taken.table("orders").duplicates == 1
    store = open_store(tmp_path / "s")
    assert store.covers_through == dict.fromkeys(report.written, date(2019, 7, 1))
    orders = accepted(store, "orders")
    assert [(row["order_id"], row["amount"]) for row in orders] == [("E1-100", 11300), ("E1-100.2", 50), ("E1-102", 70)]
    assert orders[0]["amount_micros"] == 1_638_500_000
    assert orders[0]["visible_from"] == date(2019, 3, 2)
    refunds = [(row["refund_id"], row["order_id"], row["amount"], row["reason"]) for row in accepted(store, "refunds")]
    assert refunds == [("E1-101", None, 300, "refund"), ("E1-102-cancel", "E1-102", 70, "cancel")]
    assert [str(row["onboarded_at"])[:10] for row in accepted(store, "sellers")] == ["2019-02-27", "2019-06-30"]


def test_labels_are_written_and_ratings_are_not(imported: tuple[ImportReport, Path]) -> None:
    with (imported[1] / "labels.csv").open() as stream:
        assert list(csv.DictReader(stream)) == [
            {"seller_id": "E1", "bad": "false", "as_of": "2019-07-01"},
            {"seller_id": "E2", "bad": "true", "as_of": "2019-07-01"},
        ]
    for path in imported[1].glob("*.parquet"):
        assert "credit_rating" not in pq.read_schema(path).names


def test_no_labels_without_outcomes(tmp_path: Path) -> None:
    source = ledger(tmp_path / "l", "enterprise_id\nE1\nE2\n")
    assert import_invoices(source, tmp_path / "d").labels == 0
    assert not (tmp_path / "d" / "labels.csv").exists()


def test_the_same_ledger_gives_the_same_delivery(imported: tuple[ImportReport, Path], tmp_path: Path) -> None:
    import_invoices(ledger(tmp_path / "l"), tmp_path / "d")
    one, two = (open_delivery(folder, date(2024, 1, 1)) for folder in (imported[1], tmp_path / "d"))
    copies = [tmp_path / "1", tmp_path / "2"]
    for folder in copies:
        folder.mkdir()
    assert one.files.keys() >= {"sellers", "stores", "orders", "refunds", "purchases"}
    assert one.copy(copies[0])[1] == two.copy(copies[1])[1]


@pytest.mark.parametrize(
    ("firms", "rate", "currency", "words"),
    [
        (FIRMS, 0.0, "CNY", "usd_per_unit 0.0"),
        (FIRMS, 0.145, "RMB", "currency=RMB is not allowed"),
        ("name\nx\n", 0.145, "CNY", "lacks enterprise_id"),
        ("enterprise_id,defaulted\nE1,true\nE1,false\n", 0.145, "CNY", "E1 is 'false' and 'true'; allowed are"),
        (FIRMS, None, "CNY", "Give the US dollars for one CNY with --usd-per-unit"),
        ("enterprise_id,defaulted\nE1,perhaps\n", 0.145, "CNY", "'perhaps'; allowed are true, false"),
        ("enterprise_id,x\nE8,1\n", 0.145, "CNY", "No row of the export becomes an order.*enterprise_unknown"),
    ],
)
def test_a_ledger_that_cannot_be_read_is_rejected(
    firms: str, rate: float | None, currency: str, words: str, tmp_path: Path
) -> None:
    source = ledger(tmp_path / "l", firms)
    with pytest.raises(FeaturesError, match=words):
        import_invoices(source, tmp_path / "d", rate, currency)
    assert [path.name for path in tmp_path.iterdir()] == ["l"]


def test_a_folder_in_use_and_a_missing_file_are_rejected(tmp_path: Path) -> None:
    source = ledger(tmp_path / "l")
    with pytest.raises(FeaturesError, match="is not empty"):
        import_invoices(source, source)
    (source / "sales_invoices.parquet").unlink()
    with pytest.raises(FeaturesError, match="lacks a file for sales_invoices"):
        import_invoices(source, tmp_path / "d")

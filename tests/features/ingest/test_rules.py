"""Every rule quarantines the rows that break it, and accepts the others."""

import shutil
from collections import Counter
from datetime import date, datetime
from decimal import Decimal
from io import BytesIO
from pathlib import Path

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.engines.duckdb import open_engine
from features.ingest import IngestReport, ingest, open_store
from features.ingest.deduplication import key_hash
from features.ingest.rules import column_rules, first_broken
from features.ingest.sources import Utf8, cast_column, open_source, trim
from features.schema import ORDERS
from tests.counts import repeat
from tests.features.ingest.build import Row, accepted, order, quarantined, seller, store, write, write_csv, write_some

# rule -> changes of an order whose id is the rule, all values as text
BROKEN: dict[str, dict[str, object]] = {
    "order_id_too_long": {"order_id": "x" * 201},
    "order_id_not_an_id": {"order_id": "O\u200b1"},
    "store_id_missing": {"store_id": " "},
    "store_unknown": {"store_id": "T9"},
    "buyer_id_not_an_id": {"buyer_id": "B\u200b1"},
    "ordered_at_not_a_time": {"ordered_at": "yesterday"},
    "ordered_at_out_of_range": {"ordered_at": "1989-12-31"},
    "amount_not_a_number": {"amount": "1_000"},
    "amount_not_finite": {"amount": "nan"},
    "amount_negative": {"amount": "-0.01"},
    "amount_too_large": {"amount": "1000000000001"},
    "currency_unknown": {"currency": "usd"},
    "channel_not_allowed": {"channel": "telephone"},
    "buyer_country_unknown": {"buyer_country": "UK"},
    "items_not_a_number": {"items": "two"},
    "items_not_whole": {"items": "1.5"},
    "items_not_finite": {"items": "inf"},
    "items_too_small": {"items": "0"},
    "items_too_large": {"items": "1e10"},
    "known_at_not_a_time": {"known_at": "2024-02-30"},
    "known_at_out_of_range": {"known_at": "2101-01-01T00:00:00Z"},
    "known_at_in_future": {"known_at": "2100-12-31T00:00:00Z"},
    "rate_unknown": {"currency": "CNY"},
}
REQUIRED = ("ordered_at", "amount", "currency", "channel", "buyer_country", "items", "known_at")
BROKEN |= {f"{column}_missing": {column: ""} for column in REQUIRED}

# other valid spellings of values
ALLOWED: dict[str, dict[str, object]] = {
    "blanks around": {"store_id": " T1 ", "amount": " 12.50 ", "channel": "ads ", "items": " 3 "},
    "exponent": {"amount": "1e3"},
    "whole with a point": {"items": "2.0"},
    "zero amount": {"amount": "0"},
    "largest amount": {"amount": "1e8"},
    "zulu": {"ordered_at": "2024-03-05T10:00Z"},
    "offset": {"ordered_at": "2024-03-05 10:00:00.25+0800"},
    "day for a time": {"ordered_at": "2024-03-05"},
    "id of any script with a plain space": {"buyer_id": "é 张 😀"},
    "unknown country": {"buyer_country": "ZZ"},
    "guest": {"buyer_id": ""},
}


SEVERAL = order("several", store_id=None, amount=-1.0, currency="XXX")


@pytest.fixture(scope="module")
def store_of_module(first_delivery: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(first_delivery, tmp_path_factory.mktemp("rules") / "store"))


Ingested = tuple[IngestReport, dict[str, list[str]]]


@pytest.fixture(scope="module")
def ingested(store_of_module: Path, tmp_path_factory: pytest.TempPathFactory) -> Ingested:
    """One CSV delivery with all invalid and valid rows: its report, and order ids by rule."""
    delivery = tmp_path_factory.mktemp("csv")
    rows = [order(**{"order_id": name, **changes}) for name, changes in (BROKEN | ALLOWED).items()]
    write_csv(delivery / "orders.csv", [*rows, order(""), SEVERAL, order("naïve"), order("café")])
    content = (delivery / "orders.csv").read_bytes().replace("café".encode(), b"caf\xe9")
    (delivery / "orders.csv").write_bytes(content + b"O7,T1,too,few\nO8,\xe9\n")
    report = ingest(delivery, store_of_module)
    by_rule: dict[str, list[str]] = {}
    for row in quarantined(store_of_module, report.delivery_id, "orders"):
        by_rule.setdefault(str(row["rule"]), []).append(str(row["order_id"] or row["row"]))
    return report, by_rule


def test_each_rule_quarantines_the_row_that_breaks_it_and_no_other(ingested: Ingested) -> None:
    report, by_rule = ingested
    for rule, changes in BROKEN.items():
        assert [name for name in by_rule[rule] if name != "several"] == [changes.get("order_id", rule)]
    orders = report.table("orders")
    others = {"order_id_missing": 1, "row_malformed": 3}
    assert orders.quarantined == dict.fromkeys(BROKEN, 1) | {"store_id_missing": 2} | others
    assert by_rule["order_id_missing"] == ["None"]
    assert orders.accepted == len(ALLOWED) + 1
    assert orders.read == orders.accepted + sum(orders.quarantined.values())
    # a row is counted under its first broken rule
    assert [rule for rule, ids in by_rule.items() if "several" in ids] == ["store_id_missing"]


def test_all_broken_rules_of_a_row_are_reported(ingested: Ingested, store_of_module: Path) -> None:
    report, _ = ingested
    rows = quarantined(store_of_module, report.delivery_id, "orders")
    every = {str(row["order_id"]): str(row["rules"]).split(",") for row in rows}
    assert every["several"] == ["store_id_missing", "amount_negative", "currency_unknown"]
    assert every["rate_unknown"] == ["rate_unknown"]
    assert every["items_not_finite"] == ["items_not_finite"], "one rule per column"
    assert all(str(row["rules"]).split(",")[0] == row["rule"] for row in rows)
    broken = report.table("orders").broken
    assert broken["amount_negative"] == report.table("orders").quarantined["amount_negative"] + 1
    assert sum(broken.values()) == sum(map(len, every.values())) + 3  # of four malformed rows all have no id


def test_an_unknown_rate_is_reported_with_other_rules(base_store: Path, tmp_path: Path) -> None:
    orders = [order("O1", currency="CNY", items=0), order("O2", amount=9e11), order("O3", amount=9e11, items=0)]
    orders += [order("O4"), order("O4", items=0), order("O4", currency="CNY", items=0)]
    report = ingest(write_some(tmp_path / "d", orders=orders), base_store)
    rows = quarantined(base_store, report.delivery_id, "orders")
    assert sorted((row["order_id"], row["rules"]) for row in rows) == [
        ("O1", "items_too_small,rate_unknown"),
        ("O2", "amount_too_large"),
        ("O3", "items_too_small,amount_too_large"),
        ("O4", "items_too_small"),
        ("O4", "items_too_small,rate_unknown"),
    ]


def test_a_row_that_is_not_utf_8_affects_no_other_row(ingested: Ingested, store_of_module: Path) -> None:
    assert "naïve" in {row["order_id"] for row in accepted(open_store(store_of_module), "orders")}
    lines = sorted(ingested[1]["row_malformed"])
    assert lines[0] == "O7,T1,too,few"
    assert lines[1] == "O8,\N{REPLACEMENT CHARACTER}"
    assert lines[2].startswith("caf\N{REPLACEMENT CHARACTER},T1,B1,2024-03-05")


@pytest.mark.parametrize(("end", "rule"), [("", "row_cut"), ("\n", "row_malformed"), (",,,,,,,,,,", "row_malformed")])
def test_the_end_of_a_cut_file_is_quarantined(end: str, rule: str, tmp_path: Path) -> None:
    write_csv(tmp_path / "orders.csv", [order()])
    with (tmp_path / "orders.csv").open("a", encoding="utf-8") as file:
        file.write(f"O2,T1,B1{end}")
    work = tmp_path / "work"
    work.mkdir()
    source = open_source(ORDERS, tmp_path / "orders.csv", work)
    assert (source.rows, source.cut) == (2, rule == "row_cut")


@pytest.mark.slow
def test_references_must_name_accepted_rows(tmp_path: Path) -> None:
    at = datetime(2024, 1, 1)  # noqa: DTZ001
    loan: Row = {"disbursed_at": at, "principal": 5.0, "currency": "USD", "term_days": 90, "known_at": at}
    payment: Row = {"paid_at": at, "amount": 1.0, "known_at": at}
    delivery = write(
        tmp_path / "d",
        sellers=[seller(), seller("S3", country="XX")],
        stores=[store(), store("T2", seller_id="S9")],
        orders=[order(), order("O2", store_id="T2")],
        loans=[{"loan_id": f"L-{owner}", "seller_id": owner, **loan} for owner in ("S1", "S3")],
        payments=[{"payment_id": owner, "loan_id": f"L-{owner}", **payment} for owner in ("S1", "S3")],
    )
    report = ingest(delivery, tmp_path / "s")
    assert {table.table: dict(table.quarantined) for table in report.tables} == {
        "sellers": {"country_unknown": 1},
        "stores": {"seller_unknown": 1},
        "orders": {"store_unknown": 1},
        "loans": {"seller_unknown": 1},
        "payments": {"loan_unknown": 1},
    }


def test_rows_wait_for_a_table_without_rows(base_store: Path, tmp_path: Path) -> None:
    payment: Row = {"payment_id": "P1", "loan_id": "L1", "paid_at": "2024-02-02", "amount": 5, "known_at": "2024-02-02"}
    report = ingest(write_some(tmp_path / "d", payments=[payment]), base_store)
    assert report.table("payments").quarantined == {"loan_unknown": 1}


INVISIBLE = "\x00\x07\x7f\x85\xa0\xad\u200b\u200e\u2003\u2028\u2029\u3000\ufeff\ue000"


@pytest.fixture(scope="module")
def odd(store_of_module: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[IngestReport, list[Row]]:
    """A Parquet delivery with NaN values and ids with invisible characters: its report and its quarantined orders."""
    nan, folder = float("nan"), tmp_path_factory.mktemp("odd")
    orders = [order(f"N{n}", amount=nan if n == 3 else 1.0 + n) for n in range(10)]
    for n, character in enumerate(INVISIBLE):
        orders += [order(f"I{n}{character}1"), order(f"buyer {n}", buyer_id=f"B{character}1")]
    rating: Row = {"store_id": "T1", "ratings": 4, "known_at": datetime(2024, 2, 1)}  # noqa: DTZ001
    ratings = [{**rating, "day": date(2024, 1, n + 1), "stars": nan if n == 3 else 1 + n / 5} for n in range(10)]
    report = ingest(write_some(folder / "d", orders=orders, ratings=ratings), store_of_module)
    return report, quarantined(store_of_module, report.delivery_id, "orders")


def test_nan_is_found_although_parquet_statistics_omit_it(odd: tuple[IngestReport, list[Row]]) -> None:
    assert odd[0].table("ratings").quarantined == {"stars_not_finite": 1}
    assert [row["order_id"] for row in odd[1] if row["rule"] == "amount_not_finite"] == ["N3"]
    assert odd[0].table("orders").accepted == 9


def test_ids_with_invisible_characters_are_quarantined(odd: tuple[IngestReport, list[Row]]) -> None:
    rules = {str(row["order_id"]): row["rule"] for row in odd[1]}
    for number, character in enumerate(INVISIBLE):
        assert rules[f"I{number}{character}1"] == "order_id_not_an_id", ascii(character)
        assert rules[f"buyer {number}"] == "buyer_id_not_an_id", ascii(character)


TYPES: dict[str, tuple[str, pa.Array, dict[str, int]]] = {
    "id of integers": ("buyer_id", pa.array([7, 8]), {}),
    "id of fractions": ("buyer_id", pa.array([7.0, 8.0]), {"buyer_id_not_an_id": 2}),
    "column of nulls": ("order_id", pa.nulls(2), {"order_id_missing": 2}),
    "time of booleans": ("ordered_at", pa.array([True, False]), {"ordered_at_not_a_time": 2}),
    "time of integers": ("ordered_at", pa.array([20240101, 1]), {"ordered_at_not_a_time": 2}),
    "time with a zone": (
        "ordered_at",
        pa.array([0, 1_700_000_000], pa.timestamp("s", "Asia/Shanghai")),
        {"ordered_at_out_of_range": 1},
    ),
    "time at the ends": ("known_at", pa.array([-(2**62), 2**62], pa.timestamp("us")), {"known_at_out_of_range": 2}),
    "amount of booleans": ("amount", pa.array([True, False]), {"amount_not_a_number": 2}),
    "amount of decimals": ("amount", pa.array([Decimal("1.25"), Decimal(-3)]), {"amount_negative": 1}),
    "amount of floats": ("amount", pa.array([float("inf"), 1e300]), {"amount_not_finite": 1, "amount_too_large": 1}),
    "items beyond integers": ("items", pa.array([float("inf"), 1e300]), {"items_not_finite": 1, "items_too_large": 1}),
    "amount of lists": ("amount", pa.array([[1.0], [2.0]]), {"amount_not_a_number": 2}),
}


def test_a_column_of_another_type_is_cast_or_breaks_a_rule(tmp_path: Path) -> None:
    names = dict(zip(TYPES, (f"c{number}" for number in range(len(TYPES))), strict=True))
    pq.write_table(
        pa.table({names[case]: values for case, (_, values, _) in TYPES.items()}), tmp_path / "types.parquet"
    )
    with open_engine(threads=1) as engine:
        rows = engine.read_parquet(str(tmp_path / "types.parquet"))
        broken = {}
        for case, (name, _, _) in TYPES.items():
            column, raw = ORDERS.column(name), trim(rows[names[case]])
            value = cast_column(raw, column.kind)
            broken[names[case]] = first_broken(list(column_rules(column, raw, value, {})))
        found = engine.to_pyarrow(rows.select(**broken)).to_pydict()
    counted = {case: dict(Counter(rule for rule in found[names[case]] if rule)) for case in TYPES}
    assert counted == {case: expected for case, (_, _, expected) in TYPES.items()}


def test_a_column_of_lists_is_quarantined_by_ingest(base_store: Path, tmp_path: Path) -> None:
    column, values, expected = TYPES["amount of lists"]
    orders = pa.Table.from_pylist([order("O1"), order("O2")])
    orders = orders.set_column(orders.column_names.index(column), column, values)
    report = ingest(write_some(tmp_path / "d", {"covers_through": {"orders": "2024-05-01"}}, orders=orders), base_store)
    assert report.table("orders").quarantined == expected
    assert "orders" not in report.covers_through, "covered if any row was usable"


def test_equal_keys_have_equal_hashes() -> None:
    rows = ibis.memtable(pa.table({"a": ["x", "x", "y"], "b": ["1", "1", "1"]}))
    with open_engine(threads=1) as engine:
        hashes = engine.to_pyarrow(rows.select(h=key_hash(rows, ["a", "b"]))).column("h").to_pylist()
    assert hashes[0] == hashes[1] != hashes[2]


@pytest.mark.repeated
@settings(max_examples=repeat(20, 500), deadline=None)
@given(st.lists(st.sampled_from([b"a", "é".encode(), "😀".encode(), b"\xe9", b"\xf0\x9f"])), st.integers(12, 15))
def test_reading_in_blocks_gives_the_same_text_as_reading_at_once(parts: list[bytes], size: int) -> None:
    content = b"".join(parts)
    stream = Utf8(BytesIO(content))
    blocks = list(iter(lambda: stream.read(size), b""))
    assert max(map(len, blocks), default=0) <= size
    assert b"".join(blocks) == content.decode(errors="replace").encode()

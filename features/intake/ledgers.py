"""The ledger behind `invoices`, opened: what each invoice becomes, or why the contract has no place for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Final

import ibis
import ibis.expr.types as ir
from ibis.backends.duckdb import Backend

from features.errors import DeliveryError
from features.intake import casting
from features.intake.delivery import table_file
from features.intake.invoice_report import LedgerReport
from features.intake.rules import ROW_MALFORMED
from features.intake.sources import Source, columns_of, literal, open_source
from features.schema import Column, Kind, Need, Table

ORDER: Final = "order"
CANCELLED: Final = "cancelled_order"
REFUND: Final = "refund"
PURCHASE: Final = "purchase"
SELLER: Final = "seller"
_UNUSABLE: Final = (
    "enterprise_unknown",
    "invoice_no_missing",
    "invoice_date_not_a_day",
    "status_unknown",
    "amount_not_a_number",
)
_MAPPED: Final = (ORDER, CANCELLED, REFUND, PURCHASE, SELLER)


def _invoices(name: str, partner: str) -> Table:
    columns = (
        Column("enterprise_id", Kind.ID),
        Column("invoice_no", Kind.ID),
        Column("invoice_date", Kind.DAY),
        Column("status", Kind.TEXT, allowed=("valid", "void")),
        Column("total_amount", Kind.NUMBER),
        Column(partner, Kind.ID),
        Column("net_amount", Kind.NUMBER),
        Column("tax_amount", Kind.NUMBER),
    )
    return Table(name, ("enterprise_id", "invoice_no"), columns, Need.REQUIRED)


_NAMES: Final = ("enterprise_id", "invoice_no", "day", "status", "amount", "partner", "net", "tax")
"""What both ledgers call their columns from here on, in the order of `_invoices`."""

_SALES: Final = _invoices("sales_invoices", "buyer_id")
_PURCHASES: Final = _invoices("purchase_invoices", "supplier_id")
_ENTERPRISE_ID: Final = Column("enterprise_id", Kind.ID)
_DEFAULTED: Final = Column("defaulted", Kind.TEXT, nullable=True, allowed=("true", "false"))


@dataclass(frozen=True)
class _Ledger:
    """One source: its rows with `fate`, what each becomes or why it becomes nothing."""

    source: Source
    rows: ir.Table

    def report(self, name: str) -> LedgerReport:
        counts = self.rows.group_by("fate").agg(rows=self.rows.count()).order_by("fate").to_pyarrow().to_pylist()
        fates = {row["fate"]: row["rows"] for row in counts}
        malformed = {ROW_MALFORMED: len(self.source.malformed)} if self.source.malformed else {}
        mapped = {fate: count for fate, count in fates.items() if fate in _MAPPED}
        rest = {fate: count for fate, count in fates.items() if fate not in _MAPPED}
        return LedgerReport(name, self.source.rows, mapped, {**rest, **malformed})


@dataclass(frozen=True)
class Ledgers:
    """The three sources, opened; `labels` says which enterprises defaulted, for those with a record."""

    engine: Backend
    sales: _Ledger
    purchases: _Ledger
    enterprises: _Ledger
    labels: Mapping[str, bool]
    covers_through: date

    def reports(self) -> tuple[LedgerReport, ...]:
        """Return the fates of all rows, by source."""
        named = {"enterprises": self.enterprises, _SALES.name: self.sales, _PURCHASES.name: self.purchases}
        return tuple(ledger.report(name) for name, ledger in named.items())

    def count(self, path: Path) -> int:
        """Return how many rows the Parquet file at `path` holds."""
        return int(self.engine.read_parquet(literal(path)).count().to_pyarrow().as_py())


def open_ledgers(engine: Backend, source: Path, work: Path) -> Ledgers:
    """Read the folder and decide the fate of each row; `work` takes intermediate files.

    Raises:
        DeliveryError: a file or column is missing, a file is unreadable or holds nothing that can be used.
    """
    opened, firms = _open_enterprises(engine, source, work)
    sales = _judged(engine, _SALES, source, work, firms)
    purchases = _judged(engine, _PURCHASES, source, work, firms)
    dated = _dated(sales).union(_dated(purchases))
    last = dated.day.max().to_pyarrow().as_py()
    if last is None:
        raise DeliveryError(f"{source} holds no invoice with an enterprise, a number, a date and an amount")
    first = dated.group_by("enterprise_id").agg(first_day=dated.day.min()).rename(firm="enterprise_id")
    firms = firms.left_join(first, firms.enterprise_id == first.firm).drop("firm")
    firms = firms.mutate(fate=ibis.ifelse(firms.first_day.isnull(), "no_invoice", SELLER))
    return Ledgers(engine, sales, purchases, _Ledger(opened, firms), _labels(source, firms), last + timedelta(days=1))


def _open_enterprises(engine: Backend, source: Path, work: Path) -> tuple[Source, ir.Table]:
    path = _file(source, "enterprises")
    columns = (_ENTERPRISE_ID, *([_DEFAULTED] if _DEFAULTED.name in columns_of(path) else []))
    opened = open_source(Table("enterprises", ("enterprise_id",), columns, Need.REQUIRED), path, work)
    raw = engine.read_parquet(literal(opened.path))
    rows = raw.select(**{column.name: _text(raw[column.name]) for column in columns})
    if _DEFAULTED.name not in rows.columns:
        rows = rows.mutate(defaulted=ibis.null("string"))
    ids = rows.enterprise_id
    if rows.count().to_pyarrow().as_py() != ids.nunique().to_pyarrow().as_py():
        raise DeliveryError(f"{path} has an enterprise without an id or one twice; list each enterprise once")
    return opened, rows


def _text(raw: ir.Value) -> ir.Value:
    trimmed = casting.trimmed(raw)
    return trimmed.cast("string") if trimmed.type().is_boolean() else casting.typed(trimmed, Kind.TEXT)


def _labels(source: Path, firms: ir.Table) -> dict[str, bool]:
    known = firms.filter(firms.defaulted.notnull() & (firms.fate == SELLER)).select("enterprise_id", "defaulted")
    labels = {row["enterprise_id"]: str(row["defaulted"]).lower() for row in known.to_pyarrow().to_pylist()}
    for firm, value in labels.items():
        if value not in {"true", "false"}:
            raise DeliveryError(
                f"{source}: defaulted of enterprise {firm} is {value!r}; allowed are true, false and empty"
            )
    return {firm: value == "true" for firm, value in labels.items()}


def _file(source: Path, name: str) -> Path:
    path = table_file(source, name)
    if path is None:
        raise DeliveryError(f"{source} holds no {name}; add {name}.parquet or {name}.csv")
    return path


def _judged(engine: Backend, table: Table, source: Path, work: Path, firms: ir.Table) -> _Ledger:
    opened = open_source(table, _file(source, table.name), work)
    raw = engine.read_parquet(literal(opened.path))
    rows = raw.select(
        **{
            name: casting.typed(casting.trimmed(raw[column.name]), column.kind)
            for name, column in zip(_NAMES, table.columns, strict=True)
        }
    )
    sale = table is _SALES
    path = work / f"{table.name}.judged.parquet"
    _with_id(rows.mutate(fate=_fate(rows, firms, sale=sale))).to_parquet(path)
    return _Ledger(opened, engine.read_parquet(literal(path)))


def _fate(rows: ir.Table, firms: ir.Table, *, sale: bool) -> ir.StringValue:
    """Return what each invoice becomes, or the reason why the contract has no place for it."""
    void, kind = rows.status == "void", "sale" if sale else "purchase"
    broken = (
        rows.enterprise_id.isnull() | rows.enterprise_id.notin(firms.enterprise_id),
        rows.invoice_no.isnull(),
        rows.day.isnull(),
        rows.status.isnull() | rows.status.notin(["valid", "void"]),
        rows.amount.isnull() | rows.amount.isnan() | rows.amount.isinf(),
    )
    unusable = (*zip(broken, _UNUSABLE, strict=True), (rows.amount == 0, f"{kind}_of_zero"))
    if sale:
        void_refund = void & (rows.amount < 0)
        return ibis.cases(
            *unusable, (void_refund, "void_refund"), (void, CANCELLED), (rows.amount < 0, REFUND), else_=ORDER
        )
    return ibis.cases(*unusable, (void, "void_purchase"), (rows.amount < 0, "purchase_reduction"), else_=PURCHASE)


def _with_id(rows: ir.Table) -> ir.Table:
    """Append `id`: enterprise and number, and from the second content under one number on, its place among them.

    Contents are ordered by day first, so a longer ledger later gives the same ids. Identical rows get one id, for
    intake to count as duplicates.
    """
    order = [rows[name] for name in ("day", "status", "amount", "partner", "net", "tax")]
    place = ibis.dense_rank().over(group_by=["enterprise_id", "invoice_no"], order_by=order)
    suffix = ibis.ifelse(place == 0, "", ibis.literal(".") + (place + 1).cast("string"))
    return rows.mutate(id=rows.enterprise_id + "-" + rows.invoice_no + suffix)


def _dated(ledger: _Ledger) -> ir.Table:
    usable = ledger.rows.filter(ledger.rows.fate.notin(_UNUSABLE))
    return usable.select("enterprise_id", "day")

"""The data contract: tables, keys, columns and permitted values. Data only; `features.ingest` enforces it.

All times are UTC. Every table has `known_at`, the time at which the platform learned of the row.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """The kind of values of a column. Ingest casts to it and quarantines rows that cannot be cast."""

    ID = "id"
    TEXT = "text"
    TIME = "time"
    DAY = "day"
    MONEY = "money"
    COUNT = "count"
    NUMBER = "number"
    CURRENCY = "currency"
    COUNTRY = "country"


class Need(StrEnum):
    """How much a delivery needs the table."""

    REQUIRED = "required"
    EXPECTED = "expected"
    OPTIONAL = "optional"


@dataclass(frozen=True)
class Column:
    """One column: its kind, its permitted values, and whether it may be empty.

    Example: `Column("channel", Kind.TEXT, allowed=CHANNELS)`. `minimum` and `maximum` are inclusive bounds of MONEY,
    COUNT and NUMBER.
    """

    name: str
    kind: Kind
    nullable: bool = False
    allowed: tuple[str, ...] | None = None
    minimum: float | None = None
    maximum: float | None = None


@dataclass(frozen=True)
class Table:
    """One table of the contract.

    Attributes:
        event_time: the column with the time of the event (of a DAY, the start of the day). None for sellers and stores,
            whose rows are versions with `known_at` as their only time.
        money: the column that is converted to micro-USD at the rate of the event's day.
    """

    name: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    need: Need
    event_time: str | None = None
    money: str | None = None

    def column(self, name: str) -> Column:
        """Return the column called `name`; raise KeyError if it does not exist."""
        return {column.name: column for column in self.columns}[name]

    @property
    def column_names(self) -> tuple[str, ...]:
        """All column names in contract order, `known_at` last."""
        return tuple(column.name for column in self.columns)


@dataclass(frozen=True)
class ConstantRate:
    """US dollars for one unit of `currency`, on every day of a delivery."""

    currency: str
    usd_per_unit: float


CHANNELS: Final = ("search", "ads", "livestream", "social", "direct", "other")

REFUND_REASONS: Final = ("return", "refund", "cancel", "dispute", "chargeback")

FULFILMENT_EVENTS: Final = ("shipped", "delivered", "lost")

_CURRENCY: Final = Column("currency", Kind.CURRENCY)
_MAX_MONEY: Final = 1e12
"""The largest amount in any currency. It keeps sums of micro-USD of any real seller within 64 bits."""


def _id(name: str, *, nullable: bool = False) -> Column:
    return Column(name, Kind.ID, nullable=nullable)


def _money(name: str = "amount") -> Column:
    return Column(name, Kind.MONEY, minimum=0.0, maximum=_MAX_MONEY)


def _count(name: str, minimum: float = 0.0) -> Column:
    return Column(name, Kind.COUNT, minimum=minimum, maximum=1e9)


def _table(
    name: str,
    key: tuple[str, ...],
    need: Need,
    *columns: Column,
    event_time: str | None = None,
    money: str | None = None,
) -> Table:
    return Table(name, key, (*columns, Column("known_at", Kind.TIME)), need, event_time, money)


SELLERS: Final = _table(
    "sellers",
    ("seller_id", "known_at"),
    Need.REQUIRED,
    _id("seller_id"),
    Column("country", Kind.COUNTRY),
    Column("base_currency", Kind.CURRENCY),
    Column("category", Kind.TEXT),
    Column("onboarded_at", Kind.TIME),
)

STORES: Final = _table(
    "stores",
    ("store_id", "known_at"),
    Need.REQUIRED,
    _id("store_id"),
    _id("seller_id"),
    Column("marketplace", Kind.TEXT),
    Column("opened_at", Kind.TIME),
)

ORDERS: Final = _table(
    "orders",
    ("order_id",),
    Need.REQUIRED,
    _id("order_id"),
    _id("store_id"),
    _id("buyer_id", nullable=True),
    Column("ordered_at", Kind.TIME),
    _money(),
    _CURRENCY,
    Column("channel", Kind.TEXT, allowed=CHANNELS),
    Column("buyer_country", Kind.COUNTRY),
    _count("items", minimum=1),
    event_time="ordered_at",
    money="amount",
)

REFUNDS: Final = _table(
    "refunds",
    ("refund_id",),
    Need.EXPECTED,
    _id("refund_id"),
    _id("order_id", nullable=True),
    _id("store_id"),
    Column("refunded_at", Kind.TIME),
    _money(),
    _CURRENCY,
    Column("reason", Kind.TEXT, allowed=REFUND_REASONS),
    event_time="refunded_at",
    money="amount",
)

TRAFFIC: Final = _table(
    "traffic",
    ("store_id", "day", "channel"),
    Need.EXPECTED,
    _id("store_id"),
    Column("day", Kind.DAY),
    Column("channel", Kind.TEXT, allowed=CHANNELS),
    _count("visits"),
    _count("visitors"),
    _count("add_to_carts"),
    _money("ad_spend"),
    _CURRENCY,
    event_time="day",
    money="ad_spend",
)

FULFILMENTS: Final = _table(
    "fulfilments",
    ("order_id", "event"),
    Need.OPTIONAL,
    _id("order_id"),
    _id("store_id"),
    Column("event", Kind.TEXT, allowed=FULFILMENT_EVENTS),
    Column("at", Kind.TIME),
    event_time="at",
)

RATINGS: Final = _table(
    "ratings",
    ("store_id", "day"),
    Need.OPTIONAL,
    _id("store_id"),
    Column("day", Kind.DAY),
    _count("ratings", minimum=1),
    Column("stars", Kind.NUMBER, minimum=1.0, maximum=5.0),
    event_time="day",
)

PURCHASES: Final = _table(
    "purchases",
    ("purchase_id",),
    Need.OPTIONAL,
    _id("purchase_id"),
    _id("store_id"),
    _id("supplier_id"),
    Column("purchased_at", Kind.TIME),
    _money(),
    _CURRENCY,
    event_time="purchased_at",
    money="amount",
)

FX_RATES: Final = _table(
    "fx_rates",
    ("day", "currency"),
    Need.OPTIONAL,
    Column("day", Kind.DAY),
    Column("currency", Kind.CURRENCY),
    Column("usd_per_unit", Kind.NUMBER, minimum=1e-9, maximum=1e6),
    event_time="day",
)

LOANS: Final = _table(
    "loans",
    ("loan_id",),
    Need.OPTIONAL,
    _id("loan_id"),
    _id("seller_id"),
    Column("disbursed_at", Kind.TIME),
    _money("principal"),
    _CURRENCY,
    _count("term_days", minimum=1),
    event_time="disbursed_at",
    money="principal",
)

INSTALMENTS: Final = _table(
    "instalments",
    ("loan_id", "due_on"),
    Need.OPTIONAL,
    _id("loan_id"),
    Column("due_on", Kind.DAY),
    _money(),
    event_time="due_on",
)

PAYMENTS: Final = _table(
    "payments",
    ("payment_id",),
    Need.OPTIONAL,
    _id("payment_id"),
    _id("loan_id"),
    Column("paid_at", Kind.TIME),
    _money(),
    event_time="paid_at",
)

TABLES: Final = (
    SELLERS,
    STORES,
    FX_RATES,
    ORDERS,
    REFUNDS,
    TRAFFIC,
    FULFILMENTS,
    RATINGS,
    PURCHASES,
    LOANS,
    INSTALMENTS,
    PAYMENTS,
)
"""All tables in the order of ingest: tables that others refer to come first."""

BY_NAME: Final = {table.name: table for table in TABLES}

"""The contract of operating data: tables, keys, columns and what each may hold. Data only; intake enforces it.

All times are UTC. `known_at` (when the platform learned of the row) stands in every table.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """What a column holds; intake casts to it and names the rows that cannot be cast."""

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
    """How much a delivery loses without the table."""

    REQUIRED = "required"
    EXPECTED = "expected"
    OPTIONAL = "optional"


@dataclass(frozen=True)
class Column:
    """One column: its kind, the values it may take, and whether it may be empty.

    Example: `Column("channel", Kind.TEXT, allowed=CHANNELS)`. `minimum` bounds MONEY, COUNT and NUMBER
    from below and `maximum` from above, both included.
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

    `event_time` names the column the one time rule reads; a DAY column's event time is the start of its
    day; `None` (sellers, stores) means that the row is a version whose time is `known_at` alone.
    `money` names the column to convert to micro-USD at the rate of the event's day.
    """

    name: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    need: Need
    event_time: str | None = None
    money: str | None = None

    def column(self, name: str) -> Column:
        """Return the column called `name`; KeyError where the contract has none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)

    @property
    def column_names(self) -> tuple[str, ...]:
        """All column names in contract order, `known_at` last."""
        return tuple(column.name for column in self.columns)


CHANNELS: Final = ("search", "ads", "livestream", "social", "direct", "other")


REFUND_REASONS: Final = ("return", "refund", "cancel", "dispute", "chargeback")


FULFILMENT_EVENTS: Final = ("shipped", "delivered", "lost")


_MAX_MONEY: Final = 1e12
"""Largest amount in any currency; keeps every sum of micro-USD inside 64 bits for a seller of any real size."""


_KNOWN_AT: Final = Column("known_at", Kind.TIME)


def _id(name: str, *, nullable: bool = False) -> Column:
    return Column(name, Kind.ID, nullable=nullable)


def _money(name: str = "amount") -> Column:
    return Column(name, Kind.MONEY, minimum=0.0, maximum=_MAX_MONEY)


def _count(name: str, minimum: float = 0.0) -> Column:
    return Column(name, Kind.COUNT, minimum=minimum, maximum=1e9)


_CURRENCY: Final = Column("currency", Kind.CURRENCY)


SELLERS: Final = Table(
    "sellers",
    ("seller_id", "known_at"),
    (
        _id("seller_id"),
        Column("country", Kind.COUNTRY),
        Column("base_currency", Kind.CURRENCY),
        Column("category", Kind.TEXT),
        Column("onboarded_at", Kind.TIME),
        _KNOWN_AT,
    ),
    Need.REQUIRED,
)


STORES: Final = Table(
    "stores",
    ("store_id", "known_at"),
    (
        _id("store_id"),
        _id("seller_id"),
        Column("marketplace", Kind.TEXT),
        Column("opened_at", Kind.TIME),
        _KNOWN_AT,
    ),
    Need.REQUIRED,
)


ORDERS: Final = Table(
    "orders",
    ("order_id",),
    (
        _id("order_id"),
        _id("store_id"),
        _id("buyer_id", nullable=True),
        Column("ordered_at", Kind.TIME),
        _money(),
        _CURRENCY,
        Column("channel", Kind.TEXT, allowed=CHANNELS),
        Column("buyer_country", Kind.COUNTRY),
        _count("items", minimum=1),
        _KNOWN_AT,
    ),
    Need.REQUIRED,
    event_time="ordered_at",
    money="amount",
)


REFUNDS: Final = Table(
    "refunds",
    ("refund_id",),
    (
        _id("refund_id"),
        _id("order_id", nullable=True),
        _id("store_id"),
        Column("refunded_at", Kind.TIME),
        _money(),
        _CURRENCY,
        Column("reason", Kind.TEXT, allowed=REFUND_REASONS),
        _KNOWN_AT,
    ),
    Need.EXPECTED,
    event_time="refunded_at",
    money="amount",
)


TRAFFIC: Final = Table(
    "traffic",
    ("store_id", "day", "channel"),
    (
        _id("store_id"),
        Column("day", Kind.DAY),
        Column("channel", Kind.TEXT, allowed=CHANNELS),
        _count("visits"),
        _count("visitors"),
        _count("add_to_carts"),
        _money("ad_spend"),
        _CURRENCY,
        _KNOWN_AT,
    ),
    Need.EXPECTED,
    event_time="day",
    money="ad_spend",
)


FULFILMENTS: Final = Table(
    "fulfilments",
    ("order_id", "event"),
    (
        _id("order_id"),
        _id("store_id"),
        Column("event", Kind.TEXT, allowed=FULFILMENT_EVENTS),
        Column("at", Kind.TIME),
        _KNOWN_AT,
    ),
    Need.OPTIONAL,
    event_time="at",
)


RATINGS: Final = Table(
    "ratings",
    ("store_id", "day"),
    (
        _id("store_id"),
        Column("day", Kind.DAY),
        _count("ratings", minimum=1),
        Column("stars", Kind.NUMBER, minimum=1.0, maximum=5.0),
        _KNOWN_AT,
    ),
    Need.OPTIONAL,
    event_time="day",
)


PURCHASES: Final = Table(
    "purchases",
    ("purchase_id",),
    (
        _id("purchase_id"),
        _id("store_id"),
        _id("supplier_id"),
        Column("purchased_at", Kind.TIME),
        _money(),
        _CURRENCY,
        _KNOWN_AT,
    ),
    Need.OPTIONAL,
    event_time="purchased_at",
    money="amount",
)


FX_RATES: Final = Table(
    "fx_rates",
    ("day", "currency"),
    (
        Column("day", Kind.DAY),
        Column("currency", Kind.CURRENCY),
        Column("usd_per_unit", Kind.NUMBER, minimum=1e-9, maximum=1e6),
        _KNOWN_AT,
    ),
    Need.OPTIONAL,
    event_time="day",
)


LOANS: Final = Table(
    "loans",
    ("loan_id",),
    (
        _id("loan_id"),
        _id("seller_id"),
        Column("disbursed_at", Kind.TIME),
        _money("principal"),
        _CURRENCY,
        _count("term_days", minimum=1),
        _KNOWN_AT,
    ),
    Need.OPTIONAL,
    event_time="disbursed_at",
    money="principal",
)


INSTALMENTS: Final = Table(
    "instalments",
    ("loan_id", "due_on"),
    (_id("loan_id"), Column("due_on", Kind.DAY), _money(), _KNOWN_AT),
    Need.OPTIONAL,
    event_time="due_on",
)


PAYMENTS: Final = Table(
    "payments",
    ("payment_id",),
    (_id("payment_id"), _id("loan_id"), Column("paid_at", Kind.TIME), _money(), _KNOWN_AT),
    Need.OPTIONAL,
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
"""Every table, in the order intake takes them: what others refer to comes first."""


BY_NAME: Final = {table.name: table for table in TABLES}


@dataclass(frozen=True)
class ConstantRate:
    """US dollars for one unit of `currency`, on every day of a delivery."""

    currency: str
    usd_per_unit: float

"""A delivery as it lies in its folder: which files it holds, what it says of itself, and the digest that names it.

Reads names, `delivery.json` and bytes; rows are read elsewhere.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Final

from features.errors import DeliveryError
from features.ingest.report import RejectedTable
from features.iso import CURRENCIES
from features.schema import BY_NAME, FX_RATES, ConstantRate

FIRST_DAY: Final = date(1990, 1, 1)
"""No row and no coverage is older; what claims to be is a mistake."""


BASE_CURRENCY: Final = "USD"
"""What every amount is converted to."""


TERMS_FILE: Final = "delivery.json"


_SUFFIXES: Final = (".parquet", ".csv")


ABSENT: Final = ("refunds", "buyer_ids")
"""What a delivery may declare that its platform does not have: refunds are then known to be zero; `buyer_ids` says that
orders name no buyer."""


LONGEST_SOURCE: Final = 200
"""Characters of `source` in `delivery.json`."""


@dataclass(frozen=True)
class Terms:
    """The content of `delivery.json`.

    Attributes:
        covers_through: the midnight through which each table is complete.
        constant_rate: at which amounts are converted; None if the delivery has rates of its own.
        source: the origin of the rows in words, such as `simulated by sellerscore, seed 7`; None if not stated.
        absent: which of ABSENT the platform does not have.
        begins: the day on which the platform began to record a table, for tables that began later than orders.
    """

    covers_through: Mapping[str, date] = field(default_factory=lambda: MappingProxyType({}))
    constant_rate: ConstantRate | None = None
    source: str | None = None
    absent: tuple[str, ...] = ()
    begins: Mapping[str, date] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True)
class Delivery:
    """The files of the contract in one folder, by table and in contract order; `ignored` names everything else.

    `set_aside` are tables for which the folder holds no single file, so that nobody can say which rows are meant.
    """

    folder: Path
    files: Mapping[str, Path]
    terms: Terms
    ignored: tuple[str, ...]
    set_aside: tuple[RejectedTable, ...] = ()

    def digest(self) -> str:
        """Return the SHA-256 over table names, file bytes and terms: what makes two deliveries the same one."""
        whole = hashlib.sha256()
        terms = self.folder / TERMS_FILE
        parts = [*self.files.items(), *([(TERMS_FILE, terms)] if terms.exists() else [])]
        # What is set aside counts too: the folder mended is another delivery, and so is one that never held the table.
        parts += [(each.table, self.folder / file) for each in self.set_aside for file in each.files]
        for name, path in parts:
            whole.update(f"{name}{path.suffix} {_content(path)}\n".encode())
        return whole.hexdigest()


def _content(path: Path) -> str:
    """Return the SHA-256 of a file; of anything else that it is none."""
    if not path.is_file():
        return "not a file"
    with _is_readable(path), path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def _is_readable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DeliveryError(f"{path} cannot be read: {error.strerror or error}; deliver it readable") from error


def open_delivery(folder: Path, tomorrow: date) -> Delivery:
    """Return what lies in `folder`; nothing in it may claim to cover more than what was before `tomorrow`.

    Raises:
        DeliveryError: the folder is absent, holds no table of the contract, its `delivery.json` is not as the contract
            says, or something in it may not be read.
    """
    with _is_readable(folder):
        return _open(folder, tomorrow)


def _open(folder: Path, tomorrow: date) -> Delivery:
    if not folder.is_dir():
        raise DeliveryError(f"{folder} is not a folder; a delivery is a folder of Parquet or CSV files")
    found = {name: _find(folder, name) for name in BY_NAME}
    files = {name: path for name, path in found.items() if isinstance(path, Path)}
    aside = tuple(each for each in found.values() if isinstance(each, RejectedTable))
    if not files and not aside:
        raise DeliveryError(
            f"{folder} holds no table of the contract; expected files such as orders.parquet or orders.csv "
            f"for any of {', '.join(BY_NAME)}"
        )
    known = {TERMS_FILE, *(path.name for path in files.values()), *(file for each in aside for file in each.files)}
    ignored = tuple(sorted(path.name for path in folder.iterdir() if path.name not in known))
    return Delivery(folder, MappingProxyType(files), _read_terms(folder / TERMS_FILE, tomorrow), ignored, aside)


def _find(folder: Path, table: str) -> Path | RejectedTable | None:
    try:
        return table_file(folder, table)
    except DeliveryError as error:
        return reject_table(table, _candidates(folder, table), error)


def reject_table(table: str, paths: list[Path], error: DeliveryError) -> RejectedTable:
    """Return `table` as set aside for what `error` says, in which a file goes by its name: a report leaves the house.

    Example: `set_aside("orders", [Path("/in/orders.parquet")], error)` has `why` "orders.parquet lacks amount; ...".
    """
    why = str(error)
    for path in paths:
        why = why.replace(str(path), path.name)
    return RejectedTable(table, tuple(path.name for path in paths), why)


def _candidates(folder: Path, table: str) -> list[Path]:
    return [path for suffix in _SUFFIXES if (path := folder / f"{table}{suffix}").exists()]


def table_file(folder: Path, table: str) -> Path | None:
    """Return the one file of `table` in `folder`, None where there is none; DeliveryError where there are two."""
    found = _candidates(folder, table)
    if len(found) > 1:
        raise DeliveryError(
            f"{found[0]} lies beside {found[1].name}, which is {table} as Parquet and as CSV; deliver each table once"
        )
    if found and not found[0].is_file():
        raise DeliveryError(f"{found[0]} is not a file; deliver each table as one Parquet or CSV file")
    return found[0] if found else None


def _read_terms(path: Path, tomorrow: date) -> Terms:
    if not path.exists():
        return Terms()
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise DeliveryError(f"{path} cannot be read as JSON: {error}") from error
    content = _object(path, "", content, ("covers_through", "constant_rate", "source", "absent", "begins"))
    days, begins = (_days(path, name, content.get(name, {}), tomorrow) for name in ("covers_through", "begins"))
    rate = content.get("constant_rate")
    constant = None if rate is None else _constant_rate(path, rate)
    absent = _absent(path, content.get("absent", []))
    return Terms(days, constant, _source(path, content.get("source")), absent, begins)


def _days(path: Path, name: str, value: object, tomorrow: date) -> Mapping[str, date]:
    """Return a day for each table of a field of `delivery.json`."""
    content = _object(path, f"{name}: ", value, tuple(BY_NAME))
    return MappingProxyType({table: _day(path, f"{name} of {table}", day, tomorrow) for table, day in content.items()})


def _absent(path: Path, value: object) -> tuple[str, ...]:
    """Return what the platform does not have, in the order of ABSENT; DeliveryError for anything else."""
    if not isinstance(value, list) or not all(each in ABSENT for each in value):
        raise DeliveryError(
            f"{path}: absent is {_format(value)}; expected a list of what the platform does not have, out of "
            f"{', '.join(ABSENT)}"
        )
    return tuple(name for name in ABSENT if name in value)


def _source(path: Path, value: object) -> str | None:
    """Return the origin of the rows; DeliveryError where it is no line of text."""
    if value is None:
        return None
    text = value.strip() if isinstance(value, str) else ""
    if not text or not text.isprintable() or len(text) > LONGEST_SOURCE:
        raise DeliveryError(
            f"{path}: source is {_format(value)}; expected one line of 1 to {LONGEST_SOURCE} characters that names the "
            "origin of the rows, such as 'orders of marketplace X'"
        )
    return text


def _object(path: Path, where: str, content: object, allowed: tuple[str, ...]) -> dict[str, object]:
    if not isinstance(content, dict):
        raise DeliveryError(f"{path}: {where}expected an object, found {json.dumps(content)[:60]}")
    for key in content:
        if key not in allowed:
            raise DeliveryError(f"{path}: {where}{key!r} is not known; allowed are {', '.join(allowed)}")
    return content


def _day(path: Path, name: str, value: object, tomorrow: date) -> date:
    where = f"{path}: {name} is {_format(value)}"
    try:
        day = date.fromisoformat(str(value))
    except ValueError as error:
        raise DeliveryError(f"{where}; expected a day such as 2024-12-31") from error
    if not FIRST_DAY <= day <= tomorrow:
        raise DeliveryError(f"{where}; expected a day from {FIRST_DAY} to tomorrow, {tomorrow}")
    return day


def _format(value: object) -> str:
    return repr(value)[:60]


def _constant_rate(path: Path, content: object) -> ConstantRate:
    fields = _object(path, "constant_rate: ", content, ("currency", "usd_per_unit"))
    try:
        return constant_rate(fields.get("currency"), fields.get("usd_per_unit"))
    except DeliveryError as error:
        raise DeliveryError(f"{path}: {error}") from error


def constant_rate(currency: object, usd_per_unit: object) -> ConstantRate:
    """Return a checked constant rate; DeliveryError where the currency or the number cannot be one.

    Example: `constant_rate("CNY", 0.145)`.
    """
    if not isinstance(currency, str) or currency not in CURRENCIES:
        raise DeliveryError(f"constant_rate has currency {_format(currency)}; expected an ISO 4217 code such as CNY")
    bounds = FX_RATES.column("usd_per_unit")
    low, high = bounds.minimum or 0.0, bounds.maximum or float("inf")
    number = usd_per_unit if isinstance(usd_per_unit, int | float) and usd_per_unit is not True else float("nan")
    # Compared before it is converted: an integer may be too large for a float.
    if not low <= number <= high:
        raise DeliveryError(
            f"constant_rate has usd_per_unit {_format(usd_per_unit)}; expected a number from {low:g} to {high:g}"
        )
    rate = float(number)
    if currency == BASE_CURRENCY and rate != 1:
        raise DeliveryError(f"constant_rate has usd_per_unit {usd_per_unit!r} for USD; a dollar is one dollar")
    return ConstantRate(currency, rate)

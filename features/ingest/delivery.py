"""Delivery folders: find the files of the contract's tables, read `delivery.json`, copy them and compute the digest."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

from features.errors import DeliveryError
from features.ingest.report import RejectedTable, shorten
from features.iso import CURRENCIES
from features.regular_files import links_outside, open_regular, read_small_file, stated_size
from features.schema import BY_NAME, FX_RATES, ConstantRate
from features.store.operating import CoveredStores

FIRST_DAY: Final = date(1990, 1, 1)
"""The earliest valid day of rows and coverage."""

BASE_CURRENCY: Final = "USD"
"""The currency into which all amounts are converted."""

TERMS_FILE: Final = "delivery.json"

_FIELDS: Final = ("covers_through", "constant_rate", "source", "absent", "begins", "covers_stores")

_SUFFIXES: Final = (".parquet", ".csv")
_BLOCK: Final = 1 << 20
_GB: Final = 1_000_000_000
_RESERVE: Final = _GB
"""Space that stays free, at most a twentieth of the disk: a full disk stops the service, too."""

ABSENT: Final = ("refunds", "buyer_ids")
"""What a delivery can declare that its platform does not have. Without refunds, there are zero refunds; without
`buyer_ids`, orders name no buyer."""

COVERED_STORES: Final[tuple[CoveredStores, ...]] = ("all", "listed")
"""The stores for which `covers_through` holds: all of the platform, or those of which the delivery has a row."""

MAX_SOURCE: Final = 200
"""The maximum length of `source` in `delivery.json`."""


@dataclass(frozen=True)
class Terms:
    """The content of `delivery.json`.

    Attributes:
        covers_through: the midnight through which each table is complete.
        constant_rate: the rate at which amounts are converted; None if the delivery has rates of its own.
        source: the origin of the rows, such as `simulated by sellerscore, seed 7`; None if not stated.
        absent: which of ABSENT the platform does not have.
        begins: the day on which the platform began to record a table, for tables that began later than orders.
        covers_stores: one of COVERED_STORES; None if not stated.
    """

    covers_through: Mapping[str, date] = field(default_factory=dict)
    constant_rate: ConstantRate | None = None
    source: str | None = None
    absent: tuple[str, ...] = ()
    begins: Mapping[str, date] = field(default_factory=dict)
    covers_stores: CoveredStores | None = None


@dataclass(frozen=True)
class Delivery:
    """The files of a delivery folder.

    Attributes:
        files: the file of each table, in contract order.
        ignored: names of files that are not tables of the contract.
        rejected: tables for which the folder does not have exactly one file.
        terms_digest: the SHA-256 of `delivery.json` as read into `terms`; None without the file.
    """

    folder: Path
    files: Mapping[str, Path]
    terms: Terms
    ignored: tuple[str, ...]
    rejected: tuple[RejectedTable, ...] = ()
    terms_digest: str | None = None

    def copy(self, folder: Path) -> tuple[Delivery, str]:
        """Copy the tables into a folder; return the delivery of the copies, and its digest.

        The digest is the SHA-256 over table names, file contents and terms. Equal digests mean the same delivery. It is
        computed from the copied bytes, so that it stays true if a delivered file is replaced meanwhile.

        Example: `delivery.copy(Path("work"))[0].files["orders"]` is `work/orders.parquet`.

        Raises:
            DeliveryError: a file cannot be read, or the disk of the folder has too little space.
        """
        _expect_space(self.files.values(), folder)
        copies = {name: folder / path.name for name, path in self.files.items()}
        lines = [_line(name, path, _copy(path, copies[name])) for name, path in self.files.items()]
        if self.terms_digest is not None:
            lines.append(_line(TERMS_FILE, Path(TERMS_FILE), self.terms_digest))
        # rejected files count too: a corrected folder is another delivery
        rejected = ((table.table, self.folder / name) for table in self.rejected for name in table.files)
        lines += [_line(name, path, _copy(path) if _is_own_file(path) else "not a file") for name, path in rejected]
        return replace(self, files=copies), hashlib.sha256("".join(lines).encode()).hexdigest()


def _expect_space(files: Iterable[Path], folder: Path) -> None:
    """Require space for the copies and the accepted rows, without the reserve that others on the disk need."""
    size = sum(path.stat().st_size for path in files)
    total, _, free = shutil.disk_usage(folder)
    reserve = min(total // 20, _RESERVE)
    if 2 * size > free - reserve:
        raise DeliveryError(
            f"The delivery has {size / _GB:,.1f} GB. Its ingest needs about twice that, and the disk of the state "
            f"folder has {max(0, free - reserve) / _GB:,.1f} GB to spare. Free space, or split the delivery."
        )


def _is_own_file(path: Path) -> bool:
    return path.is_file() and not links_outside(path, path.parent)


def _line(name: str, path: Path, digest: str) -> str:
    return f"{name}{path.suffix} {digest}\n"


def _copy(path: Path, out: Path = Path(os.devnull)) -> str:
    """Copy a file, as large as it is when it is opened, and return the SHA-256 of the copy."""
    digest = hashlib.sha256()
    with _map_os_errors(path):
        # resolved and checked once more, since a file may be replaced by a link meanwhile
        target = Path(os.path.realpath(path))
        _expect_inside(path, target)
        source = open_regular(target, follow=False)
    with source, out.open("wb") as copy:
        left = stated_size(source)
        while left:
            with _map_os_errors(path):
                block = source.read(min(left, _BLOCK))
            if not block:
                break
            left -= len(block)
            digest.update(block)
            copy.write(block)
    return digest.hexdigest()


def _expect_inside(path: Path, target: Path | None = None) -> None:
    if links_outside(target or path, path.parent):
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise DeliveryError(f"{path} leads to a pipe or a device, not to a file. Deliver a regular file.")
        raise DeliveryError(f"{path} is a link to a file outside the delivery. Deliver the file itself.")


@contextmanager
def _map_os_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DeliveryError(
            f"{path} cannot be read: {error.strerror or error}. Deliver a file that this user can read."
        ) from error


def latest_time(now: datetime | None = None) -> datetime:
    """Return the latest time (UTC, without a zone) that a row or declaration may have: a day after `now`."""
    return (now or datetime.now(UTC)).astimezone(UTC).replace(tzinfo=None) + timedelta(days=1)


def open_delivery(folder: Path, tomorrow: date) -> Delivery:
    """Return the delivery in `folder`; no declared day may be later than `tomorrow`.

    Raises:
        DeliveryError: the folder does not exist, has no table of the contract, has an invalid `delivery.json`, or
            cannot be read.
    """
    with _map_os_errors(folder):
        if not folder.is_dir():
            raise DeliveryError(f"{folder} is not a folder. A delivery is a folder of Parquet or CSV files.")
        tables = {name: _find_table(folder, name) for name in BY_NAME}
        files = {name: path for name, path in tables.items() if isinstance(path, Path)}
        rejected = tuple(table for table in tables.values() if isinstance(table, RejectedTable))
        if not files and not rejected:
            raise DeliveryError(
                f"{folder} has no table of the contract. Add files such as orders.parquet or orders.csv for any of "
                f"{', '.join(BY_NAME)}."
            )
        names = {
            TERMS_FILE,
            *(path.name for path in files.values()),
            *(name for each in rejected for name in each.files),
        }
        ignored = tuple(sorted(path.name for path in folder.iterdir() if path.name not in names))
        path = folder / TERMS_FILE
        with _map_os_errors(path):
            _expect_inside(path)
            text = read_small_file(path) if os.path.lexists(path) else None
        terms = Terms() if text is None else _read_terms(path, text, tomorrow)
        return Delivery(
            folder, files, terms, ignored, rejected, None if text is None else hashlib.sha256(text).hexdigest()
        )


def _find_table(folder: Path, table: str) -> Path | RejectedTable | None:
    try:
        return table_file(folder, table)
    except DeliveryError as error:
        return reject_table(table, _candidates(folder, table), error)


def reject_table(table: str, paths: list[Path], error: DeliveryError) -> RejectedTable:
    """Return `table` as rejected for `error`. Paths are shortened to file names, since reports are passed on.

    Example: `reject_table("orders", [Path("/in/orders.parquet")], error)` has `why` "orders.parquet lacks amount. ...".
    """
    why = str(error)
    for path in paths:
        why = why.replace(str(path), path.name)
    return RejectedTable(table, tuple(path.name for path in paths), why)


def _candidates(folder: Path, table: str) -> list[Path]:
    # a link to a file that does not exist is a table that cannot be read
    return [path for suffix in _SUFFIXES if os.path.lexists(path := folder / f"{table}{suffix}")]


def table_file(folder: Path, table: str) -> Path | None:
    """Return the file of `table` in `folder`, None without one; raise DeliveryError if there are two."""
    paths = _candidates(folder, table)
    if len(paths) > 1:
        raise DeliveryError(
            f"{paths[0]} and {paths[1].name} are the same table as Parquet and as CSV. Deliver each table once."
        )
    if paths:
        _expect_inside(paths[0])
    if paths and not paths[0].is_file():
        raise DeliveryError(f"{paths[0]} is not a file. Deliver each table as one Parquet or CSV file.")
    return paths[0] if paths else None


def _read_terms(path: Path, text: bytes, tomorrow: date) -> Terms:
    try:
        content = json.loads(text.decode("utf-8"), object_pairs_hook=_unique_names)
    except (ValueError, RecursionError) as error:
        raise DeliveryError(f"{path} cannot be read as JSON: {error}") from error
    content = _object(path, "", content, _FIELDS)
    days, begins = (_days(path, name, content.get(name, {}), tomorrow) for name in ("covers_through", "begins"))
    rate = content.get("constant_rate")
    constant = None if rate is None else _constant_rate(path, rate)
    absent = _absent(path, content.get("absent", []))
    stores = _covered_stores(path, content.get("covers_stores"))
    return Terms(days, constant, _source(path, content.get("source")), absent, begins, stores)


def _unique_names(pairs: list[tuple[str, object]]) -> dict[str, object]:
    # the JSON reader would use the last value and drop the others
    content = dict(pairs)
    if len(content) < len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the name {shorten(repeated)!r} is repeated. State each name once")
    return content


def _days(path: Path, name: str, value: object, tomorrow: date) -> dict[str, date]:
    content = _object(path, f"{name}: ", value, tuple(BY_NAME))
    return {table: read_day(f"{path}: {name} of {table}", day, tomorrow) for table, day in content.items()}


def _absent(path: Path, value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(name in ABSENT for name in value):
        raise DeliveryError(
            f"{path}: absent is {_format(value)}; expected a list of what the platform does not have: "
            f"{', '.join(ABSENT)}"
        )
    return tuple(name for name in ABSENT if name in value)


def _covered_stores(path: Path, value: object) -> CoveredStores | None:
    found = next((each for each in COVERED_STORES if each == value), None)
    if found is None and value is not None:
        raise DeliveryError(
            f"{path}: covers_stores is {_format(value)}; allowed are {', '.join(COVERED_STORES)}: whether "
            "covers_through holds for all stores of the platform, or for the stores of which the delivery has a row"
        )
    return found


def _source(path: Path, value: object) -> str | None:
    if value is None:
        return None
    text = value.strip() if isinstance(value, str) else ""
    if not text or not text.isprintable() or len(text) > MAX_SOURCE:
        raise DeliveryError(
            f"{path}: source is {_format(value)}; expected one line of 1 to {MAX_SOURCE} characters that names the "
            "origin of the rows, such as 'orders of marketplace X'"
        )
    return text


def _object(path: Path, where: str, content: object, allowed: tuple[str, ...]) -> dict[str, object]:
    if not isinstance(content, dict):
        raise DeliveryError(f"{path}: {where}expected an object, found {shorten(json.dumps(content))}")
    for key in content:
        if key not in allowed:
            raise DeliveryError(f"{path}: {where}{shorten(key)!r} is unknown; allowed are {', '.join(allowed)}")
    return content


def read_day(name: str, value: object, tomorrow: date) -> date:
    """Return a day that a delivery may declare; raise DeliveryError if it is not one.

    Example: `read_day("covers_through of orders", "2024-12-31", tomorrow)`.
    """
    where = f"{name} is {_format(value)}"
    try:
        day = date.fromisoformat(str(value))
    except ValueError as error:
        raise DeliveryError(f"{where}; expected a day such as 2024-12-31") from error
    if not FIRST_DAY <= day <= tomorrow:
        raise DeliveryError(f"{where}; expected a day from {FIRST_DAY} to tomorrow, {tomorrow}")
    return day


def _format(value: object) -> str:
    return shorten(repr(value))


def _constant_rate(path: Path, content: object) -> ConstantRate:
    fields = _object(path, "constant_rate: ", content, ("currency", "usd_per_unit"))
    try:
        return constant_rate(fields.get("currency"), fields.get("usd_per_unit"))
    except DeliveryError as error:
        raise DeliveryError(f"{path}: {error}") from error


def constant_rate(currency: object, usd_per_unit: object) -> ConstantRate:
    """Return a validated constant rate; raise DeliveryError if the currency or the number is invalid.

    Example: `constant_rate("CNY", 0.145)`.
    """
    if not isinstance(currency, str) or currency not in CURRENCIES:
        raise DeliveryError(f"constant_rate has currency {_format(currency)}; expected an ISO 4217 code such as CNY")
    bounds = FX_RATES.column("usd_per_unit")
    low, high = bounds.minimum or 0.0, bounds.maximum or float("inf")
    number = usd_per_unit if isinstance(usd_per_unit, int | float) and usd_per_unit is not True else float("nan")
    # compared before the conversion, since an integer may be too large for a float
    if not low <= number <= high:
        raise DeliveryError(
            f"constant_rate has usd_per_unit {_format(usd_per_unit)}; expected a number from {low:g} to {high:g}"
        )
    rate = float(number)
    if currency == BASE_CURRENCY and rate != 1:
        raise DeliveryError(f"constant_rate has usd_per_unit {usd_per_unit!r} for USD; expected 1")
    return ConstantRate(currency, rate)

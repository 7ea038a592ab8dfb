"""What became of a delivery, row by row in counts. Every row read has exactly one fate, or there is no report."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from typing import Self

from features.errors import FeaturesError

RULE_SEPARATOR = ","
"""Between the names of all rules that a quarantined row breaks."""


@dataclass(frozen=True)
class TableReport:
    """The fates of one table's rows.

    `quarantined` counts each quarantined row once, under the first rule that it breaks; `broken` counts it under every
    rule that it breaks. `erased` are rows of sellers who were erased: not one of them is kept.

    Example: `TableReport("orders", read=10, accepted=7, duplicates=1, quarantined={"amount_negative": 2})`.
    Counts that do not add up raise FeaturesError: such a delivery must not be stored.
    """

    table: str
    read: int
    accepted: int
    duplicates: int
    quarantined: Mapping[str, int]
    ignored_columns: tuple[str, ...] = ()
    erased: int = 0
    broken: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        fates = self.accepted + self.duplicates + self.rejected + self.erased
        if fates != self.read:
            raise FeaturesError(
                f"{self.table}: {self.read} rows were read but {fates} have a fate; nothing was stored, "
                "please report this as a defect of intake"
            )

    @property
    def rejected(self) -> int:
        """Rows in quarantine, over all rules."""
        return sum(self.quarantined.values())


@dataclass(frozen=True)
class RejectedTable:
    """A table that could not be taken as a whole: its files by name, and in one sentence what is wrong with them.

    Example: `SetAside("orders", ("orders.parquet",), "orders.parquet lacks amount; the columns of orders are ...")`.
    """

    table: str
    files: tuple[str, ...]
    why: str


@dataclass(frozen=True)
class IngestReport:
    """What `ingest` did with one delivery; `already_ingested` says that the store held it before.

    `covers_through` is what this delivery covers; `ignored_files` are names that the contract does not know;
    `set_aside` are tables of which no row could be read, and which the delivery therefore does not cover. `absent` is
    what the delivery declares that its platform does not have.
    """

    delivery_id: str
    tables: tuple[TableReport, ...]
    covers_through: Mapping[str, date]
    ignored_files: tuple[str, ...] = ()
    already_ingested: bool = False
    set_aside: tuple[RejectedTable, ...] = ()
    absent: tuple[str, ...] = ()

    def table(self, name: str) -> TableReport:
        """Return the report of one table; KeyError where the delivery did not hold it."""
        for report in self.tables:
            if report.table == name:
                return report
        raise KeyError(name)

    def repeated(self) -> Self:
        """Return the same report for a delivery that the store already holds."""
        return replace(self, already_ingested=True)

    def to_json(self) -> str:
        """Return the report as JSON text; `from_json` reads it back equal."""
        return json.dumps(asdict(self), default=date.isoformat, indent=2, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the report that `to_json` wrote."""
        fields = json.loads(text)
        tables = tuple(
            TableReport(**{**table, "ignored_columns": tuple(table["ignored_columns"])})
            for table in fields.pop("tables")
        )
        covers = {name: date.fromisoformat(day) for name, day in fields.pop("covers_through").items()}
        ignored = tuple(fields.pop("ignored_files"))
        # a report from before files were set aside does not name them
        aside = fields.pop("set_aside", ())
        spoilt = tuple(RejectedTable(each["table"], tuple(each["files"]), each["why"]) for each in aside)
        absent = tuple(fields.pop("absent", ()))
        return cls(
            tables=tables, covers_through=covers, ignored_files=ignored, set_aside=spoilt, absent=absent, **fields
        )

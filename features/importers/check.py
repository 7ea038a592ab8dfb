"""Check a mapping: import into a temporary folder, ingest the result, and report which rows would fail."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from collections.abc import Mapping as ReadOnly
from dataclasses import dataclass
from pathlib import Path

from features.errors import DeliveryError
from features.importers.mapping import Mapping
from features.importers.report import ImportReport
from features.importers.run import ImportOptions, import_delivery
from features.ingest.ingest_delivery import ingest
from features.ingest.report import RULE_SEPARATOR, IngestReport
from features.schema import BY_NAME, Need


@dataclass(frozen=True)
class Problem:
    """Rows of a table that `ingest` would quarantine for one rule.

    `example` is a value that breaks the rule, None for a rule about whole rows.
    """

    table: str
    rule: str
    rows: int
    wrong: str
    permitted: str
    example: str | None


@dataclass(frozen=True)
class MissingTable:
    """A table that the mapping does not write, and what is missing without it."""

    table: str
    need: Need
    costs: str


@dataclass(frozen=True)
class Check:
    """The import report and the number of rows by table that `ingest` would accept, drop and quarantine."""

    report: ImportReport
    accepted: dict[str, int]
    duplicates: dict[str, int]
    problems: tuple[Problem, ...]
    missing: tuple[MissingTable, ...]

    @property
    def clean(self) -> bool:
        """Whether no row would be quarantined."""
        return not self.problems


def check_mapping(
    mapping: Mapping, source: Path, options: ImportOptions, progress: Callable[[str], None] | None = None
) -> Check:
    """Import the export `source` and validate it by the rules of `ingest`, without writing anything permanently.

    Raises:
        DeliveryError, MappingError: as `import_delivery`.
    """
    with tempfile.TemporaryDirectory(prefix="sellerscore-check-") as folder:
        delivery, store = Path(folder) / "delivery", Path(folder) / "store"
        report = import_delivery(mapping, source, delivery, options, progress)
        try:
            ingested = ingest(delivery, store, progress)
        except DeliveryError as error:
            raise DeliveryError(
                str(error).replace(f"{delivery}/", "").replace(str(delivery), "the delivery")
            ) from error
        quarantined = store / "deliveries" / ingested.delivery_id / "quarantined"
        return _check(mapping, report, ingested, quarantined)


def _check(mapping: Mapping, report: ImportReport, ingested: IngestReport, quarantined: Path) -> Check:
    from features.quality.explanations import PURPOSE

    missing = tuple(
        MissingTable(name, table.need, PURPOSE[name])
        for name, table in BY_NAME.items()
        if name not in report.written and name not in mapping.absent and name != "fx_rates"
    )
    return Check(
        report=report,
        accepted={each.table: each.accepted for each in ingested.tables},
        duplicates={each.table: each.duplicates for each in ingested.tables},
        problems=tuple(
            problem
            for each in ingested.tables
            if each.quarantined
            for problem in _problems(each.table, each.broken, quarantined / f"{each.table}.parquet")
        ),
        missing=missing,
    )


def _problems(table: str, counts: ReadOnly[str, int], file: Path) -> list[Problem]:
    import pyarrow.parquet as pq

    from features.quality.explanations import column_of, explain

    rows = pq.read_table(file)
    rules = [each.split(RULE_SEPARATOR) for each in rows.column("rules").to_pylist()]
    problems = []
    for rule, count in counts.items():
        column, explanation = column_of(BY_NAME[table], rule), explain(BY_NAME[table], rule)
        example = None if column is None else rows.column(column)[_first_with(rule, rules)].as_py()
        problems.append(
            Problem(table, rule, count, explanation.wrong, explanation.permitted or explanation.remedy, example)
        )
    return problems


def _first_with(rule: str, rules: list[list[str]]) -> int:
    return next(number for number, broken in enumerate(rules) if rule in broken)

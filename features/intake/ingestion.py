"""Take a delivery into the store: whole or not at all, each row with one fate, the same delivery once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from features.intake.delivery import open_delivery
from features.intake.erasing import finish
from features.intake.report import IntakeReport
from features.intake.store import OperatingStore, StoredDelivery, commit, read_store, writing
from features.intake.tables import Intake, Progress, take_all


def ingest(delivery: Path, store: Path, progress: Progress | None = None, now: datetime | None = None) -> IntakeReport:
    """Validate every row of the folder `delivery` and add what is accepted to the folder `store`.

    A row is accepted, dropped as the copy of an accepted one, or quarantined with the rule that it broke. A file that
    cannot be read or lacks a column is set aside as a whole and named in the report; the other tables go in. A delivery
    that the store holds already changes nothing and returns its last report, marked. But where rows of it wait for
    others (a rate, a store) and the store has grown since, it is judged again, and is added as `<id>-2` if that lets
    rows in. A second ingest into one store waits for the first. `progress` is told of each table in a sentence. `now`
    is the moment of intake, by default the clock's: no row may be known more than a day after it.

    Example:
        >>> report = ingest(Path("delivery"), Path("var/operating"))  # doctest: +SKIP
        >>> report.table("orders").quarantined  # doctest: +SKIP
        {'amount_negative': 3, 'currency_unknown': 1}

    Raises:
        DeliveryError: the delivery as a whole cannot be taken, for instance since it is the first and its orders cannot
            be read; the store is as it was.
        StoreError: `store` is not a folder that can be written, or what it holds cannot be read.
    """
    tell = progress or (lambda _: None)
    latest = (now or datetime.now(UTC)).astimezone(UTC).replace(tzinfo=None) + timedelta(days=1)
    found = open_delivery(delivery, latest.date())
    with writing(store) as incoming:
        finish(read_store(store))
        present = read_store(store)
        digest = found.digest()
        takes = present.takes(digest)
        earlier = present.report(takes[-1]) if takes else None
        if earlier is not None and not _may_let_in_more(earlier, present):
            tell(f"this delivery is in the store already: {digest[:12]}")
            return earlier.repeated()
        entry_id = f"{digest}-{len(takes) + 1}" if takes else digest
        report = take_all(Intake(found, entry_id, present, latest), incoming, tell)
        if earlier is not None and not any(table.accepted for table in report.tables):
            tell(f"this delivery is in the store already, and no more of its rows can be let in: {digest[:12]}")
            return earlier.repeated()
        rows = {table.table: table.accepted for table in report.tables}
        terms = found.terms
        stored = StoredDelivery(
            entry_id, report.covers_through, rows, terms.constant_rate, terms.source, terms.absent, terms.begins
        )
        commit(present, incoming, stored)
        # rows that waited in quarantine for what turned out to be an erased seller's
        finish(read_store(store))
        return report


def _may_let_in_more(earlier: IntakeReport, store: OperatingStore) -> bool:
    """Return whether rows of an earlier take wait for what has perhaps come since."""
    from features.intake.rules import WAITING

    waits = any(WAITING & table.quarantined.keys() for table in earlier.tables)
    return waits and store.deliveries[-1].delivery_id != earlier.delivery_id

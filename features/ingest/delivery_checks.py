"""Checks of a delivery as a whole: required tables, and statements in `delivery.json` that the files contradict.

Each raises DeliveryError with what was found and what to do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from features.errors import DeliveryError
from features.ingest.delivery import TERMS_FILE, Delivery
from features.ingest.report import RejectedTable
from features.schema import TABLES, Need
from features.store.operating import OperatingStore
from features.wording import count_of

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from features.ingest.sources import Source


def expect_required(
    delivery: Delivery, store: OperatingStore, sources: Mapping[str, Source], rejected: Mapping[str, RejectedTable]
) -> None:
    """Require that the delivery or the store has each required table."""
    folder = delivery.folder
    for name in (table.name for table in TABLES if table.need is Need.REQUIRED):
        if store.files(name):
            continue
        if name in rejected:
            raise DeliveryError(
                f"{folder} was not ingested, because no {name} were delivered before: {rejected[name].why}"
            )
        if name not in sources:
            raise DeliveryError(
                f"{folder} has no {name} and none were delivered before. Add {name}.parquet or {name}.csv."
            )
        if sources[name].rows == 0:
            raise DeliveryError(
                f"{folder / delivery.files[name].name} has no rows and no {name} were delivered before. "
                f"A first delivery needs {name}."
            )


def expect_no_rows_of_absent(delivery: Delivery, sources: Mapping[str, Source]) -> None:
    """Require that a table that is declared absent has no rows."""
    for name in delivery.terms.absent:
        if name in sources and sources[name].rows:
            raise DeliveryError(
                f"{delivery.folder / TERMS_FILE} declares that the platform has no {name}, but "
                f"{delivery.files[name].name} has {count_of(sources[name].rows, 'row')}. Remove {name} from absent, or "
                "leave the file out."
            )


def expect_files_of_covered(delivery: Delivery) -> None:
    """Require a file of each table that is declared complete: days without rows would count as zero."""
    delivered = {*delivery.files, *(table.table for table in delivery.rejected), *delivery.terms.absent}
    missing = [name for name in delivery.terms.covers_through if name not in delivered]
    if missing:
        raise DeliveryError(
            f"{delivery.folder / TERMS_FILE}: covers_through names {', '.join(missing)}, but the delivery has no "
            f"file of {missing[0]}. A file without rows means that nothing happened; without a file, it is unknown. "
            f"Add {missing[0]}.parquet or {missing[0]}.csv, with its columns only if nothing happened, or remove "
            f"{missing[0]} from covers_through."
        )


def expect_no_buyers(delivery: Delivery, orders: ir.Table) -> None:
    """Require that no order names a buyer if the delivery declares that they do not."""
    if "buyer_ids" not in delivery.terms.absent:
        return
    if named := orders.buyer_id.count().to_pyarrow().as_py():
        raise DeliveryError(
            f"{delivery.folder / TERMS_FILE} declares that the platform has no buyer_ids, but {named:,} orders have a "
            "buyer_id. Remove buyer_ids from absent, or leave the ids out."
        )

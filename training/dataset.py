"""Training dataset: labelled rows with point-in-time features, and a digest of the content.

`to_vectors` and `served_rows` convert rows to the input of `scoring.assess` and of the registered model.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import TYPE_CHECKING, Final

from features.catalogue import CATALOGUE, digest
from features.coverage import require_covered
from features.errors import StoreError
from features.executor import INDEX
from features.pipeline import accepted_rows, all_sellers, compute_frame, latest_midnight, seller_segments
from features.seller_coverage import latest_midnights, loan_ends, pair_coverage
from scoring import Vector
from training.errors import LabelError
from training.labels import LOANS, DefaultDefinition, Labels, label_loans

if TYPE_CHECKING:
    import pandas as pd

    from features.ingest import OperatingStore


CATALOGUE_SIGNS: Final[Mapping[str, int]] = {feature.name: feature.sign for feature in CATALOGUE}
NOT_SCORED: Final = frozenset(feature.name for feature in CATALOGUE if not feature.scored)
UNDATED: Final = date(1970, 1, 1)
"""`as_of` of all rows of a table without dates."""

MIN_PER_CLASS: Final = 20
"""Minimum number of bad and of good training rows. With fewer, a model cannot be calibrated."""

EXAMPLE_SELLER: Final = "example, no seller"
"""The seller ID in the input example of a registered model."""


@dataclass(frozen=True)
class Origin:
    """Where the rows come from, as recorded by ingest.

    Attributes:
        data: each origin of the operating data, see `OperatingStore.origins`; empty for tables without a store.
        through: the last midnight that the operating data cover; None without a store.
    """

    data: tuple[str, ...] = ()
    through: date | None = None

    def __str__(self) -> str:
        """Return the origins as one line: `simulated by sellerscore, seed 7`."""
        return "; ".join(self.data) or "not recorded"


@dataclass(frozen=True)
class Words:
    """What reports call a row, a bad row, and what `seller_id` identifies.

    Example: `TABLE_GROUPS.of_others` is `rows of other groups`.
    """

    row: str = "loan"
    bad: str = "default"
    unit: str = "seller"

    @property
    def rows(self) -> str:
        """The plural of `row`."""
        return f"{self.row}s"

    @property
    def bads(self) -> str:
        """The plural of `bad`."""
        return f"{self.bad}s"

    @property
    def units(self) -> str:
        """The plural of `unit`."""
        return f"{self.unit}s"

    @property
    def of_others(self) -> str:
        """The rows left out of a fold: `loans of other sellers`, or `other rows` if each row stands for itself."""
        return f"other {self.rows}" if self.unit == self.row else f"{self.rows} of other {self.units}"


SELLER_LOANS: Final = Words()
TABLE_ROWS: Final = Words("row", "bad row", "row")
TABLE_GROUPS: Final = Words("row", "bad row", "group")


@dataclass(frozen=True)
class Dataset:
    """Labels and features of the same rows, in the same order.

    Attributes:
        rows: seller_id, as_of and bad.
        features: a float64 column per feature of the catalogue (or of a table).
        about: country and marketplace of each row's seller as of then, for reports by segment; no model reads them.
        labels: the labels that the rows come from.
        catalogue: digest of the feature catalogue.
        data_version: version of the operating data.
        tables: the operating tables that the features were computed from.
        signs: by feature, the declared direction of risk.
        not_scored: features that no model reads.
        origin: where the rows come from.
        is_table: True if the features are the columns of a table instead of the catalogue.
        words: what reports call the rows.
    """

    rows: pd.DataFrame
    features: pd.DataFrame
    about: pd.DataFrame
    labels: Labels
    catalogue: str
    data_version: str
    tables: tuple[str, ...]
    signs: Mapping[str, int] = field(default_factory=lambda: CATALOGUE_SIGNS)
    not_scored: Collection[str] = NOT_SCORED
    origin: Origin = Origin()
    is_table: bool = False
    words: Words = SELLER_LOANS

    @property
    def digest(self) -> str:
        """SHA-256 over all that training and evidence use of this dataset.

        That is every label, feature value and segment, the digest of the catalogue, the operating tables, the
        definition of bad, and the day up to which outcomes are known, on which the split depends.
        """
        head = (self.catalogue, *self.tables, self.labels.definition, self.labels.matured_through.isoformat())
        content = hashlib.sha256("\n".join(head).encode())
        for table in (self.rows, self.about):
            content.update(table.to_csv(index=False).encode())
        content.update(self.features.to_numpy().tobytes())
        return "sha256:" + content.hexdigest()

    @property
    def scored_features(self) -> pd.DataFrame:
        """The features that a model may read."""
        return self.features[[name for name in self.features if name not in self.not_scored]]

    @property
    def spans_time(self) -> bool:
        """False if all labels have the same `as_of`, so that no later rows exist to test on."""
        return self.rows["as_of"].nunique() > 1

    @property
    def is_dated(self) -> bool:
        """False for rows of a table without dates, whose `as_of` is `UNDATED`."""
        return not self.is_table or self.spans_time or self.rows["as_of"].iloc[0].date() != UNDATED

    @property
    def period(self) -> str:
        """The period of the rows: `as of 2024-01-01 to 2024-12-31`, `as of 2024-01-01` or `without dates`."""
        if not self.is_dated:
            return "without dates"
        first, last = self.rows["as_of"].min().date(), self.rows["as_of"].max().date()
        return f"as of {first}" if first == last else f"as of {first} to {last}"

    def require(self, part: str, minimum: int) -> None:
        """Check that there are enough rows of both outcomes.

        Raises:
            LabelError: `part` has fewer than `minimum` bad or good rows.
        """
        bad = int(self.rows["bad"].sum())
        for kind, count in (("bad", bad), ("good", len(self.rows) - bad)):
            if count < minimum:
                advice = (
                    "Add rows with that outcome."
                    if self.is_table
                    else "Deliver a longer period or more sellers, or shorten the periods under [labels] and [split]."
                )
                raise LabelError(
                    f"Too few {kind} rows for {part}: {count} of {len(self.rows):,}; at least {minimum} are needed. "
                    f"{advice}"
                )

    def select(self, chosen: pd.Series) -> Dataset:
        """Return the dataset of the rows for which the boolean `chosen` is true."""
        mask = chosen.to_numpy()
        return replace(
            self,
            rows=self.rows[mask].reset_index(drop=True),
            features=self.features[mask].reset_index(drop=True),
            about=self.about[mask].reset_index(drop=True),
        )


def loan_labels(store: OperatingStore, definition: DefaultDefinition | None = None) -> Labels:
    """Label the loans of a store by the outcomes known up to the midnight that all three loan tables cover.

    Raises:
        LabelError: the store has no loans, instalments or payments.
    """
    names = ("loans", "instalments", "payments")
    for name in names:
        if name not in store.covers_through or not store.rows(name):
            raise LabelError(f"The store has no {name}. Ingest them, or name a label table with --labels.")
    observed_through = min(store.covers_through[name] for name in names)
    tables = {name: accepted_rows(store, name) for name in names}
    return label_loans(tables, observed_through, definition, loan_ends(store, tables["loans"]))


def build(store: OperatingStore, labels: Labels) -> Dataset:
    """Return the dataset of some labels, with features computed as of each label's midnight.

    Loans that were paid out after the data of their seller end are left out and counted.

    Raises:
        LabelError: a label is of a seller that the store does not have, or of a day that it does not cover.
    """
    import pandas as pd

    labels = _covered_loans(store, labels) if labels.source == LOANS else labels
    rows, covered = labels.rows, latest_midnight(store)
    _check_sellers(store, rows, covered)
    pairs = rows[["seller_id", "as_of"]]
    if labels.source != LOANS:
        try:
            require_covered(store, pairs, covered)
        except StoreError as error:
            raise LabelError(f"Of the labels, {str(error).replace(' pairs are ', ' rows are ', 1)}") from error
    features, about = (
        computed.reindex(pd.MultiIndex.from_frame(pairs)).reset_index(drop=True)
        for computed in (compute_frame(store, pairs), seller_segments(store, pairs))
    )
    tables = sorted(frozenset().union(*(feature.tables for feature in CATALOGUE)))
    present = tuple(name for name in tables if store.has(name))
    origin = Origin(store.origins, covered)
    return Dataset(rows, features, about, labels, digest(CATALOGUE), store.version, present, origin=origin)


def _covered_loans(store: OperatingStore, labels: Labels) -> Labels:
    """Return the labels without those after the data of their seller end, where undelivered days would be zeros."""
    if store.covers_all_stores:
        return labels
    coverage = pair_coverage(store, labels.rows)
    covered = coverage.loc[latest_midnights(coverage) >= coverage["as_of"], INDEX]
    rows = labels.rows.merge(covered, on=INDEX)
    if rows.empty:
        raise LabelError(
            f"None of the {len(labels.rows):,} labelled loans was paid out while the data of its seller were complete. "
            "Deliver the orders of the sellers up to the day of their loans."
        )
    return replace(labels, rows=rows, uncovered=len(labels.rows) - len(rows))


def _check_sellers(store: OperatingStore, rows: pd.DataFrame, covered: date) -> None:
    last = rows["as_of"].max().date()
    if last > covered:
        raise LabelError(
            f"A label is as of {last}, but the operating data end at {covered}. Deliver the days in between."
        )
    unknown = sorted(set(rows["seller_id"]) - set(all_sellers(store, last)["seller_id"]))
    if not unknown:
        return
    later = sorted(set(unknown) & set(all_sellers(store, covered)["seller_id"]))
    if later:
        raise LabelError(
            f"{len(later)} of the labelled sellers joined after {last}, the day of the last label. The first is "
            f"{later[0]!r}. Label them as of a later day, or remove them."
        )
    raise LabelError(f"{len(unknown)} of the labelled sellers are not in the store. The first is {unknown[0]!r}.")


def to_vectors(computed: pd.DataFrame, covers_through: Mapping[str, date]) -> list[Vector]:
    """Return a vector for each row of a feature frame, as if requested on the day of its midnight.

    Args:
        computed: indexed by (seller_id, as_of), a column per feature.
        covers_through: the midnight through which each delivered table is complete.
    """
    from features.materialize import rows_of

    catalogue = digest(CATALOGUE)
    return [
        Vector(seller_id, as_of.date(), as_of.date(), covers_through, catalogue, values)
        for (seller_id, values), (_, as_of) in zip(rows_of(computed), computed.index, strict=True)
    ]


def served_rows(rows: pd.DataFrame, features: pd.DataFrame, covers_through: Mapping[str, date]) -> pd.DataFrame:
    """Return rows as input of the registered model, see `served_model`; each is scored on the day of its `as_of`.

    Args:
        rows: `seller_id` and `as_of` of each row.
        features: feature values, in the same order.
        covers_through: the midnight through which each delivered table is complete.
    """
    covers = json.dumps({name: day.isoformat() for name, day in sorted(covers_through.items())})
    days = rows["as_of"].dt.strftime("%Y-%m-%d")
    served = features.assign(seller_id=rows["seller_id"], as_of=days, requested_on=days, covers_through=covers)
    return served[["seller_id", "as_of", "requested_on", "covers_through", *features.columns]]


def example_row(dataset: Dataset, covers_through: Mapping[str, date]) -> pd.DataFrame:
    """Return the input example of the registered model: the median of every feature as of the latest midnight.

    It belongs to no seller, because readers of the registry may not see the data of a seller.
    """
    import pandas as pd

    rows = pd.DataFrame({"seller_id": [EXAMPLE_SELLER], "as_of": [dataset.rows["as_of"].max()]})
    return served_rows(rows, dataset.features.median().to_frame().T, covers_through)

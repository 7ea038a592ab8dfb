"""The training set: a row a label, features as of its midnight, and one digest that names exactly this content.

Rows of a frame as scoring takes them: vectors for the one `assess`, and rows in the form of the served model.
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
from features.pipeline import accepted_rows, all_sellers, compute_frame, latest_midnight, seller_segments
from scoring import Vector
from training.errors import LabelError
from training.labels import LOANS, DefaultDefinition, Labels, label_loans

if TYPE_CHECKING:
    import pandas as pd

    from features.ingest import OperatingStore


CATALOGUE_SIGNS: Final[Mapping[str, int]] = {feature.name: feature.sign for feature in CATALOGUE}


NOT_SCORED: Final = frozenset(feature.name for feature in CATALOGUE if not feature.scored)


UNDATED: Final = date(1970, 1, 1)
"""The midnight of all rows of a table without dates, so that no row counts as later than another."""


LEAST_OF_A_CLASS = 20
"""Fewer bad (or good) rows than this teach nothing that could be calibrated."""


@dataclass(frozen=True)
class Origin:
    """Where the rows come from, as recorded at intake.

    Attributes:
        data: each origin of the operating data, see `OperatingStore.origins`; empty for tables without a store.
        through: the last midnight that the operating data cover; None without a store.
    """

    data: tuple[str, ...] = ()
    through: date | None = None

    def __str__(self) -> str:
        """Write the origins as one line: `simulated by sellerscore, seed 7`."""
        return "; ".join(self.data) or "not recorded"


@dataclass(frozen=True)
class Dataset:
    """Features and labels of the same rows, in the same order.

    `rows` has seller_id, as_of and bad; `features` has a float64 column per feature of the catalogue; `about` has the
    country and marketplace of each row's seller as of then, for reports by segment and never to learn from.
    `tables` are the operating tables that were there to compute from. `signs` says which way risk moves along a
    feature and `not_scored` which features no model reads: the catalogue's, but for tables that others made. `origin`
    is where the rows come from. `is_table` is True if the features are not those of the catalogue.
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

    @property
    def digest(self) -> str:
        """SHA-256 over all that training and evidence take from here: the name of this training set.

        That is every label, feature value and segment, the catalogue's digest, the tables that were there, what bad
        means, and up to when outcomes are known, which decides the split.
        """
        known = (self.catalogue, *self.tables, self.labels.definition, self.labels.matured_through.isoformat())
        content = hashlib.sha256("\n".join(known).encode())
        for table in (self.rows, self.about):
            content.update(table.to_csv(index=False).encode())
        content.update(self.features.to_numpy().tobytes())
        return "sha256:" + content.hexdigest()

    @property
    def spans_time(self) -> bool:
        """False where all labels are as of one midnight, so that nothing can be tested later in time."""
        return self.rows["as_of"].nunique() > 1

    @property
    def is_dated(self) -> bool:
        """False for rows of a table that states no dates; their midnight is `UNDATED`."""
        return not self.is_table or self.spans_time or self.rows["as_of"].iloc[0].date() != UNDATED

    @property
    def period(self) -> str:
        """The period of the rows in words: `as of 2024-01-01 to 2024-12-31`, `as of 2024-01-01` or `without dates`."""
        if not self.is_dated:
            return "without dates"
        first, last = self.rows["as_of"].min().date(), self.rows["as_of"].max().date()
        return f"as of {first}" if first == last else f"as of {first} to {last}"

    @property
    def borrowers(self) -> str:
        """What `seller_id` names, in the plural: `sellers`, or `borrowers` for a table."""
        return "borrowers" if self.is_table else "sellers"

    def require(self, what: str, least: int) -> None:
        """Check that there are enough rows of both kinds.

        Raises:
            LabelError: fewer than `least` bad or good rows in `what`.
        """
        bad = int(self.rows["bad"].sum())
        for kind, count in (("bad", bad), ("good", len(self.rows) - bad)):
            if count < least:
                advice = (
                    "add rows with that outcome."
                    if self.is_table
                    else "deliver a longer span or more sellers, or ask for less of it under [labels] and [split]."
                )
                raise LabelError(
                    f"The {what} part has {count} {kind} of {len(self.rows)} labels and needs at least {least}; "
                    f"{advice}"
                )

    def select(self, chosen: pd.Series) -> Dataset:
        """Return the dataset of the rows where the boolean `chosen` is true."""
        kept = chosen.to_numpy()
        return replace(
            self,
            rows=self.rows[kept].reset_index(drop=True),
            features=self.features[kept].reset_index(drop=True),
            about=self.about[kept].reset_index(drop=True),
        )


def loan_labels(store: OperatingStore, definition: DefaultDefinition | None = None) -> Labels:
    """Label the loans of a store by the outcomes known up to the midnight that all three of its tables cover.

    Raises:
        LabelError: the store holds no loans, instalments or payments.
    """
    names = ("loans", "instalments", "payments")
    for name in names:
        if name not in store.covers_through or not store.rows(name):
            raise LabelError(f"The store holds no {name}; ingest them, or give a label table with --labels.")
    observed_through = min(store.covers_through[name] for name in names)
    return label_loans({name: accepted_rows(store, name) for name in names}, observed_through, definition)


def build(store: OperatingStore, labels: Labels) -> Dataset:
    """Compute the features of every label's (seller, midnight) and put both side by side.

    Raises:
        LabelError: a label names a seller whom the store does not know, or a day that it does not cover.
    """
    import pandas as pd

    rows, covered = labels.rows, latest_midnight(store)
    last = rows["as_of"].max().date()
    if last > covered:
        raise LabelError(f"A label is as of {last}, but the operating data end at {covered}; deliver the days between.")
    known = all_sellers(store, last)["seller_id"]
    unknown = sorted(set(rows["seller_id"]) - set(known))
    if unknown:
        later = sorted(set(unknown) & set(all_sellers(store, covered)["seller_id"]))
        if later:
            raise LabelError(
                f"{len(later)} of the labelled sellers were not known by {last}, the day of the last label, but only "
                f"later; the first is {later[0]!r}. Label them as of a day on which they were known, or leave them out."
            )
        raise LabelError(f"{len(unknown)} of the labelled sellers are not in the store, the first is {unknown[0]!r}.")
    pairs = rows[["seller_id", "as_of"]]
    if labels.source != LOANS:
        try:
            require_covered(store, pairs, covered)
        except StoreError as error:
            raise LabelError(f"Of the labels, {str(error).replace(' pairs are ', ' rows are ', 1)}") from error
    aligned, about = (
        computed.reindex(pd.MultiIndex.from_frame(pairs)).reset_index(drop=True)
        for computed in (compute_frame(store, pairs), seller_segments(store, pairs))
    )
    used = sorted(frozenset().union(*(feature.tables for feature in CATALOGUE)))
    present = tuple(name for name in used if store.has(name))
    origin = Origin(store.origins, covered)
    return Dataset(rows, aligned, about, labels, digest(CATALOGUE), store.version, present, origin=origin)


EXAMPLE_SELLER: Final = "example, no seller"
"""The id in the example that a registered model carries."""


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
    """Return rows in the form that the served model takes: see `served_model`.

    Args:
        rows: `seller_id` and `as_of` of each; the score is asked for on that day.
        features: their values, in the same order.
        covers_through: the midnight through which each delivered table is complete.
    """
    covers = json.dumps({name: day.isoformat() for name, day in sorted(covers_through.items())})
    days = rows["as_of"].dt.strftime("%Y-%m-%d")
    made = features.assign(seller_id=rows["seller_id"], as_of=days, requested_on=days, covers_through=covers)
    return made[["seller_id", "as_of", "requested_on", "covers_through", *features.columns]]


def example_row(dataset: Dataset, covers_through: Mapping[str, date]) -> pd.DataFrame:
    """Return one row of nobody's as the served model takes it: the median of every feature, as of the latest midnight.

    It is kept beside the model for whoever may read the registry, who may not know any seller's figures.
    """
    import pandas as pd

    rows = pd.DataFrame({"seller_id": [EXAMPLE_SELLER], "as_of": [dataset.rows["as_of"].max()]})
    return served_rows(rows, dataset.features.median().to_frame().T, covers_through)

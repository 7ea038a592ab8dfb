"""Holdout rows: rows that registered models were not trained on, from the current operating data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from pydantic import TypeAdapter

from training.dataset import Dataset, build, loan_labels
from training.errors import ComparisonError, LabelError
from training.labels import LabelConfig, Labels, read_label_table
from training.split import Evidence, SplitConfig, is_unseen

if TYPE_CHECKING:
    import pandas as pd

    from features.ingest import OperatingStore
    from training.registry import Version

Section = TypeVar("Section")

LEAST_OF_A_KIND: Final = 2
"""Smallest number of bad rows, and of good rows, for any metric; intervals show how uncertain it is."""


@dataclass(frozen=True)
class LabelSource:
    """Source of labelled rows: the loans of a store or a label table, with features from the store.

    Outcomes of a label table are known up to `observed_through`, see `read_label_table`.
    """

    store: OperatingStore
    table: Path | None = None
    observed_through: date | None = None

    def labels(self, version: Version) -> Labels:
        """Return the labels that a version was trained to predict, as known now.

        Raises:
            ComparisonError: it was trained on other labels.
            LabelError: there are no labels, or the table cannot be read.
        """
        config = label_config(version)
        if self.table is None:
            labels = loan_labels(self.store, config.loan_definition)
        else:
            labels = read_label_table(self.table, config, self.observed_through)
        if labels.definition != _definition(version):
            raise ComparisonError(
                f'Version {version.number} predicts "{_definition(version)}", but these labels are '
                f'"{labels.definition}". Give the label table of the training with --labels; leave the option out if '
                "the version was trained on loans."
            )
        return labels


def test_rows(source: LabelSource, version: Version) -> Dataset:
    """Return the test rows of a version with features: held-out sellers, from the start of its test period.

    They include loans that have matured since the training. A version that was trained on all rows gets all rows.

    Raises:
        ComparisonError: the version was trained to predict other labels.
        LabelError: there are no such rows.
    """
    labels = source.labels(version)
    rows = labels.rows[labels.rows["as_of"].dt.date <= labels.matured_through]
    if _is_out_of_time(version):
        rows = rows[_never_trained_on(version, rows)]
    if rows.empty:
        raise LabelError(
            f"None of the {len(labels.rows)} labelled rows is from {version.params.get('test_from')} or later and of a "
            f"seller that version {version.number} was not trained on. Ingest the data of the training, or later data."
        )
    return build(source.store, replace(labels, rows=rows.reset_index(drop=True)))


def shared_rows(rows: Dataset, candidate: Version, champion: Version) -> Dataset:
    """Return the test rows of the candidate that the champion was not trained on either.

    Raises:
        ComparisonError: the versions predict different outcomes, or one was not tested out of time.
        LabelError: there are too few bad or good rows.
    """
    require_comparable(candidate, champion)
    shared = rows.select(_never_trained_on(champion, rows.rows))
    shared.require(f"the comparison of version {candidate.number} with version {champion.number}", LEAST_OF_A_KIND)
    return shared


def require_comparable(candidate: Version, champion: Version) -> None:
    """Check that two versions predict the same outcome and that both were tested out of time.

    Raises:
        ComparisonError: one of these does not hold.
    """
    if _definition(candidate) != _definition(champion):
        raise ComparisonError(
            f'Version {candidate.number} predicts "{_definition(candidate)}", but version {champion.number} predicts '
            f'"{_definition(champion)}". Models of different outcomes cannot be compared.'
        )
    for version in (candidate, champion):
        if not _is_out_of_time(version):
            raise ComparisonError(
                f"Version {version.number} was trained on all rows (its test is out of fold), so there are no rows to "
                "compare it on."
            )


def label_config(version: Version) -> LabelConfig:
    """Return the `[labels]` section of the settings that a version was trained with."""
    return _section(version, "labels", LabelConfig)


def _definition(version: Version) -> str:
    return version.params.get("default_definition", "an unknown outcome")


def _is_out_of_time(version: Version) -> bool:
    return version.params.get("evidence") == Evidence.OUT_OF_TIME


def _never_trained_on(version: Version, rows: pd.DataFrame) -> pd.Series:
    import pandas as pd

    later = rows["as_of"] >= pd.Timestamp(version.params["test_from"])
    return later & is_unseen(rows["seller_id"], _section(version, "split", SplitConfig))


def _section(version: Version, name: str, kind: type[Section]) -> Section:
    """Return a section of the settings that a version was trained with, from the parameters of its run."""
    logged = {key.partition(".")[2]: text for key, text in version.params.items() if key.startswith(f"{name}.")}
    return TypeAdapter(kind).validate_strings(logged)

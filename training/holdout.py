"""Rows that registered models never learnt from, taken from the operating data as they are now."""

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
"""Bad and good rows, each, without which no figure of merit means anything; intervals tell how little it means."""


@dataclass(frozen=True)
class LabelSource:
    """Where labelled rows come from: the loans of a store, or a label table, with features from that store.

    Outcomes of a label table are known up to `observed_through`, see `read_label_table`.
    """

    store: OperatingStore
    table: Path | None = None
    observed_through: date | None = None

    def labels(self, version: Version) -> Labels:
        """Return the labels that a version was trained to predict, as they are known now.

        Raises:
            ComparisonError: it was trained on labels of another origin.
            LabelError: there are none, or the table cannot be read.
        """
        config = label_config(version)
        if self.table is None:
            known = loan_labels(self.store, config.loan_definition)
        else:
            known = read_label_table(self.table, config, self.observed_through)
        if known.definition != _definition(version):
            raise ComparisonError(
                f'Version {version.number} predicts "{_definition(version)}", and these labels are '
                f'"{known.definition}"; name the label table that it was trained on with --labels, or none where it '
                "was trained on loans."
            )
        return known


def test_rows(source: LabelSource, version: Version) -> Dataset:
    """Return the rows to test a version on, with features: of unseen sellers, from the day its own test began.

    They are those of its training, and the loans that have matured since. A version that learnt from every row there
    was is given them all.

    Raises:
        ComparisonError: the labels are not those that it was trained to predict.
        LabelError: no such rows.
    """
    known = source.labels(version)
    rows = known.rows[known.rows["as_of"].dt.date <= known.matured_through]
    if _is_out_of_time(version):
        rows = rows[_never_trained_on(version, rows)]
    if rows.empty:
        raise LabelError(
            f"None of the {len(known.rows)} labelled rows is of a seller whom version {version.number} never saw, from "
            f"{version.params.get('test_from')} on; ingest the data that it was trained on, or later ones."
        )
    return build(source.store, replace(known, rows=rows.reset_index(drop=True)))


def shared_rows(rows: Dataset, candidate: Version, champion: Version) -> Dataset:
    """Return those test rows of the candidate that the champion did not learn from either.

    Raises:
        ComparisonError: the two predict different outcomes, or one of them was not tested out of time.
        LabelError: too few bad or good rows are left.
    """
    require_comparable(candidate, champion)
    shared = rows.select(_never_trained_on(champion, rows.rows))
    shared.require(f"unseen by version {candidate.number} and version {champion.number}", LEAST_OF_A_KIND)
    return shared


def require_comparable(candidate: Version, champion: Version) -> None:
    """Check that two versions predict the same outcome and that both were tested out of time.

    Raises:
        ComparisonError: they do not, or were not.
    """
    if _definition(candidate) != _definition(champion):
        raise ComparisonError(
            f'Version {candidate.number} predicts "{_definition(candidate)}" and version {champion.number} '
            f'"{_definition(champion)}"; models that answer different questions cannot be compared.'
        )
    for version in (candidate, champion):
        if not _is_out_of_time(version):
            raise ComparisonError(
                f"Version {version.number} learnt from every row there was (it was measured out of fold), so there "
                "are none on which it could be compared."
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

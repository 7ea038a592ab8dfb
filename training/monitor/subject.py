"""The monitored model, and its reference: the training population with which scores are compared.

A reference is computed from the operating data, which give the same features for a midnight at any time, and then
stored. Monitoring therefore stays fast, and works without the registry and with a newer catalogue.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from features.catalogue import CATALOGUE, digest
from features.pipeline import compute_frame
from training.errors import ComparisonError
from training.evidence.drift import SCORE, Sample
from training.evidence.study import scorable_rows, scores
from training.holdout import LabelSource
from training.monitor.score_log import match_loans, short_digest
from training.split import Evidence, SplitConfig, is_unseen

if TYPE_CHECKING:
    import pandas as pd

    from training.config import MonitorConfig
    from training.monitor.inputs import Outcomes
    from training.monitor.score_log import KnownModel
    from training.registry import Version

MAX_ROWS: Final = 20_000
"""Larger training populations are sampled: more rows take longer and hardly narrow an interval."""

_MAX_DIFFERENCE: Final = 0.01
"""Loans that were reported late change the number of training rows a little; a larger share is another population."""

_REQUIRED_PARAMS: Final = ("evidence", "train_before", "train_rows", "split.unseen_share", "split.salt")
_SEED: Final = 7
_TRAINED_ON: Final = "learnt"
"""The column of a stored reference that marks training rows."""


@dataclass(frozen=True)
class Reference:
    """The reference of a model; only rows with enough history for a score.

    Attributes:
        features: of the training rows of the tested model.
        score: of loans of the same period whose sellers were not in the training rows; None if the tested model was
            trained on all rows. The final fit was trained on these loans, so their scores may be more extreme than
            those of new loans.
    """

    features: Sample
    score: Sample | None


@dataclass(frozen=True)
class References:
    """Computes and stores references: the source of labelled rows, and the folder of the stored references."""

    source: LabelSource
    folder: Path

    def load(self, model: KnownModel) -> Reference:
        """Return the reference of a model.

        Raises:
            TrainingError: it cannot be computed, because the version or its labels are unknown.
        """
        path = self.folder / f"reference-{model.bundle.digest.removeprefix('sha256:')[:16]}.parquet"
        names = list(model.bundle.sheet.names)
        rows = _read(path, names)
        if rows is None:
            rows = self._compute(model)
            _store(rows, path)
        rows = rows[scorable_rows(model.bundle, rows[names])]
        training, rest = rows[rows[_TRAINED_ON]], rows[~rows[_TRAINED_ON]]
        score = scores(model.bundle, rest[names].to_numpy(dtype=np.float64))
        return Reference(
            Sample(training[names], training["seller_id"]),
            Sample(rest[[]].assign(**{SCORE: score}), rest["seller_id"]) if len(rest) else None,
        )

    def _compute(self, model: KnownModel) -> pd.DataFrame:
        import pandas as pd

        version, catalogue = model.version, model.bundle.sheet.catalogue
        if version is None or not has_training_record(version):
            raise ComparisonError("No registered version of this model records the rows it was trained on.")
        if catalogue != digest(CATALOGUE):
            raise ComparisonError(
                f"The model was trained with the catalogue {short_digest(catalogue)}, but this program computes "
                f"{short_digest(digest(CATALOGUE))}."
            )
        labelled = self.source.labels(version).rows
        rows = labelled[labelled["as_of"] < pd.Timestamp(version.params["train_before"])]
        rows = rows.assign(**{_TRAINED_ON: _is_training_row_of_tested_model(version, rows)})
        actual, expected = int(rows[_TRAINED_ON].sum()), int(version.params["train_rows"])
        if abs(actual - expected) > _MAX_DIFFERENCE * expected:
            raise ComparisonError(
                f"The model was trained on {expected} rows, but the operating data contain {actual} rows of that "
                "period and those sellers. Ingest the data that it was trained on."
            )
        if len(rows) > MAX_ROWS:
            rows = rows.sample(MAX_ROWS, random_state=_SEED)
        computed = compute_frame(self.source.store, rows[["seller_id", "as_of"]]).reset_index()
        return computed.merge(rows[["seller_id", "as_of", _TRAINED_ON]].drop_duplicates(), on=["seller_id", "as_of"])


def has_training_record(version: Version) -> bool:
    """Return whether the run of a version logged which rows it was trained on."""
    return all(name in version.params for name in _REQUIRED_PARAMS)


def is_training_row(version: Version, rows: pd.DataFrame) -> pd.Series:
    """Return True for the labelled rows (`seller_id`, `as_of`) that the served model was trained on."""
    import pandas as pd

    if before := version.params.get("served_before"):
        return rows["as_of"] < pd.Timestamp(before)
    return _is_training_row_of_tested_model(version, rows)


def _is_training_row_of_tested_model(version: Version, rows: pd.DataFrame) -> pd.Series:
    """Return True for the labelled rows that the tested model was trained on."""
    import pandas as pd

    earlier = rows["as_of"] < pd.Timestamp(version.params["train_before"])
    if version.params["evidence"] != Evidence.OUT_OF_TIME:
        return earlier
    split = SplitConfig(unseen_share=float(version.params["split.unseen_share"]), salt=version.params["split.salt"])
    return earlier & ~is_unseen(rows["seller_id"], split)


def _read(path: Path, names: Sequence[str]) -> pd.DataFrame | None:
    """Return a stored reference; None if it is missing, damaged or without a column."""
    import pandas as pd
    import pyarrow as pa

    try:
        rows: pd.DataFrame = pd.read_parquet(path)
    except (FileNotFoundError, ValueError, pa.ArrowException):
        return None
    return rows if {"seller_id", _TRAINED_ON, *names} <= set(rows.columns) else None


def _store(rows: pd.DataFrame, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    rows.to_parquet(scratch, index=False)
    scratch.replace(path)


@dataclass(frozen=True)
class MonitoredModel:
    """A model, the scores that it issued until today, and what its studies need.

    Attributes:
        model: its bundle and version.
        scores: a frame of `SCORES`, one row for each seller and midnight.
        outcomes: of loans, by the bundle's definition of default.
        shadow: a frame of `SHADOW`: challengers' scores for the same requests.
        references: access to training populations.
        today: the midnight of monitoring.
        config: the thresholds.
        is_selected: whether it is the champion or the model of a given portfolio.
    """

    model: KnownModel
    scores: pd.DataFrame
    outcomes: Outcomes
    shadow: pd.DataFrame
    references: References
    today: date
    config: MonitorConfig
    is_selected: bool = False

    @cached_property
    def loans(self) -> pd.DataFrame:
        """The loans that match a score (see `match_loans`), without those that the model was trained on."""
        return self._matched[~self._is_training].reset_index(drop=True)

    @property
    def training_loans(self) -> int:
        """Number of loans that match a score but were trained on, as happens with backdated scores."""
        return int(self._is_training.sum())

    @cached_property
    def _matched(self) -> pd.DataFrame:
        return match_loans(self.scores, self.outcomes.loans)

    @cached_property
    def _is_training(self) -> pd.Series:
        import pandas as pd

        rows = self._matched
        if self.model.version is None or not has_training_record(self.model.version):
            return pd.Series(False, index=rows.index, dtype=bool)
        return is_training_row(self.model.version, rows[["seller_id"]].assign(as_of=rows["day"]))

    @property
    def recent(self) -> pd.DataFrame:
        """The scores of the analysis period: the last `drift.days` days."""
        import pandas as pd

        start = pd.Timestamp(self.today) - pd.Timedelta(days=self.config.drift.days)
        return self.scores[self.scores["as_of"] > start]

    @property
    def in_use(self) -> bool:
        """Whether it is selected or issued a score in the analysis period; only then do its alarms count."""
        return self.is_selected or len(self.recent) > 0

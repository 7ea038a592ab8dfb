"""The population that a model was made from: what the scores given are held against.

It is made again from the operating data, which give the same features as of a midnight for ever, and then kept beside
them: so that monitoring stays quick, and goes on where the registry is away or a newer catalogue has come.

One model under watch, with all that studies of it may look at.
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
from training.monitor.score_log import match_loans
from training.split import Evidence, SplitConfig, is_unseen

if TYPE_CHECKING:
    import pandas as pd

    from training.monitor.config import MonitorConfig
    from training.monitor.inputs import Outcomes
    from training.monitor.score_log import KnownModel
    from training.registry import Version


ROWS: Final = 20_000
"""More training rows than this are drawn from: others would narrow an interval by less than they cost."""


_MAY_DIFFER: Final = 0.01
"""Loans that were reported late, or taken back, change the population by a few; more than this share is another one."""


_LOGGED: Final = ("evidence", "train_before", "train_rows", "split.unseen_share", "split.salt")


_SEED: Final = 7


_TRAINED_ON: Final = "learnt"


@dataclass(frozen=True)
class Reference:
    """What scores given are held against, rows with history enough for a score alone.

    Attributes:
        features: of the training rows of the tested model.
        score: of loans of the same time whose sellers were not in these rows. They are training rows of the final fit,
            so their scores may be more extreme than those of new loans. None if the tested model was trained on all.
    """

    features: Sample
    score: Sample | None


@dataclass(frozen=True)
class References:
    """Makes and keeps references: `source` of labelled rows, and the folder that keeps them."""

    source: LabelSource
    folder: Path

    def of(self, model: KnownModel) -> Reference:
        """Return the reference of a model.

        Raises:
            TrainingError: it cannot be made again: the version is not known, or its labels are not there.
        """
        kept = self.folder / f"reference-{model.bundle.digest.removeprefix('sha256:')[:16]}.parquet"
        names = list(model.bundle.sheet.names)
        rows = _read(kept, names)
        if rows is None:
            rows = self._made(model)
            _store(rows, kept)
        rows = rows[scorable_rows(model.bundle, rows[names])]
        learnt, other = rows[rows[_TRAINED_ON]], rows[~rows[_TRAINED_ON]]
        score = scores(model.bundle, other[names].to_numpy(dtype=np.float64))
        return Reference(
            Sample(learnt[names], learnt["seller_id"]),
            Sample(other[[]].assign(**{SCORE: score}), other["seller_id"]) if len(other) else None,
        )

    def _made(self, model: KnownModel) -> pd.DataFrame:
        version, catalogue = model.version, model.bundle.sheet.catalogue
        if version is None or not has_training_record(version):
            raise ComparisonError("No registered version is known that says what it was trained on.")
        if catalogue != digest(CATALOGUE):
            raise ComparisonError(
                f"It was trained with the catalogue {catalogue[:19]}, and this program computes another, "
                f"{digest(CATALOGUE)[:19]}."
            )
        rows = _of_its_time(version, self.source.labels(version).rows)
        found, learnt = int(rows[_TRAINED_ON].sum()), int(version.params["train_rows"])
        if abs(found - learnt) > _MAY_DIFFER * learnt:
            raise ComparisonError(
                f"It was trained on {learnt} rows, and the operating data hold {found} of that time and those "
                "sellers; ingest what it was trained on."
            )
        if len(rows) > ROWS:
            rows = rows.sample(ROWS, random_state=_SEED)
        computed = compute_frame(self.source.store, rows[["seller_id", "as_of"]]).reset_index()
        return computed.merge(rows[["seller_id", "as_of", _TRAINED_ON]].drop_duplicates(), on=["seller_id", "as_of"])


def _of_its_time(version: Version, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the labelled rows of the time that the tested model of a version learnt from, and which of them it did."""
    import pandas as pd

    earlier = rows[rows["as_of"] < pd.Timestamp(version.params["train_before"])]
    return earlier.assign(**{_TRAINED_ON: _is_training_row_by_time(version, earlier)})


def has_training_record(version: Version) -> bool:
    """Whether the run of a version logged what it learnt from."""
    return all(name in version.params for name in _LOGGED)


def is_training_row(version: Version, rows: pd.DataFrame) -> pd.Series:
    """Return True for the labelled rows (`seller_id`, `as_of`) that the model that serves learnt from."""
    import pandas as pd

    if before := version.params.get("served_before"):
        return rows["as_of"] < pd.Timestamp(before)
    return _is_training_row_by_time(version, rows)


def _is_training_row_by_time(version: Version, rows: pd.DataFrame) -> pd.Series:
    import pandas as pd

    earlier = rows["as_of"] < pd.Timestamp(version.params["train_before"])
    if version.params["evidence"] != Evidence.OUT_OF_TIME:  # it learnt from every row there was then
        return earlier
    split = SplitConfig(unseen_share=float(version.params["split.unseen_share"]), salt=version.params["split.salt"])
    return earlier & ~is_unseen(rows["seller_id"], split)


def _read(path: Path, names: Sequence[str]) -> pd.DataFrame | None:
    """Return what is kept; None where nothing is, or nothing that can be read and fits."""
    import pandas as pd
    import pyarrow as pa

    if not path.is_file():
        return None
    try:
        found: pd.DataFrame = pd.read_parquet(path)
    except (ValueError, pa.ArrowException):
        return None
    return found if {"seller_id", _TRAINED_ON, *names} <= set(found.columns) else None


def _store(rows: pd.DataFrame, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    rows.to_parquet(scratch, index=False)
    scratch.replace(path)


@dataclass(frozen=True)
class MonitoredModel:
    """A model and the scores that it gave until today.

    Attributes:
        model: its bundle and version.
        scores: a frame of `ledger.SCORES`, each seller and midnight once.
        outcomes: of loans, by the bundle's definition of bad.
        shadow: a frame of `ledger.SHADOW`, what challengers said to the same requests.
        references: of training populations.
        today: the midnight of monitoring.
        config: the limits.
        in_force: whether it is watched in any case, as the champion or because somebody asked for it.
    """

    model: KnownModel
    scores: pd.DataFrame
    outcomes: Outcomes
    shadow: pd.DataFrame
    references: References
    today: date
    config: MonitorConfig
    in_force: bool = False

    @cached_property
    def loans(self) -> pd.DataFrame:
        """The loans that met one of the scores (`matching.matched`), without those that the model learnt from."""
        return self._matched[~self._learnt].reset_index(drop=True)

    @property
    def learnt(self) -> int:
        """How many loans met a score that the model learnt from: some do where scores are made for the past."""
        return int(self._learnt.sum())

    @cached_property
    def _matched(self) -> pd.DataFrame:
        return match_loans(self.scores, self.outcomes.loans)

    @cached_property
    def _learnt(self) -> pd.Series:
        import pandas as pd

        rows = self._matched
        if self.model.version is None or not has_training_record(self.model.version):
            return pd.Series(False, index=rows.index, dtype=bool)
        return is_training_row(self.model.version, rows[["seller_id"]].assign(as_of=rows["day"]))

    @property
    def recent(self) -> pd.DataFrame:
        """The scores of the last days, as many as the limits say."""
        import pandas as pd

        first = pd.Timestamp(self.today) - pd.Timedelta(days=self.config.drift.days)
        return self.scores[self.scores["as_of"] > first]

    @property
    def in_use(self) -> bool:
        """Whether it is in force or gave any score in those days; alarms of others are shown and wake nobody."""
        return self.in_force or len(self.recent) > 0

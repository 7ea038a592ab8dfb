"""The population that a model was made from: what the scores given are held against.

It is made again from the operating data, which give the same features as of a midnight for ever, and then kept beside
them: so that monitoring stays quick, and goes on where the registry is away or a newer catalogue has come.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from features.catalogue import CATALOGUE, digest
from features.pipeline import compute_frame
from training.errors import ComparisonError
from training.evidence.asking import scorable
from training.evidence.drift import SCORE, Sample
from training.evidence.scored import scores
from training.split import Evidence, is_unseen
from training.split_settings import SplitConfig
from training.unseen import Source

if TYPE_CHECKING:
    import pandas as pd

    from training.monitor.models import Model
    from training.registry import Version

ROWS: Final = 20_000
"""More training rows than this are drawn from: others would narrow an interval by less than they cost."""

_MAY_DIFFER: Final = 0.01
"""Loans that were reported late, or taken back, change the population by a few; more than this share is another one."""

_LOGGED: Final = ("evidence", "train_before", "train_rows", "split.unseen_share", "split.salt")
_SEED: Final = 7
_LEARNT: Final = "learnt"


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

    source: Source
    folder: Path

    def of(self, model: Model) -> Reference:
        """Return the reference of a model.

        Raises:
            TrainingError: it cannot be made again: the version is not known, or its labels are not there.
        """
        kept = self.folder / f"reference-{model.bundle.digest.removeprefix('sha256:')[:16]}.parquet"
        names = list(model.bundle.sheet.names)
        rows = _read(kept, names)
        if rows is None:
            rows = self._made(model)
            _keep(rows, kept)
        rows = rows[scorable(model.bundle, rows[names])]
        learnt, other = rows[rows[_LEARNT]], rows[~rows[_LEARNT]]
        score = scores(model.bundle, other[names].to_numpy(dtype=np.float64))
        return Reference(
            Sample(learnt[names], learnt["seller_id"]),
            Sample(other[[]].assign(**{SCORE: score}), other["seller_id"]) if len(other) else None,
        )

    def _made(self, model: Model) -> pd.DataFrame:
        version, catalogue = model.version, model.bundle.sheet.catalogue
        if version is None or not tells(version):
            raise ComparisonError("No registered version is known that says what it was trained on.")
        if catalogue != digest(CATALOGUE):
            raise ComparisonError(
                f"It was trained with the catalogue {catalogue[:19]}, and this program computes another, "
                f"{digest(CATALOGUE)[:19]}."
            )
        rows = _of_its_time(version, self.source.labels(version).rows)
        found, learnt = int(rows[_LEARNT].sum()), int(version.params["train_rows"])
        if abs(found - learnt) > _MAY_DIFFER * learnt:
            raise ComparisonError(
                f"It was trained on {learnt} rows, and the operating data hold {found} of that time and those "
                "sellers; ingest what it was trained on."
            )
        if len(rows) > ROWS:
            rows = rows.sample(ROWS, random_state=_SEED)
        computed = compute_frame(self.source.store, rows[["seller_id", "as_of"]]).reset_index()
        return computed.merge(rows[["seller_id", "as_of", _LEARNT]].drop_duplicates(), on=["seller_id", "as_of"])


def _of_its_time(version: Version, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the labelled rows of the time that the tested model of a version learnt from, and which of them it did."""
    import pandas as pd

    earlier = rows[rows["as_of"] < pd.Timestamp(version.params["train_before"])]
    return earlier.assign(**{_LEARNT: _learnt_before_the_test(version, earlier)})


def tells(version: Version) -> bool:
    """Whether the run of a version logged what it learnt from."""
    return all(name in version.params for name in _LOGGED)


def learnt_from(version: Version, rows: pd.DataFrame) -> pd.Series:
    """Return True for the labelled rows (`seller_id`, `as_of`) that the model that serves learnt from."""
    import pandas as pd

    if before := version.params.get("served_before"):
        return rows["as_of"] < pd.Timestamp(before)
    return _learnt_before_the_test(version, rows)


def _learnt_before_the_test(version: Version, rows: pd.DataFrame) -> pd.Series:
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
    return found if {"seller_id", _LEARNT, *names} <= set(found.columns) else None


def _keep(rows: pd.DataFrame, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    rows.to_parquet(scratch, index=False)
    scratch.replace(path)

"""Comparison of registered versions on the same loans, also across catalogues.

Versions of this program's catalogue predict the loans again, with the outcomes known now. Versions of different
catalogues are compared by their stored test predictions, on the loans that both were tested on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from features.catalogue import CATALOGUE, digest
from training.compare import Comparison, compare, compare_predictions
from training.errors import ComparisonError
from training.holdout import LEAST_OF_A_KIND, require_comparable, shared_rows, test_rows
from training.predictions import predict, shared_loans
from training.registry import load_predictions, load_tested

if TYPE_CHECKING:
    import pandas as pd

    from scoring import Bundle
    from training.dataset import Dataset
    from training.holdout import LabelSource
    from training.registry import Registry, Version


@dataclass(frozen=True)
class Contender:
    """A version with its tested bundle, and its test rows if they are already computed."""

    version: Version
    bundle: Bundle
    rows: Dataset | None = None

    @classmethod
    def load(cls, registry: Registry, version: Version) -> Contender:
        """Download the tested bundle of a version."""
        return cls(version, load_tested(registry, version))

    @property
    def is_computable(self) -> bool:
        """Whether this program has the catalogue of the version."""
        return self.bundle.sheet.catalogue == digest(CATALOGUE)


def compare_versions(registry: Registry, source: LabelSource, candidate: Contender, champion: Contender) -> Comparison:
    """Compare two versions on loans that neither was trained on.

    Args:
        registry: contains the test predictions of both runs.
        source: of the labelled rows.
        candidate: the version that may become the champion.
        champion: the version to compare it with.

    Raises:
        ComparisonError: they predict different outcomes, one was not tested out of time, or a run of another catalogue
            stored no test predictions.
        LabelError: too few loans that neither was trained on.
    """
    require_comparable(candidate.version, champion.version)
    if candidate.is_computable and champion.is_computable:
        rows = shared_rows(_rows(source, candidate), candidate.version, champion.version)
        return compare(candidate.bundle, champion.bundle, rows)
    ours, theirs = (_predictions(registry, source, contender) for contender in (candidate, champion))
    ours, theirs = shared_loans(ours, theirs)
    bad = int(ours["bad"].sum())
    if min(bad, len(ours) - bad) < LEAST_OF_A_KIND:
        raise ComparisonError(
            f"Version {candidate.version.number} and version {champion.version.number} were trained with different "
            f"catalogues, and only {len(ours)} loans, {bad} of them bad, were in both tests. Train version "
            f"{champion.version.number} again with this catalogue, or test both on the same period and sellers "
            "(split.test_days, split.unseen_share and split.salt)."
        )
    return compare_predictions(ours, theirs)


def _predictions(registry: Registry, source: LabelSource, contender: Contender) -> pd.DataFrame:
    if contender.is_computable:
        return predict(contender.bundle, _rows(source, contender))
    stored = load_predictions(registry, contender.version)
    if stored is None:
        theirs = contender.bundle.sheet.catalogue[:19]
        raise ComparisonError(
            f"Version {contender.version.number} was trained with the catalogue {theirs}, this program "
            f"computes {digest(CATALOGUE)[:19]}, and its run stored no test predictions. Compare the metrics "
            "of both runs in MLflow (`make mlflow`), or train it again with this catalogue."
        )
    return stored


def _rows(source: LabelSource, contender: Contender) -> Dataset:
    return test_rows(source, contender.version) if contender.rows is None else contender.rows

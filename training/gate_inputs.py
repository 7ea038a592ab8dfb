"""Inputs of the gates: the figures that a run logged, and the scores of its bundle on the test rows now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import TYPE_CHECKING

from scoring import Outcome, assess
from training.compare import Comparison
from training.compare_versions import Contender, compare_versions
from training.dataset import to_vectors
from training.errors import ComparisonError, LabelError
from training.holdout import LabelSource, test_rows
from training.registry import Registry, Version, load_bundle

if TYPE_CHECKING:
    from scoring import Bundle
    from training.console import Step
    from training.dataset import Dataset


@dataclass(frozen=True)
class PointSumCheck:
    """Number of scored test rows, and of those whose points do not add up to the score."""

    scored: int
    missed: int


@dataclass(frozen=True)
class GateInputs:
    """Inputs of the gates.

    Attributes:
        sums: from scoring the test rows now.
        test_rows: number of test loans of the run; None if it was not logged.
        test_bad: number of bad test loans; None if it was not logged.
        metrics: figures that the run logged, such as `drift.score_psi`.
        tags: of the run.
        comparison: with the champion; None if there is no comparison.
        incomparable: why the champion cannot be compared; None if it can, or there is no champion.
    """

    sums: PointSumCheck
    test_rows: int | None = None
    test_bad: int | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    comparison: Comparison | None = None
    incomparable: str | None = None


def collect_inputs(
    registry: Registry, source: LabelSource, candidate: Version, champion: Version | None, step: Step
) -> GateInputs:
    """Score the test rows of a candidate, and compare it with the champion, if there is one.

    Args:
        registry: the MLflow registry.
        source: of the test rows.
        candidate: the version that may become the champion.
        champion: the current champion.
        step: receives the name of each step, for progress.

    Raises:
        TrainingError: there are no test rows, or the registry cannot be reached.
        ScoringError: a bundle is invalid, or does not explain its scores.
    """
    step(f"Downloading the bundle of version {candidate.number}")
    bundle = load_bundle(registry, candidate)
    step(f"Computing the test rows of version {candidate.number}")
    rows = test_rows(source, candidate)
    if rows.catalogue != bundle.sheet.catalogue:
        raise ComparisonError(
            f"Version {candidate.number} was trained with the catalogue {bundle.sheet.catalogue[:19]}, but this "
            f"program computes {rows.catalogue[:19]}. Train again with this program."
        )
    sums = check_point_sums(bundle, rows, source.store.covers_through)
    comparison, incomparable = None, None
    if champion is not None:
        step(f"Comparing version {candidate.number} with version {champion.number}")
        try:
            ours, theirs = replace(Contender.load(registry, candidate), rows=rows), Contender.load(registry, champion)
            comparison = compare_versions(registry, source, ours, theirs)
        except (ComparisonError, LabelError) as error:
            incomparable = str(error)
    tested, bad = (_count(candidate, name) for name in ("test_rows", "test_bad"))
    return GateInputs(sums, tested, bad, candidate.metrics, candidate.tags, comparison, incomparable)


def _count(version: Version, name: str) -> int | None:
    logged = version.params.get(name, "")
    return int(logged) if logged.isdecimal() else None


def check_point_sums(bundle: Bundle, rows: Dataset, covers_through: Mapping[str, date]) -> PointSumCheck:
    """Score rows as the service does, and count those whose points do not add up to the score exactly."""
    import pandas as pd

    indexed = rows.features.set_index(pd.MultiIndex.from_frame(rows.rows[["seller_id", "as_of"]]))
    scored = [each for each in assess(bundle, to_vectors(indexed, covers_through)) if each.outcome is Outcome.SCORED]
    missed = 0
    for assessment in scored:
        explanation = assessment.explanation
        points = 0 if explanation is None else sum(part.points for part in explanation.contributions)
        missed += explanation is None or explanation.base_points + points != assessment.score
    return PointSumCheck(len(scored), missed)

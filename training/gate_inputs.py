"""What gates judge a version by: what its run logged, and what its bundle does on its test rows at this moment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
    from training.dataset import Dataset


@dataclass(frozen=True)
class PointSumCheck:
    """How many test rows the bundle scored, and in how many of them the points missed the score."""

    scored: int
    missed: int


@dataclass(frozen=True)
class GateInputs:
    """What the gates judge by.

    Attributes:
        sums: from scoring the test rows at this moment.
        test_rows: how many loans the run measured the model on; None where it does not say.
        test_bad: how many of them went bad.
        metrics: logged by the run, by name, such as `drift.score_psi`.
        tags: of the run.
        comparison: with the champion, where there is one that can be compared.
        incomparable: why the champion cannot be compared; None where there is a comparison, or no champion.
    """

    sums: PointSumCheck
    test_rows: int | None = None
    test_bad: int | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    comparison: Comparison | None = None
    incomparable: str | None = None


def collect_inputs(
    registry: Registry, source: LabelSource, candidate: Version, champion: Version | None, step: Callable[[str], None]
) -> GateInputs:
    """Score a candidate's test rows, and compare it on them with the champion, if there is one.

    Args:
        registry: where both bundles are.
        source: of the test rows.
        candidate: the version that may become champion.
        champion: the version that it would replace.
        step: told what begins, for a progress display.

    Raises:
        TrainingError: there are no test rows, or the registry cannot be reached.
        ScoringError: a bundle does not verify, or does not explain its scores.
    """
    step(f"Fetching the bundle of version {candidate.number}")
    bundle = load_bundle(registry, candidate)
    step(f"Computing the test rows of version {candidate.number}")
    rows = test_rows(source, candidate)
    if rows.catalogue != bundle.sheet.catalogue:
        raise ComparisonError(
            f"Version {candidate.number} was trained with the catalogue {bundle.sheet.catalogue[:19]} and this program "
            f"computes {rows.catalogue[:19]}, so its test rows cannot be scored; train again with this one."
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
    """Score rows as the service does, and count those whose base and points do not add up to the score, exactly."""
    import pandas as pd

    indexed = rows.features.set_index(pd.MultiIndex.from_frame(rows.rows[["seller_id", "as_of"]]))
    scored = [each for each in assess(bundle, to_vectors(indexed, covers_through)) if each.outcome is Outcome.SCORED]
    missed = 0
    for assessment in scored:
        explanation = assessment.explanation
        points = 0 if explanation is None else sum(part.points for part in explanation.contributions)
        missed += explanation is None or explanation.base_points + points != assessment.score
    return PointSumCheck(len(scored), missed)

"""Does the model that serves give the scores of the model that was tested? Both on the test loans."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from training.evidence.drift import SCORE, Sample, drifts
from training.evidence.limits import Limit, alarms, quantity
from training.evidence.metrics import Estimate
from training.evidence.study import Finding, whole_scores
from training.fit import probabilities

if TYPE_CHECKING:
    import pandas as pd

    from scoring.bundle import Bundle
    from training.evidence.study import ReviewedModel
    from training.final_fit import FinalFit

PSI: Final = Limit("PSI of the score between the tested model and the one that serves", 0.1)
RANKS: Final = Limit("rank correlation of the tested model and the one that serves", 0.8, at_least=True)
LEAST: Final = Limit("mean probability of the model that serves, over that of the tested model", 0.8, at_least=True)
MOST: Final = Limit("mean probability of the model that serves, over that of the tested model", 1.25)

_ACTION: Final = (
    "The figures of the tested model do not describe the one that serves. The latest loans differ from earlier ones: "
    "check drift and level, and train again when more loans have matured."
)


def final_fit(subject: ReviewedModel, final: FinalFit) -> Finding:
    """Compare the model that serves with the tested one: scores, ranks, level, bands and the features that they read.

    The served model was trained on the test loans, so its predictions of them are out of fold.

    Args:
        subject: the tested model with its predictions; `served` is the bundle of the final fit.
        final: the final fit.
    """
    from scipy.stats import spearmanr

    served = subject.served
    score, probability = whole_scores(served, final.margins), probabilities(served.policy.calibration, final.margins)
    rows = subject.test.rows["seller_id"]
    moved = drifts(_sample(subject.score, rows), _sample(score, rows))[SCORE].stability
    ranks = float(spearmanr(subject.probability, probability).statistic)
    ratio = float(probability.mean() / subject.probability.mean())
    bands = served.policy.bands
    pairs = zip(subject.probability.tolist(), probability.tolist(), strict=True)
    changed = float(np.mean([bands.of(before) != bands.of(after) for before, after in pairs]))
    median = float(np.median(np.abs(score - subject.score)))
    loans = quantity(len(rows), "test loan")
    checks = (
        PSI.check(Estimate(moved.psi, moved.low or 0.0, moved.high or np.inf), _ACTION, loans),
        *(
            limit.check(Estimate(found, found, found), _ACTION, loans)
            for limit, found in ((RANKS, ranks), (LEAST, ratio), (MOST, ratio))
        ),
    )
    return Finding(
        "final_fit",
        "The model that serves",
        f"The tested model was trained on {len(subject.train.rows):,} loans. After the test, its recipe was fitted "
        f"again on all {final.rows:,} matured loans ({final.bad:,} bad), and that model serves. All figures of merit "
        f"are those of the tested model. Asked: do both give the same scores? On {loans}, which the model that serves "
        f"predicts out of fold, the PSI of the score is {moved.psi:.3f}, the rank correlation {ranks:.3f}, the mean "
        f"probability {ratio:.2f} times that of the tested model. In the median a score differs by {median:.0f} "
        f"points, and {changed:.1%} of the loans have another band.",
        figures={
            "rows": float(final.rows),
            "bad": float(final.bad),
            "score_psi": moved.psi,
            "score_psi_low": moved.low or 0.0,
            "rank_correlation": ranks,
            "probability_ratio": ratio,
            "median_points": median,
            "changed_band_share": changed,
        },
        tables={"Features that only one of both reads": _read_by_one(subject.bundle, served)},
        alarms=alarms(checks),
        checks=checks,
    )


def no_final_fit() -> Finding:
    """Return the finding of a run whose tested model was trained on every row."""
    return Finding(
        "final_fit", "The model that serves", "Does not apply: the tested model was trained on every row, and serves."
    )


def _sample(score: NDArray[np.int64], sellers: pd.Series) -> Sample:
    import pandas as pd

    return Sample(pd.DataFrame({SCORE: score}), sellers)


def _read_by_one(tested: Bundle, served: Bundle) -> pd.DataFrame:
    import pandas as pd

    labels = {entry.name: entry.label for entry in tested.sheet.entries}
    read = {name: {entry.name for entry in each.sheet.scored_entries} for name, each in (("t", tested), ("s", served))}
    rows = [
        {"feature": label, "read by": "the tested model" if name in read["t"] else "the model that serves"}
        for name, label in labels.items()
        if (name in read["t"]) != (name in read["s"])
    ]
    return pd.DataFrame(rows, columns=["feature", "read by"])

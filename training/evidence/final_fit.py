"""Final fit: the scores of the served model against those of the tested model, on the test loans."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from training.evidence.drift import SCORE, Sample, measure_drifts
from training.evidence.limits import Limit, quantity
from training.evidence.metrics import Estimate, build_table
from training.evidence.study import Finding, whole_scores
from training.fit import probabilities

if TYPE_CHECKING:
    import pandas as pd

    from scoring.bundle import Bundle
    from training.evidence.study import ReviewedModel
    from training.final_fit import FinalFit

PSI: Final = Limit("PSI of the score between the tested and the served model", 0.1)
RANKS: Final = Limit("rank correlation of the tested and the served model", 0.8, at_least=True)
_RATIO: Final = "mean probability of the served model over that of the tested model"
LEAST: Final = Limit(_RATIO, 0.8, at_least=True)
MOST: Final = Limit(_RATIO, 1.25)

_TITLE: Final = "Tested and served model"

_ACTION: Final = (
    "The test figures do not describe the served model. Read the study of discrimination: a model that ranks by chance "
    "changes with every fit. If it ranks better than that, read the studies of population stability and calibration: "
    "the latest loans may differ from earlier ones. Train again when more loans have matured."
)


def study_final_fit(subject: ReviewedModel, final: FinalFit) -> Finding:
    """Compare the served model with the tested one: scores, ranks, mean probability, bands and features.

    The served model was trained on the test loans, so its predictions of them are out of fold.
    """
    from scipy.stats import spearmanr

    served = subject.served
    score, probability = whole_scores(served, final.margins), probabilities(served.policy.calibration, final.margins)
    rows = subject.test.rows["seller_id"]
    none = subject.test.features[[]]
    psi = measure_drifts(Sample.scored(none, rows, subject.score), Sample.scored(none, rows, score))[SCORE].psi
    ranks = float(spearmanr(subject.probability, probability).statistic)
    ratio = float(probability.mean() / subject.probability.mean())
    bands = served.policy.bands
    pairs = zip(subject.probability.tolist(), probability.tolist(), strict=True)
    changed = float(np.mean([bands.of(before) != bands.of(after) for before, after in pairs]))
    median = float(np.median(np.abs(score - subject.score)))
    loans = quantity(len(rows), "test loan")
    return Finding(
        "final_fit",
        _TITLE,
        f"The tested model was trained on {len(subject.train.rows):,} loans. After the test, its recipe was fitted "
        f"again on all {final.rows:,} matured loans ({final.bad:,} defaults). That is the served model. All "
        "performance figures are those of the tested model. Do both give the same scores? The served model predicts "
        f"the {loans} out of fold. The PSI of the score is {psi.value:.3f}, the rank correlation {ranks:.3f}, and the "
        f"mean probability {ratio:.2f} times that of the tested model. The median difference of a score is "
        f"{median:.0f} points, and {changed:.1%} of the loans change band.",
        figures={
            "rows": float(final.rows),
            "bad": float(final.bad),
            "score_psi": psi.value,
            "score_psi_low": psi.low,
            "rank_correlation": ranks,
            "probability_ratio": ratio,
            "median_points": median,
            "changed_band_share": changed,
        },
        tables={"Features that only one of both reads": _read_by_one(subject.bundle, served)},
        checks=(
            PSI.check(psi, _ACTION, loans),
            *(
                limit.check(Estimate.exact(value), _ACTION, loans)
                for limit, value in ((RANKS, ranks), (LEAST, ratio), (MOST, ratio))
            ),
        ),
    )


def no_final_fit(*, is_table: bool = False) -> Finding:
    """Return the finding of a run without a final fit: its rows are those of a table, or all were trained on."""
    why = "a model of a table is not served" if is_table else "the tested model was trained on every row and is served"
    return Finding("final_fit", _TITLE, f"Does not apply: {why}.")


def _read_by_one(tested: Bundle, served: Bundle) -> pd.DataFrame:
    labels = {entry.name: entry.label for entry in tested.sheet.entries}
    read = {name: {entry.name for entry in each.sheet.scored_entries} for name, each in (("t", tested), ("s", served))}
    rows = (
        {"feature": label, "read by": "the tested model" if name in read["t"] else "the served model"}
        for name, label in labels.items()
        if (name in read["t"]) != (name in read["s"])
    )
    return build_table(rows, ["feature", "read by"])

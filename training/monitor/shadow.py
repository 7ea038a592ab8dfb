"""What challengers say to the same requests, beside the model whose scores were given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from training.compare import NEAR, Paired
from training.evidence.finding import Finding
from training.evidence.metrics import Estimate, resampled
from training.monitor.ledger import SCORED
from training.monitor.models import short
from training.monitor.vintages import LEAST_PROBABILITY, NOTHING, enough, latest

if TYPE_CHECKING:
    import pandas as pd

    from training.monitor.watched import Watched

BESIDE: Final = "Challengers beside it"
_TITLE: Final = "What do challengers say?"


def shadow(watched: Watched) -> Finding:
    """Hold every challenger that scored the same requests beside the model."""
    import pandas as pd

    pairs = watched.scores.merge(watched.shadow, on="score_id", suffixes=("", "_beside"))
    if pairs.empty:
        return Finding("shadow", _TITLE, "No challenger scored beside it.")
    lines = [_line(watched, str(digest), part) for digest, part in pairs.groupby("model_beside")]
    said = (
        f"{len(lines)} challenger{'s' if len(lines) > 1 else ''} scored some of the same requests, shown to nobody. "
        f"Points are the challenger's less the given ones; near means within {NEAR}. AUC is on matured loans that met "
        "such a score; its difference, challenger less this model, has a bootstrap interval on the same resamples."
    )
    newest = lines[-1] if len(lines) == 1 else max(lines, key=lambda line: str(line["last"]))
    named = ("pairs", "mean_points", "near", "same_band", "auc_difference")
    figures = {name: float(newest[name]) for name in named if not np.isnan(float(newest[name]))}
    return Finding("shadow", _TITLE, said, figures, {BESIDE: pd.DataFrame(lines)})


def _line(watched: Watched, digest: str, pairs: pd.DataFrame) -> dict[str, str | float]:
    bands = watched.model.bundle.policy.bands
    both = pairs[(pairs["outcome"] == SCORED) & (pairs["outcome_beside"] == SCORED)]
    apart = (both["score_beside"] - both["score"]).to_numpy(dtype=np.float64)
    letters = [[bands.of(each) for each in both[f"probability_of_default{end}"]] for end in ("", "_beside")]
    return {
        "challenger": short(digest),
        "pairs": len(pairs),
        "last": pairs["as_of"].max().date().isoformat(),
        "same_outcome": float((pairs["outcome"] == pairs["outcome_beside"]).mean()),
        "rank_correlation": _rank_correlation(both),
        "mean_points": float(apart.mean()) if len(apart) else float("nan"),
        "near": float((np.abs(apart) <= NEAR).mean()) if len(apart) else float("nan"),
        "same_band": float(np.mean([a == b for a, b in zip(*letters, strict=True)])) if len(apart) else float("nan"),
        **_ranked(watched, both),
    }


def _rank_correlation(both: pd.DataFrame) -> float:
    """Return Spearman's coefficient of both scores; NaN where one of them is the same for everyone."""
    from scipy.stats import spearmanr

    if both["score"].nunique() < 2 or both["score_beside"].nunique() < 2:  # noqa: PLR2004 - two are no constant
        return float("nan")
    return float(spearmanr(both["score"], both["score_beside"]).statistic)


def _ranked(watched: Watched, both: pd.DataFrame) -> dict[str, float]:
    """Return AUC of both on the matured loans that met one of these scores, and the difference."""
    loans = latest(watched).merge(both[["score_id", "probability_of_default_beside"]], on="score_id")
    if not enough(watched, loans):
        found = Paired(float("nan"), float("nan"), NOTHING)
    else:
        bad = loans["bad"].to_numpy(dtype=bool)
        beside = loans["probability_of_default_beside"].clip(LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
        # the same seed draws the same rows for both
        ours, theirs = (
            resampled(bad, each.to_numpy(dtype=np.float64), names=("auc",), sellers=loans["seller_id"])
            for each in (loans["probability_of_default"], beside)
        )
        difference = Estimate.of(theirs[0]["auc"] - ours[0]["auc"], theirs[1]["auc"] - ours[1]["auc"])
        found = Paired(theirs[0]["auc"], ours[0]["auc"], difference)
    return {
        "loans": len(loans),
        "auc": found.candidate,
        "auc_given": found.champion,
        **found.difference.figures("auc_difference"),
    }

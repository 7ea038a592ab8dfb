"""The study of 425 real firms: from invoices to explained scores, in a state folder of its own.

Defaults there carry no date, so features cannot be proved to come before the outcome, and tenure and recency may
carry it: figures are given with and without those features.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from features.catalogue import TENURE_AND_RECENCY
from features.importers import ImportOptions, ImportReport, find_mapping, import_delivery
from features.ingest import IngestReport, OperatingStore, ingest, open_store
from features.pipeline import all_sellers, compute_frame, latest_midnight
from scoring import Assessment, assess
from training.config import TrainConfig
from training.cross_validation import cross_validated_auc
from training.dataset import Dataset, build
from training.evidence.metrics import Estimate
from training.fit import FitConfig, fit_sample
from training.labels import read_label_table
from training.logistic import logistic
from training.registry import Registry, register, set_champion
from training.run import Run, train
from training.sample import Sample
from training.vectors import example_row, to_vectors

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

USD_PER_CNY: Final = 0.145
"""Near the mean of the invoices' years; figures here are ratios and ranks, so it matters little."""


FIXED: Final = """
    settled_net_sales_90d settled_net_sales_365d average_order_180d sales_trend_90d sales_trend_180d
    recent_sales_hold drawdown_from_best_month daily_sales_variation_90d active_day_share_90d active_days_365d
    top_day_share_180d days_since_last_sale livestream_share_180d return_rate_90d return_rate_365d
    return_rate_change cancel_rate_180d dispute_rate_180d quick_refund_share_180d own_store_share_180d
    orders_per_buyer_180d buyer_concentration_180d repeat_buyer_share_180d visits_90d visit_trend_90d
    conversion_90d paid_visit_share_90d ad_spend_share_90d ad_spend_share_change purchases_over_sales_180d
    purchase_trend_90d days_on_platform days_since_first_order store_count
""".split()  # noqa: SIM905 - a list of words reads best as words
"""The first catalogue, fixed before these firms were looked at. A study of a hundred firms whose features grow with the
catalogue would choose them after the fact."""

_FIT: Final = FitConfig(
    model="lightgbm", stability=0.0, learning_rate=0.03, lambda_l2=10.0, max_rounds=800, patience=50, threads=1
)
"""On a hundred firms a second thread only waits for the first, and no fake orders ask for finer steps."""


@dataclass(frozen=True)
class Study:
    """All that was found, before it is written down."""

    invoices: ImportReport
    intake: IngestReport
    aucs: dict[str, Estimate]
    run: Run
    labelled: int
    bad: int
    assessments: list[Assessment]


def study(source: Path, home: Path, step: Callable[[str], None]) -> Study:
    """Import, ingest, cross-validate, train, register and score; `home` is a state folder of this study's own."""
    step("Importing and ingesting invoices")
    options = ImportOptions(usd_per_unit=USD_PER_CNY)
    invoices = import_delivery(find_mapping("invoices"), source, home / "delivery", options)
    intake = ingest(home / "delivery", home / "operating")
    store = open_store(home / "operating")
    dataset = build(store, read_label_table(home / "delivery" / "labels.csv"))
    aucs = _aucs(dataset, step)
    step("Training the model on all labelled firms")
    run = train(dataset, TrainConfig(fit=_FIT))
    registry = Registry.on_sqlite(home)  # never a shared one, whose champion banks are scored with
    set_champion(registry, register(registry, run, example_row(dataset, store.covers_through)).version, None, {})
    step("Scoring the firms without a record")
    assessments = _score_others(store, dataset, run)
    return Study(invoices, intake, aucs, run, len(dataset.rows), int(dataset.rows["bad"].sum()), assessments)


def _aucs(dataset: Dataset, step: Callable[[str], None]) -> dict[str, Estimate]:
    models = {"logistic": _logistic, "lightgbm": _lightgbm, "combined": _combined}
    found = {}
    for ending, features in _feature_sets([str(name) for name in dataset.features]).items():
        for name, predict in models.items():
            step(f"Cross-validating {name}{ending.replace('_', ' ')}, 10 times 5 folds")
            found[f"{name}_auc{ending}"] = cross_validated_auc(predict, dataset.features[features], dataset.rows["bad"])
    return found


def _feature_sets(everything: list[str]) -> dict[str, list[str]]:
    """Return the features of each line of the table by the ending of its figures' names."""
    untimed = [name for name in FIXED if name not in TENURE_AND_RECENCY]
    return {"": FIXED, "_without_tenure": untimed, "_whole_catalogue": everything}


def _logistic(inside: pd.DataFrame, bad: pd.Series, outside: pd.DataFrame) -> NDArray[np.float64]:
    predicted: NDArray[np.float64] = logistic().fit(inside, bad).predict_proba(outside)[:, 1]
    return predicted


def _lightgbm(inside: pd.DataFrame, bad: pd.Series, outside: pd.DataFrame) -> NDArray[np.float64]:
    import numpy as np
    import pandas as pd

    firms = pd.Series(range(len(bad)), index=bad.index)
    sample = Sample.of(inside, bad, firms)
    return np.asarray(fit_sample(sample, _FIT, compare=False).booster.predict(outside.to_numpy()))


def _combined(inside: pd.DataFrame, bad: pd.Series, outside: pd.DataFrame) -> NDArray[np.float64]:
    """Predict by the mean of both in log-odds."""
    import numpy as np

    both = (_logistic(inside, bad, outside), _lightgbm(inside, bad, outside))
    return np.asarray(sum(np.log(each / (1.0 - each)) for each in both) / len(both))


def _score_others(store: OperatingStore, dataset: Dataset, run: Run) -> list[Assessment]:
    as_of = latest_midnight(store)
    everyone = all_sellers(store, as_of)
    others = everyone[~everyone["seller_id"].isin(dataset.rows["seller_id"])]
    computed = compute_frame(store, others)
    return assess(run.bundle, to_vectors(computed, {name: store.covers_through[name] for name in dataset.tables}))


def figures(found: Study) -> dict[str, float]:
    """Return what goes into var/real-data.json."""
    aucs: dict[str, float] = {}
    for name, estimate in found.aucs.items():
        aucs |= {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
    outcomes = Counter(str(assessment.outcome) for assessment in found.assessments)
    return {
        **aucs,
        "labelled": found.labelled,
        "bad": found.bad,
        "answered": len(found.assessments),
        **{f"answered_{outcome}": count for outcome, count in sorted(outcomes.items())},
        "explanations_that_sum": sum(_sums(assessment) for assessment in found.assessments),
    }


def _sums(assessment: Assessment) -> bool:
    if assessment.explanation is None:
        return False
    points = assessment.explanation.base_points + sum(each.points for each in assessment.explanation.contributions)
    return points == assessment.score

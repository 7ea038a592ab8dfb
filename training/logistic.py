"""The logistic model beside: what a plain scorecard reaches on the same rows, so that LightGBM must earn its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline


def logistic(seed: int = 7) -> Pipeline:
    """Return an unfitted scikit-learn pipeline: missing to median, ranks to normal scores, L2 chosen inside.

    Normal scores instead of raw values: money and counts have heavy tails, in which a linear model drowns.

    Example: `logistic().fit(features, bad).predict_proba(features)[:, 1]`.
    """
    import numpy as np
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegressionCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import QuantileTransformer, StandardScaler

    return make_pipeline(
        SimpleImputer(strategy="median", keep_empty_features=True),
        QuantileTransformer(output_distribution="normal", n_quantiles=50, subsample=None, random_state=seed),
        StandardScaler(),
        LogisticRegressionCV(
            Cs=np.logspace(-4, 1, 11),
            l1_ratios=(0.0,),
            scoring="neg_log_loss",
            max_iter=2000,
            random_state=seed,
            use_legacy_attributes=False,
        ),
    )

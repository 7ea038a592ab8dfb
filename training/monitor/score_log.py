"""The score log: scores, the models that issued them, and the loans that match each score.

Training may not read the database of the service. `sellerscore.py`, which may import both packages, passes a
`ScoreSource` to monitoring.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Final

from scoring import Bundle, BundleError
from training.errors import RegistryError
from training.registry import Registry, Version, find_by_bundle, load_bundle

if TYPE_CHECKING:
    import pandas as pd

SCORES: Final = {
    "score_id": "ID of the score, unique",
    "model": "digest of the bundle, such as sha256:9b02...",
    "seller_id": "ID of the scored seller",
    "as_of": "datetime64, the midnight as of which the seller was assessed",
    "scored_at": "datetime64 in UTC, time of the request; missing if unknown",
    "valid_days": "float, number of days for which the score is valid",
    "outcome": "`scored`, or the reason for no score",
    "score": "float, whole points; missing without a score",
    "probability_of_default": "float; missing without a score",
    "values": "float64 array of the features in the order of the feature sheet, NaN if missing; None if not stored",
}
"""Columns of a frame of scores, with their meaning."""

SHADOW: Final = {
    "score_id": "ID of the champion's score for the same request",
    "model": "digest of the challenger's bundle",
    "outcome": "as in SCORES",
    "score": "as in SCORES",
    "probability_of_default": "as in SCORES",
}
"""Columns of a frame of shadow scores, with their meaning."""

SCORED: Final = "scored"
_DIGEST_LENGTH: Final = 19


@dataclass(frozen=True)
class ScoreSource:
    """Access to the data of the service; each function reads when it is called.

    Attributes:
        scores: returns a frame of `SCORES`, which may be empty.
        shadow: returns a frame of `SHADOW`.
        bundle: returns the stored bundle with a digest, or None.
        champion: returns the bundle of the champion, or None.
    """

    scores: Callable[[], pd.DataFrame]
    shadow: Callable[[], pd.DataFrame]
    bundle: Callable[[str], Bundle | None]
    champion: Callable[[], Bundle | None]


def select_scores(scores: pd.DataFrame, today: date) -> pd.DataFrame:
    """Return the scores as of today or earlier, oldest first, one for each model, seller and midnight.

    Several requests for one seller and midnight count once, because the assessment is a function of vector and bundle.
    If data arrived in between, the latest request counts. All of monitoring counts time by `as_of`, so that replayed
    and backdated scores count where they belong.
    """
    import pandas as pd

    # a column without any number has no numeric type
    typed = scores.astype(dict.fromkeys(("score", "probability_of_default", "valid_days"), float))
    typed = typed.astype(dict.fromkeys(("as_of", "scored_at"), "datetime64[us]"))
    past = typed[typed["as_of"] <= pd.Timestamp(today)]
    ordered = past.sort_values(["as_of", "seller_id", "scored_at", "score_id"], na_position="first")
    return ordered.drop_duplicates(["model", "seller_id", "as_of"], keep="last", ignore_index=True)


def month_of(as_of: pd.Series) -> pd.Series:
    """Return the month of each midnight, such as `2026-01`."""
    month: pd.Series = as_of.dt.strftime("%Y-%m")
    return month


def match_loans(scores: pd.DataFrame, loans: pd.DataFrame) -> pd.DataFrame:
    """Match each loan with the latest score of its seller that was valid on the day of disbursement.

    A score is valid for `valid_days` days from `as_of` on, the first day included, as in training rows. A score can
    match several loans; a loan matches at most one score of a model.

    Example: a score as of 2025-03-01 that is valid for 30 days matches loans of 2025-03-01 to 2025-03-30.

    Returns:
        The columns of the matched loans, `score_id`, `as_of`, `score` and `probability_of_default` of the score, and
        its `vintage` (the month of `as_of`).
    """
    import pandas as pd

    numbered = scores.loc[
        scores["outcome"] == SCORED, ["score_id", "seller_id", "as_of", "valid_days", "score", "probability_of_default"]
    ]
    pairs = loans.assign(loan=range(len(loans))).merge(numbered, on="seller_id")
    age = pairs["day"] - pairs["as_of"]
    valid = pairs[(age >= pd.Timedelta(0)) & (age < pd.to_timedelta(pairs["valid_days"], unit="D"))]
    latest = valid.sort_values(["loan", "as_of"]).drop_duplicates("loan", keep="last")
    matched = latest.drop(columns=["loan", "valid_days"]).reset_index(drop=True)
    return matched.assign(vintage=month_of(matched["as_of"]))


@dataclass(frozen=True)
class KnownModel:
    """A model that issued scores; `version` is None if no registered version has its bundle."""

    bundle: Bundle
    version: Version | None = None

    @property
    def name(self) -> str:
        """Display name: `version 3`, or `bundle sha256:9b02cf5a31de` if the version is unknown."""
        if self.version is None:
            return f"bundle {short_digest(self.bundle.digest)}"
        return f"version {self.version.number}"


@dataclass(frozen=True)
class KnownModels:
    """Models by the digest of their bundles.

    Attributes:
        by_digest: the models whose bundle could be read.
        missing: digests of the other models.
        registry_error: why the registry could not be read; empty if it could.
    """

    by_digest: Mapping[str, KnownModel] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    registry_error: str = ""


def short_digest(digest: str) -> str:
    """Return the beginning of a digest, such as `sha256:9b02cf5a31de`."""
    return digest[:_DIGEST_LENGTH]


def find_models(digests: Iterable[str], source: ScoreSource, registry: Registry) -> KnownModels:
    """Find bundles and versions by digest: bundles in the service's store, then in the registry.

    If the registry cannot be reached, versions are unknown and stored bundles are still found.
    """
    wanted = sorted(set(digests))
    error, versions = "", {}
    try:
        versions = find_by_bundle(registry, wanted)
    except RegistryError as failure:
        error = str(failure)
    models = {}
    for digest in wanted:
        bundle = source.bundle(digest) or _download(registry, versions.get(digest))
        if bundle is not None:
            models[digest] = KnownModel(bundle, versions.get(digest))
    return KnownModels(models, tuple(digest for digest in wanted if digest not in models), error)


def _download(registry: Registry, version: Version | None) -> Bundle | None:
    if version is None:
        return None
    try:
        return load_bundle(registry, version)
    except (RegistryError, BundleError):
        return None

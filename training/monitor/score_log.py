"""The scores that were given, as monitoring reads them: who hands them over, in what form, and which of them count.

Training may not read the service's database. `sellerscore.py`, which knows both, hands over what is asked for here.

Which score a loan was given on.

A loan belongs to the latest score of its seller, by the same model, that was valid on the day of its disbursement: from
`as_of` on (the midnight that begins that day included, which is how training rows are made) and for as many days as the
score may be relied on. So a score meets no loan before its midnight, none after it expired, and several where several
were paid out meanwhile; a loan meets one score of each model at most, however often its seller was scored.

The days of validity count from `as_of` and not from the request: a number speaks of the seller as of then. Where a
request comes days after its midnight, loans of the last such days of its validity go unmatched, and are counted so.

The models whose scores are monitored: the bundle of each, and the version under which it is registered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Final

from scoring import Bundle, BundleError
from training.errors import RegistryError
from training.registry import Registry, Version, load_bundle
from training.registry.monitoring import registered

if TYPE_CHECKING:
    import pandas as pd

    from scoring import Bundle


SCORES: Final = {
    "score_id": "id of the score, unique",
    "model": "digest of the bundle that made it, such as sha256:9b02...",
    "seller_id": "whom it is of",
    "as_of": "datetime64, the midnight that it speaks of",
    "scored_at": "datetime64 in UTC, when it was made; missing where nobody knows",
    "valid_days": "float, for how many days it may be relied on",
    "outcome": "`scored`, or why there is no number",
    "score": "float, whole points; missing where there is no number",
    "probability_of_default": "float; missing where there is no number",
    "values": "float64 array of the features in the order of the bundle's sheet, NaN missing; None where not kept",
}
"""Columns of a frame of scores given, and what each holds."""


SHADOW: Final = {
    "score_id": "id of the score that was given for the same request",
    "model": "digest of the challenger's bundle",
    "outcome": "as in scores",
    "score": "as in scores",
    "probability_of_default": "as in scores",
}
"""Columns of a frame of a challenger's scores, which nobody was given."""


SCORED: Final = "scored"


@dataclass(frozen=True)
class ScoreSource:
    """What the service keeps. Each part is asked for when it is needed, since it may be large or not there.

    Attributes:
        scores: returns a frame of `SCORES`, empty where no score was ever given.
        shadow: returns a frame of `SHADOW`.
        bundle: returns the bundle with a digest, None where the service keeps none.
        champion: returns the bundle in force, None where there is none.
    """

    scores: Callable[[], pd.DataFrame]
    shadow: Callable[[], pd.DataFrame]
    bundle: Callable[[str], Bundle | None]
    champion: Callable[[], Bundle | None]


def until(scores: pd.DataFrame, today: date) -> pd.DataFrame:
    """Return the scores as of today or earlier, oldest first, each seller and midnight once a model.

    An assessment is a function of vector and bundle: who is asked about twice as of one midnight, by two banks or in
    two files, has one score, and counts once. Where data came in between, the later one stands. The clock of
    everything here is `as_of`, so that a replay, and scores made afterwards for an earlier midnight, count where they
    belong.

    Args:
        scores: a frame of `SCORES`.
        today: the midnight of monitoring.
    """
    import pandas as pd

    # a frame without a number in a column does not know that it holds numbers
    typed = scores.astype(dict.fromkeys(("score", "probability_of_default", "valid_days"), float))
    typed = typed.astype(dict.fromkeys(("as_of", "scored_at"), "datetime64[us]"))
    known = typed[typed["as_of"] <= pd.Timestamp(today)]
    ordered = known.sort_values(["as_of", "seller_id", "scored_at", "score_id"], na_position="first")
    return ordered.drop_duplicates(["model", "seller_id", "as_of"], keep="last", ignore_index=True)


def months(as_of: pd.Series) -> pd.Series:
    """Return the month of each midnight, by which scores are gathered: `2026-01`."""
    named: pd.Series = as_of.dt.strftime("%Y-%m")
    return named


def match_loans(scores: pd.DataFrame, loans: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each loan that met a score of one model.

    Example: a score as of 2025-03-01 that is valid for 30 days meets loans of 2025-03-01 to 2025-03-30.

    Args:
        scores: of one model, a frame of `ledger.SCORES` as `ledger.until` returns it; those without a number meet none.
        loans: `Outcomes.loans`.

    Returns:
        The loans' columns, `score_id`, `as_of`, `score` and `probability_of_default` of the score, and its `vintage`
        (the month of as_of), by day and seller.
    """
    import pandas as pd

    numbered = scores.loc[
        scores["outcome"] == SCORED, ["score_id", "seller_id", "as_of", "valid_days", "score", "probability_of_default"]
    ]
    pairs = loans.assign(loan=range(len(loans))).merge(numbered, on="seller_id")
    age = pairs["day"] - pairs["as_of"]
    valid = pairs[(age >= pd.Timedelta(0)) & (age < pd.to_timedelta(pairs["valid_days"], unit="D"))]
    latest = valid.sort_values(["loan", "as_of"]).drop_duplicates("loan", keep="last")
    found = latest.drop(columns=["loan", "valid_days"]).reset_index(drop=True)
    return found.assign(vintage=months(found["as_of"]))


_SHORT: Final = 19
"""Characters of a digest that tell it from any other: `sha256:` and twelve more."""


@dataclass(frozen=True)
class KnownModel:
    """A model that gave scores; `version` is None where none that is registered has its bundle, or none is known."""

    bundle: Bundle
    version: Version | None = None

    @property
    def name(self) -> str:
        """What to call it: `version 3`, or its bundle where no version is known."""
        return (
            f"bundle {short_digest(self.bundle.digest)}" if self.version is None else f"version {self.version.number}"
        )


@dataclass(frozen=True)
class KnownModels:
    """Models by the digest of their bundles.

    Attributes:
        known: those whose bundle could be read.
        lost: digests of the others.
        registry_away: why the registry could not be asked; empty where it could.
    """

    known: Mapping[str, KnownModel] = field(default_factory=dict)
    lost: tuple[str, ...] = ()
    registry_away: str = ""


def short_digest(digest: str) -> str:
    """Return the beginning of a digest: `sha256:9b02cf5a31de`."""
    return digest[:_SHORT]


def known_models(digests: Iterable[str], ledger: ScoreSource, registry: Registry) -> KnownModels:
    """Find bundles and versions: bundles where the service keeps them, else in the registry.

    A registry that is away takes the versions with it and nothing else, as long as the bundles are kept.
    """
    wanted = sorted(set(digests))
    away, versions = "", {}
    try:
        versions = registered(registry, wanted)
    except RegistryError as error:
        away = str(error)
    known = {}
    for digest in wanted:
        bundle = ledger.bundle(digest) or _fetch(registry, versions.get(digest))
        if bundle is not None:
            known[digest] = KnownModel(bundle, versions.get(digest))
    return KnownModels(known, tuple(digest for digest in wanted if digest not in known), away)


def _fetch(registry: Registry, version: Version | None) -> Bundle | None:
    if version is None:
        return None
    try:
        return load_bundle(registry, version)
    except (RegistryError, BundleError):
        return None

"""Published limits of the stability of reasons: under 1% noise in the values, and under refits on other sellers.

Are the reasons a seller is given steady? How often they change by noise in the input, and by training anew.

Asked of the model and of the scorecard beside: what a simpler model would do is the measure of what is much.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from scoring.reasons import MAX_REASONS
from training.evidence.limits import Limit, LimitCheck, Standing, alarms
from training.evidence.metrics import Estimate
from training.evidence.statistics import mean_interval
from training.evidence.study import Finding, assess_rows, sample_rows

if TYPE_CHECKING:
    import pandas as pd

    from scoring import Bundle
    from training.evidence.study import ReviewedModel
    from training.scorecard import Scorecard


NOISE_FIRST: Final = Limit("share of sellers whose first reason changes under 1% noise", 0.05, percent=True)


NOISE_SET: Final = Limit("share of sellers whose set of reasons changes under 1% noise", 0.15, percent=True)


REFIT_FIRST: Final = Limit("share of sellers whose first reason changes under a refit", 0.25, percent=True)


REFIT_SET: Final = Limit("share of sellers whose set of reasons changes under a refit", 0.5, percent=True)


_NOISE: Final = (
    "Reasons must not depend on rounding errors. Prefer a model with fewer or coarser splits, or one feature for each "
    "reason."
)


_REFIT: Final = (
    "A reason holds for this model; another sample of sellers of the same size would give other reasons. Explain each "
    "decision with the reasons stored with its score, and do not compare reasons of different model versions. More "
    "training loans reduce the share."
)


_LIMITS: Final = {
    "other_first_by_noise": (NOISE_FIRST, _NOISE),
    "changed_by_noise": (NOISE_SET, _NOISE),
    "other_first_by_refits": (REFIT_FIRST, _REFIT),
    "changed_by_refits": (REFIT_SET, _REFIT),
}


def stability_checks(figures: Mapping[str, float]) -> Iterator[LimitCheck]:
    """Check the figures of the study of reasons, by their names; `rows` is the number of test rows.

    A figure that was not measured is stated as such.
    """
    for name, (limit, action) in _LIMITS.items():
        if name not in figures:
            note = f"The {limit.figure} was not measured, because no refits were made. Nothing can be claimed about it."
            yield LimitCheck(limit.figure, "not measured", str(limit), Standing.NOT_MEASURED, note)
            continue
        value, low, high = (figures[f"{name}{end}"] for end in ("", "_low", "_high"))
        yield limit.check(Estimate(value, low, high), action, f"{figures['rows']:,.0f} test rows")


ROWS: Final = 300
"""Rows that are asked: half of an interval is then at most 6 percent points, and asking takes seconds."""


NOISE: Final = 0.01


DRAWS: Final = 3


_FIGURES: Final = {"changed": "changed_by", "led": "other_first_by", "kept": "kept_under"}


ReasonSets = list[tuple[str, ...]]
"""The codes that each row was given, worst first."""


AskReasons = Callable[[NDArray[np.float64]], ReasonSets]
"""What gives reasons for rows of values."""


@dataclass(frozen=True)
class ReasonStability:
    """What became of the reasons of each row, over several askings: shape (askings, rows).

    `changed` is 1 where another set of reasons was given, `led` where another reason came first; `kept` is the share of
    a row's reasons that were given again.
    """

    changed: NDArray[np.float64]
    led: NDArray[np.float64]
    kept: NDArray[np.float64]

    @classmethod
    def of(cls, given: ReasonSets, again: Sequence[ReasonSets]) -> ReasonStability:
        """Compare what was given with what was given later."""
        pairs = [list(zip(given, other, strict=True)) for other in again]
        changed = [[float(set(one) != set(two)) for one, two in asked] for asked in pairs]
        led = [[float(one[:1] != two[:1]) for one, two in asked] for asked in pairs]
        kept = [
            [len(set(one) & set(two)) / len(one) if one else float(not two) for one, two in asked] for asked in pairs
        ]
        return cls(np.array(changed), np.array(led), np.array(kept))

    def interval(self, what: str) -> tuple[float, float, float]:
        """Return the mean of one of the three and its 95% interval; the askings of one row count once."""
        value, low, high = mean_interval(getattr(self, what).mean(axis=0))
        return value, max(low, 0.0), min(high, 1.0)


@dataclass(frozen=True)
class ReasonComparison:
    """The reasons given at first, and by cause those given again."""

    given: ReasonSets
    again: Mapping[str, Sequence[ReasonSets]]

    def steadiness(self) -> dict[str, ReasonStability]:
        """Compare by cause."""
        return {cause: ReasonStability.of(self.given, askings) for cause, askings in self.again.items()}


def reasons(subject: ReviewedModel) -> Finding:
    """Ask both models for the principal reasons of some test rows, again under noise, and again of each refit."""
    bundle, title = subject.bundle, "Stability of reasons"
    places = sample_rows(bundle, subject.test, ROWS, subject.seed)
    if not len(places):
        return Finding("reasons", title, "No test row has history enough for a score, so none has reasons.")
    rows, matrix = subject.test.rows.iloc[places], subject.test.features.to_numpy()[places]
    asked = {
        "model": [_by_bundle(each, rows) for each in (bundle, *subject.refits)],
        "scorecard": [_by_scorecard(each, bundle) for each in (subject.card, *subject.card_refits)],
    }
    told = {name: _compare_reasons(asks, matrix, subject.seed) for name, asks in asked.items()}
    found = {name: each.steadiness() for name, each in told.items()}
    checks = tuple(stability_checks({"rows": float(len(places)), **_figures(found["model"])}))
    return Finding(
        "reasons",
        title,
        _said(found, len(places), len(subject.refits)),
        figures={"rows": float(len(places)), **_figures(found["model"]), **_figures(found["scorecard"], "scorecard_")},
        tables={"Steadiness by model": _by_model(found), "Reasons given": _table(told["model"])},
        alarms=alarms(checks),
        checks=checks,
    )


def _by_bundle(bundle: Bundle, rows: pd.DataFrame) -> AskReasons:
    return lambda matrix: [
        tuple(reason.code for reason in each.explanation.reasons) if each.explanation else ()
        for each in assess_rows(bundle, rows, matrix)
    ]


def _by_scorecard(card: Scorecard, bundle: Bundle) -> AskReasons:
    """Return how a scorecard is asked: of each reason group its costliest feature, in points of the bundle's scale."""
    group_of = {entry.name: entry.reason_group for entry in bundle.sheet.entries}

    def ask(matrix: NDArray[np.float64]) -> ReasonSets:
        import pandas as pd

        added = card.contributions(pd.DataFrame(matrix, columns=bundle.sheet.names))
        names, points = list(map(str, added)), np.round(-bundle.policy.scale.factor * added.to_numpy())
        return [tuple(_costliest(names, row, group_of)) for row in points]

    return ask


def _costliest(names: Sequence[str], points: NDArray[np.float64], group_of: Mapping[str, str]) -> Iterator[str]:
    told: set[str] = set()
    for place in np.argsort(points, kind="stable").tolist():
        if points[place] >= 0 or len(told) == MAX_REASONS:
            return
        if group_of[names[place]] not in told:
            told.add(group_of[names[place]])
            yield names[place]


def _compare_reasons(asks: Sequence[AskReasons], matrix: NDArray[np.float64], seed: int) -> ReasonComparison:
    first, *refits = asks
    again = {
        "noise": [first(noisy) for noisy in add_noise(matrix, seed)],
        "refits": [refit(matrix) for refit in refits],
    }
    return ReasonComparison(first(matrix), {cause: askings for cause, askings in again.items() if askings})


def add_noise(matrix: NDArray[np.float64], seed: int) -> Iterator[NDArray[np.float64]]:
    """Yield the rows with every value off by a normal error of one percent; what is missing stays missing."""
    rng = np.random.default_rng(seed)
    for _ in range(DRAWS):
        yield matrix * (1.0 + NOISE * rng.standard_normal(matrix.shape))


def _figures(found: Mapping[str, ReasonStability], prefix: str = "") -> dict[str, float]:
    figures: dict[str, float] = {}
    for cause, steadiness in found.items():
        for what, named in _FIGURES.items():
            value, low, high = steadiness.interval(what)
            name = f"{prefix}{named}_{cause}"
            figures |= {name: value, f"{name}_low": low, f"{name}_high": high}
    return figures


def _by_model(found: Mapping[str, Mapping[str, ReasonStability]]) -> pd.DataFrame:
    import pandas as pd

    lines = [
        {
            "by": name,
            "under": cause,
            **{what: "{:.1%} ({:.1%} to {:.1%})".format(*each.interval(what)) for what in _FIGURES},
        }
        for name, causes in found.items()
        for cause, each in causes.items()
    ]
    words = {"changed": "another set of four", "led": "another first reason", "kept": "reasons given again"}
    return pd.DataFrame(lines).rename(columns=words)


def _table(told: ReasonComparison) -> pd.DataFrame:
    """Return a line a reason: how often it was given, and of those how often again."""
    import pandas as pd

    given, again, lines = told.given, told.again, []
    for code in sorted({code for codes in given for code in codes}):
        places = [place for place, codes in enumerate(given) if code in codes]
        line: dict[str, object] = {"code": code, "given_share": len(places) / len(given)}
        for cause, askings in again.items():
            kept = [code in codes[place] for codes in askings for place in places]
            line[f"kept_under_{cause}"] = float(np.mean(kept))
        lines.append(line)
    columns = ["code", "given_share", *(f"kept_under_{cause}" for cause in again)]
    return pd.DataFrame(lines, columns=columns).sort_values("given_share", ascending=False, ignore_index=True)


def _said(by_model: Mapping[str, Mapping[str, ReasonStability]], rows: int, refits: int) -> str:
    causes = {
        "noise": f"an error of {NOISE:.0%} in every input",
        "refits": f"{refits} refits on other training sellers",
    }
    found = by_model["model"]
    beside = [f"{each.changed.mean():.1%} under {cause}" for cause, each in by_model["scorecard"].items()]
    parts = [
        f"under {causes[cause]} another set of at most four was given in {each.changed.mean():.1%} of cases, another "
        f"first reason in {each.led.mean():.1%}, and {each.kept.mean():.1%} of all reasons were given again"
        for cause, each in found.items()
    ]
    unmade = "" if refits else " No refits were made, so what training anew does to reasons was not measured."
    return (
        f"Asked: would the same seller be told the same reasons again? Of {rows:,} test rows drawn at random, "
        f"{'; '.join(parts)}. The scorecard beside would have given another set in {' and '.join(beside)}.{unmade}"
    )

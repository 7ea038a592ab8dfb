"""Are the reasons a seller is given steady? How often they change by noise in the input, and by training anew."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from training.evidence.asking import answers, drawn_rows
from training.evidence.finding import Finding
from training.evidence.intervals import mean

if TYPE_CHECKING:
    import pandas as pd

    from scoring import Assessment, Bundle
    from training.evidence.subject import Subject

ROWS: Final = 300
"""Rows that are asked: half of an interval is then at most 6 percent points, and asking takes seconds."""

NOISE: Final = 0.01
DRAWS: Final = 3

_FIGURES: Final = {"changed": "changed_by", "led": "other_first_by", "kept": "kept_under"}

Reasons = list[tuple[str, ...]]
"""The codes that each row was given, worst first."""


@dataclass(frozen=True)
class Steadiness:
    """What became of the reasons of each row, over several askings: shape (askings, rows).

    `changed` is 1 where another set of reasons was given, `led` where another reason came first; `kept` is the share of
    a row's reasons that were given again.
    """

    changed: NDArray[np.float64]
    led: NDArray[np.float64]
    kept: NDArray[np.float64]

    @classmethod
    def of(cls, given: Reasons, again: Sequence[Reasons]) -> Steadiness:
        """Compare what was given with what was given later."""
        pairs = [list(zip(given, other, strict=True)) for other in again]
        changed = [[float(set(one) != set(two)) for one, two in asked] for asked in pairs]
        led = [[float(one[:1] != two[:1]) for one, two in asked] for asked in pairs]
        kept = [
            [len(set(one) & set(two)) / len(one) if one else float(not two) for one, two in asked] for asked in pairs
        ]
        return cls(np.array(changed), np.array(led), np.array(kept))


def reasons(subject: Subject) -> Finding:
    """Ask for the principal reasons of some test rows, again under noise, and again of each refit."""
    bundle, title = subject.bundle, "Stability of reasons"
    places = drawn_rows(bundle, subject.test, ROWS, subject.seed)
    if not len(places):
        return Finding("reasons", title, "No test row has history enough for a score, so none has reasons.")
    rows, matrix = subject.test.rows.iloc[places], subject.test.features.to_numpy()[places]
    given = _codes(answers(bundle, rows, matrix))
    again = {
        "noise": [_codes(answers(bundle, rows, noisy)) for noisy in disturbed(matrix, subject.seed)],
        "refits": [_codes(answers(refit, rows, matrix)) for refit in subject.refits],
    }
    found = {cause: Steadiness.of(given, askings) for cause, askings in again.items() if askings}
    return Finding(
        "reasons",
        title,
        _said(found, len(places), len(subject.refits)),
        figures={"rows": float(len(places)), **_figures(found)},
        tables={"Reasons given": _table(bundle, given, again)},
    )


def disturbed(matrix: NDArray[np.float64], seed: int) -> Iterator[NDArray[np.float64]]:
    """Yield the rows with every value off by a normal error of one percent; what is missing stays missing."""
    rng = np.random.default_rng(seed)
    for _ in range(DRAWS):
        yield matrix * (1.0 + NOISE * rng.standard_normal(matrix.shape))


def _codes(found: list[Assessment]) -> Reasons:
    return [tuple(reason.code for reason in each.explanation.reasons) if each.explanation else () for each in found]


def _figures(found: Mapping[str, Steadiness]) -> dict[str, float]:
    figures: dict[str, float] = {}
    for cause, steadiness in found.items():
        for what in ("changed", "led", "kept"):
            # the askings of one row are alike, so a row counts once
            value, low, high = mean(getattr(steadiness, what).mean(axis=0))
            name = f"{_FIGURES[what]}_{cause}"
            figures |= {name: value, f"{name}_low": max(low, 0.0), f"{name}_high": min(high, 1.0)}
    return figures


def _table(bundle: Bundle, given: Reasons, again: Mapping[str, Sequence[Reasons]]) -> pd.DataFrame:
    """Return a line a reason: how often it was given, and of those how often again."""
    import pandas as pd

    lines = []
    for entry in bundle.reasons.entries:
        places = [place for place, codes in enumerate(given) if entry.code in codes]
        if not places:
            continue
        line: dict[str, object] = {"code": entry.code, "reason": entry.bank.en, "given_share": len(places) / len(given)}
        for cause, askings in again.items():
            kept = [entry.code in codes[place] for codes in askings for place in places]
            line |= {f"kept_under_{cause}": float(np.mean(kept))} if kept else {}
        lines.append(line)
    columns = ["code", "reason", "given_share", *(f"kept_under_{cause}" for cause, askings in again.items() if askings)]
    return pd.DataFrame(lines, columns=columns).sort_values("given_share", ascending=False, ignore_index=True)


def _said(found: Mapping[str, Steadiness], rows: int, refits: int) -> str:
    causes = {
        "noise": f"an error of {NOISE:.0%} in every input",
        "refits": f"{refits} refits on other training sellers",
    }
    parts = [
        f"under {causes[cause]} another set of at most four was given in {each.changed.mean():.1%} of cases, another "
        f"first reason in {each.led.mean():.1%}, and {each.kept.mean():.1%} of all reasons were given again"
        for cause, each in found.items()
    ]
    unmade = "" if refits else " No refits were made, so what training anew does to reasons was not measured."
    return (
        f"Asked: would the same seller be told the same reasons again? Of {rows:,} test rows drawn at random, "
        f"{'; '.join(parts)}.{unmade}"
    )

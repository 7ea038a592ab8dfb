"""Does the served model obey every declared sign? Asked of the bundle itself, by moves that change one feature."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from training.evidence.finding import Finding
from training.evidence.limits import LimitCheck, Standing, alarms
from training.evidence.scored import log_odds

if TYPE_CHECKING:
    import pandas as pd

    from scoring.bundle import Bundle
    from training.evidence.subject import Subject

MOVES: Final = 10_000
"""A feature's random moves: enough to cross each of its splits from many sides."""

_BEYOND: Final = 0.1
"""Moves also reach this share of a feature's range past its ends, where the service may one day meet a seller."""

_MOST_ROWS: Final = 5_000


@dataclass(frozen=True)
class Audit:
    """What moving one feature did.

    Attributes:
        feature: its name.
        sign: +1 where a higher value may only raise the probability of default, -1 where it may only lower it.
        moves: how many were tried, each to another value; none where the feature was never known.
        felt: how many changed the probability at all.
        violations: how many changed it against the sign.
        largest: the largest violation, in probability of default.
    """

    feature: str
    sign: int
    moves: int
    felt: int
    violations: int
    largest: float


def monotone(subject: Subject, moves: int = MOVES) -> Finding:
    """Move every signed feature of random test rows, and count where the probability went the wrong way."""
    found = list(audit(subject.served, subject.test.features.to_numpy(), moves, subject.seed))
    check = _check(found)
    return Finding(
        "monotone",
        "Signs that the model obeys",
        _said(found, moves),
        figures={
            "features": float(len(found)),
            "moves": float(sum(each.moves for each in found)),
            "violations": float(sum(each.violations for each in found)),
            "largest_violation": max((each.largest for each in found), default=0.0),
        },
        tables={"Moves by feature": _table(found)},
        alarms=alarms((check,)),
        checks=(check,),
    )


def audit(bundle: Bundle, rows: NDArray[np.float64], moves: int, seed: int) -> Iterator[Audit]:
    """Yield what single moves of each signed feature do to the probability of default.

    Args:
        bundle: as it would serve.
        rows: where moves start, shape (rows, features), NaN where missing; a missing value cannot be moved.
        moves: tried for each feature that is known in some row.
        seed: of the moves.
    """
    rng = np.random.default_rng(seed)
    if len(rows) > _MOST_ROWS:
        rows = rows[rng.choice(len(rows), _MOST_ROWS, replace=False)]
    before = log_odds(bundle, rows)
    for column, entry in enumerate(bundle.sheet.entries):
        if not entry.sign:
            continue
        known = np.flatnonzero(~np.isnan(rows[:, column]))
        if not len(known):
            yield Audit(entry.name, entry.sign, 0, 0, 0, 0.0)
            continue
        start = rng.choice(known, moves)
        moved = rows[start]
        moved[:, column] = _values(rows[known, column], rows[start, column], rng)
        after = log_odds(bundle, moved)
        # how far the log-odds went in the direction that the move may not take them
        upward = np.sign(moved[:, column] - rows[start, column]) * entry.sign
        wrong = upward * (before[start] - after) > 0
        change = np.abs(_probability(after) - _probability(before[start]))
        felt = int((after != before[start]).sum())
        yield Audit(entry.name, entry.sign, moves, felt, int(wrong.sum()), float(change[wrong].max(initial=0.0)))


def _values(seen: NDArray[np.float64], start: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw values to move to, none where it starts: half of them seen, others from anywhere between or a little beyond.

    Where all that was seen is one value, beyond is a tenth of it, or of 1.
    """
    low, high = float(seen.min()), float(seen.max())
    beyond = _BEYOND * ((high - low) or abs(high) or 1.0)
    anywhere = rng.uniform(low - beyond, high + beyond, len(start))
    to = np.where(rng.random(len(start)) < 0.5, rng.choice(seen, len(start)), anywhere)  # noqa: PLR2004
    return np.where(to == start, anywhere, to)


def _probability(of: NDArray[np.float64]) -> NDArray[np.float64]:
    return 0.5 + 0.5 * np.tanh(0.5 * of)


def _said(found: list[Audit], moves: int) -> str:
    violations, tried = (sum(getattr(each, name) for each in found) for name in ("violations", "moves"))
    known = sum(each.moves > 0 for each in found)
    return (
        "Asked: can a higher value of a feature ever change the probability of default against its declared sign? In "
        f"{tried:,} random moves of one feature at a time, {moves:,} for each of the {known} signed features that test "
        f"rows know, {violations:,} did. Values are observed ones, and random ones between or slightly beyond them."
    )


def _check(found: list[Audit]) -> LimitCheck:
    broken, violations = [each for each in found if each.violations], sum(each.violations for each in found)
    note, standing = (_alarm(broken), Standing.ALARM) if broken else ("", Standing.WITHIN)
    return LimitCheck(
        "number of moves of one feature against its declared sign", f"{violations:,}", "0", standing, note
    )


def _alarm(broken: list[Audit]) -> str:
    worst = max(broken, key=lambda each: each.largest)
    return (
        f"The model breaks the declared sign of {', '.join(each.feature for each in broken)}; the largest violation, "
        f"{worst.largest:.2g} in probability of default, is of {worst.feature}. The limit is 0. Do not promote it; "
        "train again with these constraints."
    )


def _table(found: list[Audit]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(
        [
            {
                "feature": each.feature,
                "sign": each.sign,
                "moves": each.moves,
                "felt": each.felt,
                "violations": each.violations,
                "largest_violation": each.largest,
            }
            for each in found
        ]
    )

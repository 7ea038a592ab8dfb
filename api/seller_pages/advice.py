"""What would move a seller up a band, in words: the advice of `scoring`, each option scored before it is told."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

from api.remembered import Remembered
from api.scores.replay import vector_of
from api.scores.stored import StoredScore
from api.seller_pages.wording import GROUPS
from api.seller_pages.words import Words
from scoring import Advice, Bundle, Verdict, advise


@dataclass(frozen=True)
class Step:
    """One figure to change, from what it is to what it would have to be."""

    label: str
    group: str
    now: str
    to: str


@dataclass(frozen=True)
class OptionShown:
    """Changes that together lead to a band, and what they are worth."""

    steps: tuple[Step, ...]
    score: int
    points: int
    band: str


@dataclass(frozen=True)
class AdviceShown:
    """The advice: a verdict that the template has words for, and options."""

    verdict: Verdict
    now: str | None
    band: str | None
    farthest: int | None
    days: int | None
    options: tuple[OptionShown, ...]


_ADVICE: Final[Remembered[Advice]] = Remembered(2_000)
"""Advice by the id of the score and the digest of the bundle; to try all changes takes a while."""


def advice_for(score: StoredScore, bundle: Bundle) -> Advice:
    """Return what would move a score up a band.

    Args:
        score: the seller's own, made by this bundle.
        bundle: the model in force.
    """
    return _ADVICE.of((score.id, bundle.digest), lambda: advise(bundle, vector_of(json.loads(score.inputs))))


def shown(advice: Advice, words: Words) -> AdviceShown:
    """Return advice in a language."""
    options = tuple(
        OptionShown(
            tuple(
                Step(
                    words.say(each.label),
                    words.say(GROUPS.get(each.reason_group, each.reason_group)),
                    words.figure(each.value, each.unit),
                    words.figure(each.to, each.unit),
                )
                for each in option.changes
            ),
            option.score,
            option.points,
            option.band,
        )
        for option in advice.options
    )
    return AdviceShown(advice.verdict, advice.now, advice.band, advice.farthest, advice.days, options)

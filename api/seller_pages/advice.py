"""What would move a seller up a band, in words: the advice of `scoring`, each option scored before it is told."""

from __future__ import annotations

import json
from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock
from typing import Final

from api.scores.replay import vector_of
from api.scores.stored import StoredScore
from api.seller_pages.wording import GROUPS
from api.seller_pages.words import Words
from scoring import Advice, Bundle, Verdict, advise

_REMEMBERED: Final = 2_000


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


class Remembered:
    """The advice for scores that were looked at lately: a score never changes, and trying all changes takes a while.

    Example: `Remembered().of(score, bundle).verdict`.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[str, Advice] = OrderedDict()
        self._lock = Lock()

    def of(self, score: StoredScore, bundle: Bundle) -> Advice:
        """Return the advice for a score that this bundle made."""
        with self._lock:
            found = self._known.get(score.id)
        if found is None:
            found = advise(bundle, vector_of(json.loads(score.inputs)))
            with self._lock:
                self._known[score.id] = found
                if len(self._known) > _REMEMBERED:
                    self._known.popitem(last=False)
        return found


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

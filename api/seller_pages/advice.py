"""Advice in the seller's words: steps that raise the score, each scored before it is shown."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

from api.scores.replay import vector_of
from api.scores.stored import StoredScore
from api.seller_pages.words import N_, Words
from api.ttl_cache import TtlCache
from scoring import Advice, AdviceVerdict, Bundle, advise
from scoring.advice import Change, OpenReasonCause, Relation

_NOT_PRINCIPAL: Final = {
    Relation.LESSER_COST: N_("This figure costs points too, and is not one of your main reasons."),
    Relation.NO_COST: N_("This figure does not lower your score today, but a better value would raise it."),
    Relation.BETTER_THAN_TYPICAL: N_("You are better than typical here already; a further step still counts."),
}
_UNANSWERED: Final = {
    OpenReasonCause.CHANGES_SLOWLY: N_("This figure follows from months of business and changes slowly."),
    OpenReasonCause.RARELY_IMPROVED: N_("Sellers of your size rarely get there within %(days)s days. It takes longer."),
    OpenReasonCause.BELOW_SCALE: N_(
        "Your score is at the lowest point of the scale. An improvement helps, but alone it does not raise the score."
    ),
    OpenReasonCause.NEEDS_TABLE: N_("Ask your marketplace to deliver these data."),
    OpenReasonCause.NOT_COMPUTED: N_(
        "It can be computed once there are enough data: after more months of sales, or when your marketplace delivers "
        "what is missing."
    ),
}


@dataclass(frozen=True)
class ChangeShown:
    """One figure to change, from its value to the one to reach."""

    label: str
    group: str
    now: str
    to: str


@dataclass(frozen=True)
class StepShown:
    """One change alone and the points that it gains; `note` says why it is no main reason, where it is none."""

    change: ChangeShown
    points: int
    note: str | None


@dataclass(frozen=True)
class LaterShown:
    """A main reason that no step answers: the points at the typical value, and why that takes longer."""

    statement: str
    points: int
    why: str


@dataclass(frozen=True)
class OptionShown:
    """Changes that together lead to a band, and what they are worth."""

    changes: tuple[ChangeShown, ...]
    score: int
    points: int
    band: str


@dataclass(frozen=True)
class AdviceShown:
    """The advice: a verdict that the template has words for, options, single steps, and what takes longer."""

    verdict: AdviceVerdict
    now: str | None
    band: str | None
    farthest: int | None
    days: int | None
    options: tuple[OptionShown, ...]
    steps: tuple[StepShown, ...]
    later: tuple[LaterShown, ...]


_ADVICE: Final[TtlCache[Advice]] = TtlCache(2_000)
"""Advice by the id of the score and the digest of the bundle; to try all changes takes a while."""


def advice_for(score: StoredScore, bundle: Bundle) -> Advice:
    """Return what would raise a score.

    Args:
        score: the seller's own, issued with this bundle.
        bundle: the model in force.
    """
    return _ADVICE.get((score.id, bundle.digest), lambda: advise(bundle, vector_of(json.loads(score.inputs))))


def shown(advice: Advice, bundle: Bundle, words: Words) -> AdviceShown:
    """Return advice in a language."""

    def change(each: Change) -> ChangeShown:
        return ChangeShown(
            words.say(each.label),
            bundle.reasons.label_of(each.reason_group, words.language),
            words.figure(each.value, each.unit),
            words.figure(each.to, each.unit),
        )

    return AdviceShown(
        advice.verdict,
        advice.now,
        advice.band,
        advice.farthest,
        advice.days,
        tuple(
            OptionShown(tuple(map(change, option.changes)), option.score, option.points, option.band)
            for option in advice.options
        ),
        tuple(
            StepShown(
                change(step.change),
                step.points,
                words.say(_NOT_PRINCIPAL[step.relation]) if step.relation in _NOT_PRINCIPAL else None,
            )
            for step in advice.steps
        ),
        tuple(
            LaterShown(
                bundle.reasons.statement(each.reason, "seller", words.language),
                each.reason.gain,
                words.say(_UNANSWERED[each.why], days=advice.days or 0),
            )
            for each in advice.open_reasons
        ),
    )

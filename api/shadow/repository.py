"""The table of a challenger's scores, each beside the champion's score of the same request.

It holds numbers and no explanation: what is needed can be made again from the inputs of the score and the bundle.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import Column, Connection, Float, ForeignKey, Integer, String, Table, insert, select

from api.database import metadata
from api.scores.repository import scores

_shadow_scores = Table(
    "shadow_scores",
    metadata,
    Column("score_id", String(36), ForeignKey("scores.id"), primary_key=True),
    Column("bundle", String(71), primary_key=True),
    Column("outcome", String(40), nullable=False),
    Column("score", Integer(), nullable=True),
    Column("band", String(10), nullable=True),
    Column("probability_of_default", Float(), nullable=True),
)


@dataclass(frozen=True)
class Numbers:
    """What an assessment comes down to; only the outcome `scored` has numbers."""

    outcome: str
    score: int | None
    band: str | None
    probability_of_default: float | None


@dataclass(frozen=True)
class ShadowScore:
    """What the challenger of this bundle says to the request that made the score with this id."""

    score_id: str
    bundle: str
    numbers: Numbers


@dataclass(frozen=True)
class Pair:
    """One request as both models answered it."""

    score_id: str
    seller_id: str
    scored_at: datetime
    champion_bundle: str
    champion: Numbers
    challenger: Numbers


def add(connection: Connection, found: Sequence[ShadowScore]) -> None:
    """Store shadow scores; the score that each belongs to is stored already."""
    rows = [{"score_id": each.score_id, "bundle": each.bundle, **asdict(each.numbers)} for each in found]
    connection.execute(insert(_shadow_scores), rows)


def beside(connection: Connection, bundle: str, since: datetime | None = None) -> Iterator[Pair]:
    """Yield every request that the challenger of a bundle scored too, as both answered, oldest first.

    Example: `[pair.challenger.score - pair.champion.score for pair in beside(connection, "sha256:9b02...")]`.

    Args:
        connection: of the database.
        bundle: digest of the challenger's bundle.
        since: leave out what was scored before this moment; all is given without it.
    """
    of_challenger = [_shadow_scores.c[name] for name in Numbers.__dataclass_fields__]
    of_champion = [scores.c[name] for name in ("id", "seller_id", "scored_at", "bundle", "body")]
    wanted = (
        select(*of_champion, *of_challenger)
        .join_from(_shadow_scores, scores)
        .where(_shadow_scores.c.bundle == bundle)
        .order_by(scores.c.scored_at, scores.c.id)
    )
    if since is not None:
        wanted = wanted.where(scores.c.scored_at >= since)
    for score_id, seller_id, scored_at, champion, body, *numbers in connection.execute(wanted):
        yield Pair(score_id, seller_id, scored_at, champion, _numbers_of(body), Numbers(*numbers))


def every(connection: Connection) -> Iterator[ShadowScore]:
    """Yield every challenger's score, in the order of the scores that they stand beside."""
    named = [_shadow_scores.c[name] for name in ("score_id", "bundle", *Numbers.__dataclass_fields__)]
    wanted = select(*named).join(scores).order_by(scores.c.scored_at, scores.c.id, _shadow_scores.c.bundle)
    for score_id, bundle, *numbers in connection.execute(wanted):
        yield ShadowScore(score_id, bundle, Numbers(*numbers))


def _numbers_of(body: bytes) -> Numbers:
    assessment = json.loads(body)["assessment"]
    return Numbers(**{name: assessment[name] for name in Numbers.__dataclass_fields__})

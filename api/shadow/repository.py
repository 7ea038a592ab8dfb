"""The table of a challenger's scores, each beside the champion's score of the same request.

It holds numbers and no explanation: what is needed can be made again from the inputs of the score and the bundle.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import Column, Connection, Float, ForeignKey, Integer, String, Table, delete, insert, select

from api.database import metadata
from api.ledger.service import Ledger
from api.scores import stored
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


def beside(connection: Connection, ledger: Ledger, bundle: str, since: datetime | None = None) -> Iterator[Pair]:
    """Yield every request that the challenger of a bundle scored too, as both answered, oldest first.

    Example: `[pair.challenger.score - pair.champion.score for pair in beside(connection, ledger, "sha256:9b02...")]`.

    Args:
        connection: of the database.
        ledger: holds what the champion answered.
        bundle: digest of the challenger's bundle.
        since: leave out what was scored before this moment; all is given without it.
    """
    named = [_shadow_scores.c[name] for name in ("score_id", *Numbers.__dataclass_fields__)]
    wanted = select(*named).where(_shadow_scores.c.bundle == bundle)
    of_challenger = {score_id: Numbers(*numbers) for score_id, *numbers in connection.execute(wanted)}
    for score in stored.every(connection, ledger, since):
        numbers = of_challenger.get(score.id)
        if numbers is not None:
            champion = _numbers_of(score.body)
            yield Pair(score.id, score.seller_id, score.scored_at, score.bundle, champion, numbers)


def forget(connection: Connection, subject: str) -> None:
    """Remove what challengers said of a subject of the ledger."""
    of_subject = select(scores.c.id).where(scores.c.subject == subject)
    connection.execute(delete(_shadow_scores).where(_shadow_scores.c.score_id.in_(of_subject)))


def forget_at(connection: Connection, chain: str, positions: Sequence[int]) -> None:
    """Remove what challengers said of the scores at these positions of a chain."""
    there = select(scores.c.id).where(scores.c.chain == chain, scores.c.position.in_(positions))
    connection.execute(delete(_shadow_scores).where(_shadow_scores.c.score_id.in_(there)))


def every(connection: Connection) -> Iterator[ShadowScore]:
    """Yield every challenger's score, in the order of the scores that they stand beside."""
    named = [_shadow_scores.c[name] for name in ("score_id", "bundle", *Numbers.__dataclass_fields__)]
    wanted = select(*named).join(scores).order_by(scores.c.scored_at, scores.c.id, _shadow_scores.c.bundle)
    for score_id, bundle, *numbers in connection.execute(wanted):
        yield ShadowScore(score_id, bundle, Numbers(*numbers))


def _numbers_of(body: bytes) -> Numbers:
    assessment = json.loads(body)["assessment"]
    return Numbers(**{name: assessment[name] for name in Numbers.__dataclass_fields__})

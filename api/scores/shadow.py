"""The table of a challenger's scores, each beside the champion's score of the same request.

It holds numbers and no explanation: what is needed can be made again from the inputs of the score and the bundle.

The challenger at work: scores what the champion scored, behind it, in a thread of its own.

The champion's answer never waits for it: a request leaves its vector in a queue, and where the queue is full the
request is left out. What is in the queue when the process is killed is lost; the scores themselves never are.
"""

import json
import logging
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Column, Connection, Engine, Float, ForeignKey, Integer, String, Table, delete, insert, select
from sqlalchemy.exc import SQLAlchemyError

from api.errors import DatabaseUnavailable
from api.kit.database import metadata, transaction
from api.ledger.store import Ledger
from api.models.bundle_store import ServedModel
from api.scores import repository
from api.scores.repository import scores
from scoring import Assessment, ScoringError, Vector, assess

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
class ScoreNumbers:
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
    numbers: ScoreNumbers


@dataclass(frozen=True)
class Pair:
    """One request as both models answered it."""

    score_id: str
    seller_id: str
    scored_at: datetime
    champion_bundle: str
    champion: ScoreNumbers
    challenger: ScoreNumbers


def insert_shadow_scores(connection: Connection, found: Sequence[ShadowScore]) -> None:
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
    named = [_shadow_scores.c[name] for name in ("score_id", *ScoreNumbers.__dataclass_fields__)]
    wanted = select(*named).where(_shadow_scores.c.bundle == bundle)
    of_challenger = {score_id: ScoreNumbers(*numbers) for score_id, *numbers in connection.execute(wanted)}
    for score in repository.iterate_scores(connection, ledger, since):
        numbers = of_challenger.get(score.id)
        if numbers is not None:
            champion = _numbers_of(score.body)
            yield Pair(score.id, score.seller_id, score.scored_at, score.bundle, champion, numbers)


def delete_shadow_scores(connection: Connection, subject: str) -> None:
    """Remove what challengers said of a subject of the ledger."""
    of_subject = select(scores.c.id).where(scores.c.subject == subject)
    connection.execute(delete(_shadow_scores).where(_shadow_scores.c.score_id.in_(of_subject)))


def delete_shadow_scores_at(connection: Connection, chain: str, positions: Sequence[int]) -> None:
    """Remove what challengers said of the scores at these positions of a chain."""
    there = select(scores.c.id).where(scores.c.chain == chain, scores.c.position.in_(positions))
    connection.execute(delete(_shadow_scores).where(_shadow_scores.c.score_id.in_(there)))


def iterate_shadow_scores(connection: Connection) -> Iterator[ShadowScore]:
    """Yield every challenger's score, in the order of the scores that they stand beside."""
    named = [_shadow_scores.c[name] for name in ("score_id", "bundle", *ScoreNumbers.__dataclass_fields__)]
    wanted = select(*named).join(scores).order_by(scores.c.scored_at, scores.c.id, _shadow_scores.c.bundle)
    for score_id, bundle, *numbers in connection.execute(wanted):
        yield ShadowScore(score_id, bundle, ScoreNumbers(*numbers))


def _numbers_of(body: bytes) -> ScoreNumbers:
    assessment = json.loads(body)["assessment"]
    return ScoreNumbers(**{name: assessment[name] for name in ScoreNumbers.__dataclass_fields__})


logger = logging.getLogger(__name__)


_WAITING: Final = 10_000
"""Vectors that may wait; at a kilobyte or two each they take a few megabytes."""


_BATCH: Final = 200


_GATHER_SECONDS: Final = 0.2
"""Requests gather for this long, so that their shadow scores share one write; a champion's may have to wait for it."""


_CLOSE_SECONDS: Final = 10.0


@dataclass(frozen=True)
class _ShadowRequest:
    score_id: str
    vector: Vector


class ShadowScorer:
    """Scores with a challenger and stores what it says.

    Example: `Shadow(challenger, engine).offer(score.id, vector)` returns at once; `close` waits for what is waiting.
    """

    def __init__(self, challenger: ServedModel, engine: Engine) -> None:
        self.challenger = challenger
        self._engine = engine
        self._waiting: queue.Queue[_ShadowRequest | None] = queue.Queue(_WAITING)
        self._thread = threading.Thread(target=self._work, name="shadow", daemon=True)
        self._thread.start()
        logger.info("version %s scores beside the champion, unseen by banks", challenger.version)

    def offer(self, score_id: str, vector: Vector) -> None:
        """Leave a vector that the champion has scored and whose score is stored; never waits, never raises."""
        try:
            self._waiting.put_nowait(_ShadowRequest(score_id, vector))
        except queue.Full:
            logger.warning("the challenger is %d requests behind; it leaves one out", _WAITING)

    @property
    def waiting(self) -> int:
        """How many requests it has yet to score, about."""
        return self._waiting.qsize()

    def close(self) -> None:
        """Score what is waiting, for some seconds at most, and end."""
        try:
            self._waiting.put(None, timeout=_CLOSE_SECONDS)
        except queue.Full:
            logger.warning("the challenger is %d requests behind; it leaves them out", _WAITING)
            return
        self._thread.join(_CLOSE_SECONDS)

    def _work(self) -> None:
        for batch in self._batches():
            try:
                answers = assess(self.challenger.bundle, [asked.vector for asked in batch])
                self._store([self._shadow_score(*pair) for pair in zip(batch, answers, strict=True)])
            except ScoringError as error:
                # its message may name a seller, whom no log names
                logger.warning(
                    "the challenger leaves out %d requests that it cannot score: %s", len(batch), type(error).__name__
                )

    def _batches(self) -> Iterator[list[_ShadowRequest]]:
        while (asked := self._waiting.get()) is not None:
            time.sleep(_GATHER_SECONDS)
            batch = [asked]
            ended = False
            while not ended and len(batch) < _BATCH and not self._waiting.empty():
                more = self._waiting.get()
                ended = more is None
                batch += [] if more is None else [more]
            yield batch
            if ended:
                return

    def _shadow_score(self, asked: _ShadowRequest, answer: Assessment) -> ShadowScore:
        numbers = ScoreNumbers(str(answer.outcome), answer.score, answer.band, answer.probability_of_default)
        return ShadowScore(asked.score_id, self.challenger.bundle.digest, numbers)

    def _store(self, found: Sequence[ShadowScore]) -> None:
        try:
            # behind those who write already, who are given their turn one after another
            with transaction(self._engine, writes=True) as connection:
                insert_shadow_scores(connection, found)
        except (DatabaseUnavailable, SQLAlchemyError):
            logger.warning("%d shadow scores could not be stored and are left out", len(found))

"""Shadow scores: a challenger model scores the champion's requests in the background, and its results are stored.

The champion's response never waits for the challenger. A request puts its vector in a queue; if the queue is full, the
challenger skips the request. The queue is lost if the process is killed; the champion's scores never are. Only numbers
are stored, because inputs and bundle reproduce the explanation.
"""

import logging
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass
from typing import Final

from sqlalchemy import Column, Connection, Engine, Float, ForeignKey, Integer, String, Table, delete, insert, select
from sqlalchemy.exc import SQLAlchemyError

from api.errors import DatabaseUnavailable
from api.kit.database import metadata, transaction
from api.models.bundle_store import ServedModel
from api.scores.repository import scores
from scoring import Assessment, ScoringError, Vector, assess

logger = logging.getLogger(__name__)

_QUEUE_SIZE: Final = 10_000
"""Vectors in the queue. Each has one or two kilobytes."""

_BATCH: Final = 200
_GATHER_SECONDS: Final = 0.2
"""Time to gather requests, so that their shadow scores share one write. A write can delay a champion's score."""

_CLOSE_SECONDS: Final = 10.0

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
class ShadowScore:
    """The result of a challenger, `model` by digest, for the request of the score with this ID.

    The fields are in the order of the columns. The numbers are None unless the outcome is `scored`.
    """

    score_id: str
    model: str
    outcome: str
    score: int | None
    band: str | None
    probability_of_default: float | None


def insert_shadow_scores(connection: Connection, shadows: Sequence[ShadowScore]) -> None:
    """Store shadow scores of stored scores."""
    columns = _shadow_scores.c.keys()
    connection.execute(insert(_shadow_scores), [dict(zip(columns, astuple(shadow), strict=True)) for shadow in shadows])


def delete_shadow_scores(connection: Connection, subject: str) -> None:
    """Delete the shadow scores of a ledger subject."""
    of_subject = select(scores.c.id).where(scores.c.subject == subject)
    connection.execute(delete(_shadow_scores).where(_shadow_scores.c.score_id.in_(of_subject)))


def delete_shadow_scores_at(connection: Connection, chain: str, positions: Sequence[int]) -> None:
    """Delete the shadow scores of the scores at these positions of a chain."""
    at_positions = select(scores.c.id).where(scores.c.chain == chain, scores.c.position.in_(positions))
    connection.execute(delete(_shadow_scores).where(_shadow_scores.c.score_id.in_(at_positions)))


def iterate_shadow_scores(connection: Connection) -> Iterator[ShadowScore]:
    """Yield all shadow scores in the order of their scores."""
    query = select(_shadow_scores).join(scores).order_by(scores.c.scored_at, scores.c.id, _shadow_scores.c.bundle)
    for row in connection.execute(query):
        yield ShadowScore(*row)


@dataclass(frozen=True)
class _ShadowRequest:
    score_id: str
    vector: Vector


class ShadowScorer:
    """Scores requests with a challenger and stores the results.

    Example: `ShadowScorer(challenger, engine).offer(score.id, vector)` returns at once; `close` finishes the queue.
    """

    def __init__(self, challenger: ServedModel, engine: Engine) -> None:
        self.challenger = challenger
        self._engine = engine
        self._queue: queue.Queue[_ShadowRequest | None] = queue.Queue(_QUEUE_SIZE)
        self._thread = threading.Thread(target=self._work, name="shadow", daemon=True)
        self._thread.start()
        logger.info("version %s issues shadow scores, which banks cannot see", challenger.version)

    def offer(self, score_id: str, vector: Vector) -> None:
        """Queue the vector of a stored score; never waits and never raises."""
        try:
            self._queue.put_nowait(_ShadowRequest(score_id, vector))
        except queue.Full:
            logger.warning("the challenger is %d requests behind; it skips one", _QUEUE_SIZE)

    @property
    def waiting(self) -> int:
        """The approximate number of queued requests."""
        return self._queue.qsize()

    def close(self) -> None:
        """Score the queued requests for at most ten seconds and stop."""
        try:
            self._queue.put(None, timeout=_CLOSE_SECONDS)
        except queue.Full:
            logger.warning("the challenger is %d requests behind; it skips them", _QUEUE_SIZE)
            return
        self._thread.join(_CLOSE_SECONDS)

    def _work(self) -> None:
        for batch in self._batches():
            try:
                assessments = assess(self.challenger.bundle, [request.vector for request in batch])
                self._store([self._shadow_score(*pair) for pair in zip(batch, assessments, strict=True)])
            except ScoringError as error:
                # the message can contain a seller ID, which must not be logged
                logger.warning(
                    "the challenger skips %d requests that it cannot score: %s", len(batch), type(error).__name__
                )

    def _batches(self) -> Iterator[list[_ShadowRequest]]:
        while (request := self._queue.get()) is not None:
            time.sleep(_GATHER_SECONDS)
            batch, ended = [request], False
            while not ended and len(batch) < _BATCH and not self._queue.empty():
                following = self._queue.get()
                ended = following is None
                batch += [] if following is None else [following]
            yield batch
            if ended:
                return

    def _shadow_score(self, request: _ShadowRequest, assessment: Assessment) -> ShadowScore:
        return ShadowScore(
            request.score_id,
            self.challenger.bundle.digest,
            str(assessment.outcome),
            assessment.score,
            assessment.band,
            assessment.probability_of_default,
        )

    def _store(self, shadows: Sequence[ShadowScore]) -> None:
        try:
            with transaction(self._engine, writes=True) as connection:
                insert_shadow_scores(connection, shadows)
        except (DatabaseUnavailable, SQLAlchemyError):
            logger.warning("%d shadow scores could not be stored", len(shadows))

"""The challenger at work: scores what the champion scored, behind it, in a thread of its own.

The champion's answer never waits for it: a request leaves its vector in a queue, and where the queue is full the
request is left out. What is in the queue when the process is killed is lost; the scores themselves never are.
"""

import logging
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from api.database import transaction
from api.errors import DatabaseUnavailable
from api.model_store import Served
from api.shadow import repository
from api.shadow.repository import Numbers, ShadowScore
from scoring import Assessment, ScoringError, Vector, assess

logger = logging.getLogger(__name__)

_WAITING: Final = 10_000
"""Vectors that may wait; at a kilobyte or two each they take a few megabytes."""

_BATCH: Final = 200
_GATHER_SECONDS: Final = 0.2
"""Requests gather for this long, so that their shadow scores share one write; a champion's may have to wait for it."""

_CLOSE_SECONDS: Final = 10.0


@dataclass(frozen=True)
class _Asked:
    score_id: str
    vector: Vector


class Shadow:
    """Scores with a challenger and stores what it says.

    Example: `Shadow(challenger, engine).offer(score.id, vector)` returns at once; `close` waits for what is waiting.
    """

    def __init__(self, challenger: Served, engine: Engine) -> None:
        self.challenger = challenger
        self._engine = engine
        self._waiting: queue.Queue[_Asked | None] = queue.Queue(_WAITING)
        self._thread = threading.Thread(target=self._work, name="shadow", daemon=True)
        self._thread.start()
        logger.info("version %s scores beside the champion, unseen by banks", challenger.version)

    def offer(self, score_id: str, vector: Vector) -> None:
        """Leave a vector that the champion has scored and whose score is stored; never waits, never raises."""
        try:
            self._waiting.put_nowait(_Asked(score_id, vector))
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

    def _batches(self) -> Iterator[list[_Asked]]:
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

    def _shadow_score(self, asked: _Asked, answer: Assessment) -> ShadowScore:
        numbers = Numbers(str(answer.outcome), answer.score, answer.band, answer.probability_of_default)
        return ShadowScore(asked.score_id, self.challenger.bundle.digest, numbers)

    def _store(self, found: Sequence[ShadowScore]) -> None:
        try:
            # behind those who write already, who are given their turn one after another
            with transaction(self._engine, writes=True) as connection:
                repository.add(connection, found)
        except (DatabaseUnavailable, SQLAlchemyError):
            logger.warning("%d shadow scores could not be stored and are left out", len(found))

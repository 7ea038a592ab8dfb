"""Counts of what the service answered, kept in memory from its start: requests, how long they took, scores."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from api.metrics.written import Family, Sample, labelled

BOUNDS: Final = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Seconds up to which answers are counted together; a score takes some milliseconds."""

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


@dataclass(frozen=True)
class Answered:
    """One request: `route` is the path as the service declares it, `caller` a kind of client or `none`."""

    method: str
    route: str
    status: int
    caller: str
    seconds: float


class Counted:
    """All counts of one running service.

    Example: `counted.answered(Answered("POST", "/v1/scores", 201, "bank", 0.004))`, then `list(counted.families())`.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: Counter[tuple[str, str, str, str]] = Counter()
        self._scores: Counter[str] = Counter()
        self._took: defaultdict[tuple[str, str], list[int]] = defaultdict(lambda: [0] * (len(BOUNDS) + 1))
        self._seconds: Counter[tuple[str, str]] = Counter()

    def answered(self, each: Answered) -> None:
        """Count one request; a method that nobody knows counts as `other`, or strangers could make any number."""
        method = each.method if each.method in _METHODS else "other"
        with self._lock:
            self._requests[method, each.route, str(each.status), each.caller] += 1
            self._took[method, each.route][bisect_left(BOUNDS, each.seconds)] += 1
            # a counter holds whatever can be added
            self._seconds[method, each.route] += each.seconds  # type: ignore[assignment]

    def scored(self, outcome: str) -> None:
        """Count one score that was stored."""
        with self._lock:
            self._scores[outcome] += 1

    def families(self) -> Iterator[Family]:
        """Yield what was counted so far."""
        with self._lock:
            requests, scores = dict(self._requests), dict(self._scores)
            took = {key: list(counts) for key, counts in self._took.items()}
            seconds: dict[tuple[str, str], float] = dict(self._seconds)
        names = ("method", "route", "status", "caller")
        yield Family(
            "sellerscore_requests_total",
            "counter",
            "Requests answered, by kind of caller.",
            tuple(Sample("", labelled(names, key), count) for key, count in sorted(requests.items())),
        )
        yield Family(
            "sellerscore_request_seconds",
            "histogram",
            "Seconds from a request to the end of its answer.",
            tuple(each for key in sorted(took) for each in _histogram(key, took[key], seconds[key])),
        )
        yield Family(
            "sellerscore_scores_total",
            "counter",
            "Scores stored and answered, by outcome.",
            tuple(Sample("", labelled(("outcome",), (key,)), count) for key, count in sorted(scores.items())),
        )


def _histogram(key: tuple[str, str], counts: list[int], seconds: float) -> Iterator[Sample]:
    labels = labelled(("method", "route"), key)
    up_to = (*map(str, BOUNDS), "+Inf")
    for bound, total in zip(up_to, accumulate(counts), strict=True):
        yield Sample("_bucket", (*labels, ("le", bound)), total)
    yield Sample("_sum", labels, seconds)
    yield Sample("_count", labels, sum(counts))

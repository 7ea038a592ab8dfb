"""Counts of what the service answered, kept in memory from its start: requests, how long they took, scores."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from prometheus_client import Counter, Histogram, Metric

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
        # in no registry, since the library's own is one for all services of a process
        self._requests = Counter(
            "sellerscore_requests",
            "Requests answered, by kind of caller.",
            ("method", "route", "status", "caller"),
            registry=None,
        )
        self._took = Histogram(
            "sellerscore_request_seconds",
            "Seconds from a request to the end of its answer.",
            ("method", "route"),
            registry=None,
            buckets=BOUNDS,
        )
        self._scores = Counter(
            "sellerscore_scores", "Scores stored and answered, by outcome.", ("outcome",), registry=None
        )

    def answered(self, each: Answered) -> None:
        """Count one request; a method that nobody knows counts as `other`, or strangers could make any number."""
        method = each.method if each.method in _METHODS else "other"
        self._requests.labels(method, each.route, each.status, each.caller).inc()
        self._took.labels(method, each.route).observe(each.seconds)

    def scored(self, outcome: str) -> None:
        """Count one score that was stored."""
        self._scores.labels(outcome).inc()

    def families(self) -> Iterator[Metric]:
        """Yield what was counted so far, without the moments from which each was."""
        for counted in (self._requests, self._took, self._scores):
            for family in counted.collect():
                family.samples = [each for each in family.samples if each.name != f"{family.name}_created"]
                yield family

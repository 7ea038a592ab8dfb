"""A complete score over HTTP beside `mlflow models serve`, which only predicts: answers a second, and their times.

`POST /v1/scores` looks up the token's client and the seller's consent, reads the stored vector, explains the score
exactly, signs a receipt and commits to the ledger before it answers. Both serve the same booster as their commands do
by default, and are asked by the same caller over eight connections, in turns, on the same two cores.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from tests.api.postgres import fresh_database, server
from tests.benchmarks.api_load import Answered, Ask, Load, call, trivial_server
from tests.benchmarks.api_servers import (
    Address,
    Ground,
    Scale,
    mlflow_serve,
    prediction_requests,
    prepare,
    score_requests,
    sellerscore,
)
from tests.benchmarks.features import Target

TARGETS: Final = {
    "api.rps_over_mlflow": Target(8, at_most=False),
    "api.mlflow_p99_over_api": Target(4, at_most=False),
}

_ANSWER_BYTES: Final = 40_000
_CORES: Final = 2


@dataclass(frozen=True)
class Turns:
    """How often all are asked, and how."""

    rounds: int = 4
    load: Load = field(default_factory=Load)
    scale: Scale = field(default_factory=Scale)


def run(turns: Turns = Turns()) -> dict[str, float]:
    """Measure, print, and return the figures under the names of var/bench.json."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:_CORES])
    with tempfile.TemporaryDirectory(prefix="sellerscore-api-") as name, ExitStack() as stack:
        folder = Path(name)
        _say(f"training {turns.scale.trees} trees and storing vectors of {turns.scale.sellers:,} sellers")
        ground = prepare(turns.scale, folder)
        ways = _started(ground, folder, stack)
        with trivial_server(_ANSWER_BYTES) as address:
            ceiling = call(address, ways["api"][1], turns.load)
        figures = {"api.caller_ceiling_rps": ceiling.rps} | _compared(_in_turns(ways, turns))
    for figure, value in figures.items():
        target = TARGETS.get(figure)
        verdict = "" if target is None else f"  {'met' if target.met(value) else 'MISSED'}: {target}"
        print(f"{figure:<27}  {value:>9.4g}{verdict}", flush=True)
    return figures


Ways = dict[str, tuple[Address, Ask]]


def _started(ground: Ground, folder: Path, stack: ExitStack) -> Ways:
    _say("starting mlflow models serve, and sellerscore serve on SQLite and on PostgreSQL")
    credentials = ground.home / "demo-bank.netrc"
    predicting = stack.enter_context(mlflow_serve(ground, folder / "mlflow.log"))
    scoring = stack.enter_context(sellerscore(ground, folder / "sqlite.log"))
    ways = {"mlflow": (predicting, prediction_requests(ground))}
    ways["api"] = (scoring, score_requests(ground, scoring, credentials, "sqlite"))
    database = stack.enter_context(fresh_database(stack.enter_context(server())))
    beside = stack.enter_context(sellerscore(ground, folder / "postgresql.log", database))
    return {**ways, "postgresql": (beside, score_requests(ground, beside, credentials, "postgresql"))}


def _in_turns(ways: Ways, turns: Turns) -> dict[str, list[Answered]]:
    found: dict[str, list[Answered]] = {name: [] for name in ways}
    for number in range(turns.rounds):
        for name, (address, ask) in ways.items():
            answered = call(address, ask, turns.load, begin=number * 10_000_000)
            found[name].append(answered)
            p50, p99 = answered.percentile(50), answered.percentile(99)
            _say(f"round {number + 1}: {name:<10} {answered.rps:>7.0f} a second, p50 {p50:.2f} ms, p99 {p99:.2f} ms")
    return found


def _compared(found: dict[str, list[Answered]]) -> dict[str, float]:
    def median(of: Callable[[Answered], float], name: str) -> float:
        return float(np.median([of(each) for each in found[name]]))

    figures: dict[str, float] = {}
    for name in found:
        figures[f"api.{name}_rps"] = median(lambda each: each.rps, name)
        for share in (50, 99):
            figures[f"api.{name}_p{share}_ms"] = median(lambda each: each.percentile(share), name)  # noqa: B023
    # each round was measured within a minute, so that what else the machine did falls on all
    pairs = list(zip(found["mlflow"], found["api"], strict=True))
    figures["api.rps_over_mlflow"] = float(np.median([ours.rps / theirs.rps for theirs, ours in pairs]))
    figures["api.mlflow_p99_over_api"] = float(
        np.median([theirs.percentile(99) / ours.percentile(99) for theirs, ours in pairs])
    )
    return figures


def _say(sentence: str) -> None:
    print(f"api: {sentence}", flush=True)

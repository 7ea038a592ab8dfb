"""A complete score over HTTP compared with `mlflow models serve`, which only predicts: rates and response times.

`POST /v1/scores` looks up the token's client and the seller's consent, reads the stored vector, explains the score
exactly, signs a receipt and commits to the ledger before it responds. Both servers have the same booster and default
settings. The same client calls them in turns over eight connections, on the same two cores.
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
from tests.benchmarks.api_load import Load, LoadResult, RequestBuilder, send_load, trivial_server
from tests.benchmarks.api_servers import (
    Address,
    BenchmarkData,
    Scale,
    mlflow_serve,
    prediction_requests,
    prepare,
    score_requests,
    sellerscore,
)
from tests.benchmarks.figures import Target, print_figures, print_step

TARGETS: Final = {
    "api.rps_over_mlflow": Target(8, at_most=False),
    "api.mlflow_p99_over_api": Target(4, at_most=False),
}

_RESPONSE_BYTES: Final = 40_000
_CORES: Final = 2


@dataclass(frozen=True)
class Plan:
    """Number of rounds, the load, and the sizes."""

    rounds: int = 4
    load: Load = field(default_factory=Load)
    scale: Scale = field(default_factory=Scale)


def run(plan: Plan = Plan()) -> dict[str, float]:
    """Measure, print, and return the figures under the names of var/bench.json."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:_CORES])
    with tempfile.TemporaryDirectory(prefix="sellerscore-api-") as name, ExitStack() as stack:
        folder = Path(name)
        print_step(f"api: training {plan.scale.trees} trees and storing vectors of {plan.scale.sellers:,} sellers")
        data = prepare(plan.scale, folder)
        servers = _start_servers(data, folder, stack)
        with trivial_server(_RESPONSE_BYTES) as address:
            ceiling = send_load(address, servers["api"][1], plan.load)
        figures = {"api.caller_ceiling_rps": ceiling.rps} | _compare(_measure_in_turns(servers, plan))
    print_figures(figures, TARGETS)
    return figures


Servers = dict[str, tuple[Address, RequestBuilder]]


def _start_servers(data: BenchmarkData, folder: Path, stack: ExitStack) -> Servers:
    print_step("api: starting mlflow models serve, and sellerscore serve on SQLite and on PostgreSQL")
    credentials = data.home / "demo-bank.netrc"
    predicting = stack.enter_context(mlflow_serve(data, folder / "mlflow.log"))
    scoring = stack.enter_context(sellerscore(data, folder / "sqlite.log"))
    servers = {"mlflow": (predicting, prediction_requests(data))}
    servers["api"] = (scoring, score_requests(data, scoring, credentials, "sqlite"))
    database = stack.enter_context(fresh_database(stack.enter_context(server())))
    on_postgresql = stack.enter_context(sellerscore(data, folder / "postgresql.log", database))
    return {**servers, "postgresql": (on_postgresql, score_requests(data, on_postgresql, credentials, "postgresql"))}


def _measure_in_turns(servers: Servers, plan: Plan) -> dict[str, list[LoadResult]]:
    results: dict[str, list[LoadResult]] = {name: [] for name in servers}
    for number in range(plan.rounds):
        for name, (address, build_request) in servers.items():
            result = send_load(address, build_request, plan.load, first=number * 10_000_000)
            results[name].append(result)
            p50, p99 = result.percentile(50), result.percentile(99)
            print_step(
                f"api: round {number + 1}: {name:<10} {result.rps:>7.0f} per second, p50 {p50:.2f} ms, p99 {p99:.2f} ms"
            )
    return results


def _compare(results: dict[str, list[LoadResult]]) -> dict[str, float]:
    def median(figure: Callable[[LoadResult], float], name: str) -> float:
        return float(np.median([figure(result) for result in results[name]]))

    figures: dict[str, float] = {}
    for name in results:
        figures[f"api.{name}_rps"] = median(lambda result: result.rps, name)
        for share in (50, 99):
            figures[f"api.{name}_p{share}_ms"] = median(lambda result: result.percentile(share), name)  # noqa: B023
    # each round is measured within a minute, so that other load on the machine affects all servers
    pairs = list(zip(results["mlflow"], results["api"], strict=True))
    figures["api.rps_over_mlflow"] = float(np.median([api.rps / mlflow.rps for mlflow, api in pairs]))
    figures["api.mlflow_p99_over_api"] = float(
        np.median([mlflow.percentile(99) / api.percentile(99) for mlflow, api in pairs])
    )
    return figures

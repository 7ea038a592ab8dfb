"""Servers of the API benchmark: each is the real command in a separate process, with the same booster."""

from __future__ import annotations

import base64
import json
import math
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.error import URLError

import numpy as np

from api.consents.service import ConsentTerms, grant_consent
from api.kit.database import transaction
from api.ledger.store import open_ledger
from api.settings import load_settings
from features.store.vectors import Snapshot, VectorStore
from scoring import pack
from scoring.model import Calibration
from tests.api.conftest import register
from tests.benchmarks.api_load import RequestBuilder
from tests.benchmarks.train import rows_of_loans
from tests.training.datasets import boosted_trees
from training.fit import FitConfig
from training.package import Package, bundle_parts

ROOT: Final = Path(__file__).parents[2]
_AS_OF: Final = datetime.now(UTC).date() - timedelta(days=1)
_SERVE: Final = (
    "import sys; from sellerscore import main; sys.argv = ['sellerscore', 'serve', '--demo', '--port', '0']; main()"
)
_PURPOSE: Final = "credit_application"
_UNLIMITED: Final = 1_000_000_000
_TIMEOUT: Final = 120.0

Address = tuple[str, int]


@dataclass(frozen=True)
class Scale:
    """Size of the model and of the marketplace."""

    rows: int = 20_000
    trees: int = 300
    sellers: int = 2_000


@dataclass(frozen=True)
class BenchmarkData:
    """Data of all servers: the state folder, the booster in the format of MLflow, and the sellers' values."""

    home: Path
    flavour: Path
    names: tuple[str, ...]
    values: tuple[tuple[float | None, ...], ...]


def prepare(scale: Scale, folder: Path) -> BenchmarkData:
    """Train one booster, register its bundle, log it with the mlflow.lightgbm flavour, and store vectors of sellers."""
    import mlflow.lightgbm

    dataset = rows_of_loans(scale.rows)
    fitted = boosted_trees(dataset, FitConfig(), scale.trees)
    files = pack(bundle_parts(Package(dataset, fitted, Calibration(1.0, 0.0), {})))
    home = folder / "home"
    home.mkdir(mode=0o700)
    register(f"sqlite:///{home}/mlflow.db", files, folder / "registered")
    matrix = dataset.features.to_numpy()[: scale.sellers]
    values = tuple(tuple(None if np.isnan(value) else float(value) for value in row) for row in np.round(matrix, 4))
    snapshot = Snapshot(_AS_OF, "generated", dataset.catalogue, dict.fromkeys(dataset.tables, _AS_OF))
    VectorStore(home / "vectors.db").replace(snapshot, ((_seller(n), row) for n, row in enumerate(values)))
    mlflow.lightgbm.save_model(fitted.booster, str(folder / "flavour"))
    return BenchmarkData(home, folder / "flavour", tuple(dataset.features), values)


def _seller(number: int) -> str:
    return f"S-{number:06}"


@contextmanager
def sellerscore(data: BenchmarkData, log: Path, database_url: str | None = None) -> Iterator[Address]:
    """Run `sellerscore serve` with default settings, except for the rate limit, and yield its address."""
    limit = {"SELLERSCORE_RATE_LIMIT_CALLS": str(_UNLIMITED)}
    database = {} if database_url is None else {"SELLERSCORE_DATABASE_URL": database_url}
    environment = {**_environment(), "SELLERSCORE_HOME": str(data.home), **limit, **database}
    environment.pop("MLFLOW_TRACKING_URI", None)
    with _running([sys.executable, "-c", _SERVE], log, environment) as process:
        address = _read_address(process, log)
        _wait_until_ready(address, "/health/ready", process, log)
        _consent(data, database_url)
        yield address


@contextmanager
def mlflow_serve(data: BenchmarkData, log: Path) -> Iterator[Address]:
    """Run `mlflow models serve` with default settings and yield its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    serve = [sys.executable, "-m", "mlflow", "models", "serve", "--env-manager", "local", "-p", str(port)]
    with _running([*serve, "-m", str(data.flavour)], log, _environment(), pipe_output=False) as process:
        _wait_until_ready(("127.0.0.1", port), "/ping", process, log)
        yield "127.0.0.1", port


def score_requests(data: BenchmarkData, address: Address, credentials: Path, run: str) -> RequestBuilder:
    """Return the builder of score requests: each has the next seller and a new idempotency key."""
    token = _token(address, credentials)
    bodies = [
        json.dumps({"seller_id": _seller(number), "purpose": _PURPOSE}).encode() for number in range(len(data.values))
    ]
    head = (
        b"POST /v1/scores HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %b\r\nContent-Type: application/json\r\n"
        b"Idempotency-Key: %b-%%d\r\nContent-Length: %%d\r\n\r\n" % (token.encode(), run.encode())
    )

    def build_request(number: int) -> bytes:
        body = bodies[number % len(bodies)]
        return head % (number, len(body)) + body

    return build_request


def prediction_requests(data: BenchmarkData) -> RequestBuilder:
    """Return the builder of prediction requests with one row each, as in MLflow's documentation; missing is NaN.

    No signature is logged: checking one takes MLflow time, and without one MLflow accepts no null.
    """
    requests = []
    for row in data.values:
        values = [math.nan if value is None else value for value in row]
        body = json.dumps({"dataframe_split": {"columns": data.names, "data": [values]}}).encode()
        head = b"POST /invocations HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d"
        requests.append(head % len(body) + b"\r\n\r\n" + body)
    return lambda number: requests[number % len(requests)]


def _consent(data: BenchmarkData, database_url: str | None) -> None:
    """Record each seller's consent for the demo bank."""
    settings = load_settings(home=data.home, database_url=database_url)
    bank_id = settings.demo_bank_path.read_text(encoding="utf-8").split()[2]
    engine, ledger = open_ledger(settings)
    try:
        with transaction(engine, writes=True) as connection:
            for number in range(len(data.values)):
                terms = ConsentTerms(_seller(number), bank_id, _PURPOSE, timedelta(days=30))
                grant_consent(connection, ledger, terms, by="benchmark")
    finally:
        engine.dispose()


def _token(address: Address, credentials: Path) -> str:
    fields = credentials.read_text(encoding="utf-8").split()
    basic = base64.b64encode(f"{fields[2]}:{fields[4]}".encode()).decode()
    request = urllib.request.Request(
        f"http://{address[0]}:{address[1]}/oauth/token",
        b"grant_type=client_credentials",
        {"Authorization": f"Basic {basic}", "Content-Type": "application/x-www-form-urlencoded"},
    )
    with urllib.request.urlopen(request, timeout=_TIMEOUT) as response:
        return str(json.load(response)["access_token"])


def _environment() -> dict[str, str]:
    # mlflow's command searches PATH for uvicorn
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


@contextmanager
def _running(
    command: list[str], log: Path, environment: dict[str, str], *, pipe_output: bool = True
) -> Iterator[subprocess.Popen[str]]:
    with log.open("w") as file:
        # mlflow's server logs each call to standard output and blocks if the pipe is full
        out = subprocess.PIPE if pipe_output else file
        process = subprocess.Popen(command, stdout=out, stderr=file, text=True, env=environment, start_new_session=True)
        try:
            yield process
        finally:
            # mlflow's command starts the server as a child
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            process.communicate(timeout=_TIMEOUT)


def _read_address(process: subprocess.Popen[str], log: Path) -> Address:
    assert process.stdout is not None
    match = re.search(r"http://([^ :]+):(\d+)", process.stdout.readline() + process.stdout.readline())
    if match is None:
        raise RuntimeError(f"The server did not start. Its log: {log.read_text()}")
    return match[1], int(match[2])


def _wait_until_ready(address: Address, path: str, process: subprocess.Popen[Any], log: Path) -> None:
    until = time.monotonic() + _TIMEOUT
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://{address[0]}:{address[1]}{path}", timeout=_TIMEOUT):
                return
        except (URLError, ConnectionError):
            time.sleep(0.1)
    raise RuntimeError(f"The server did not start. Its log: {log.read_text()}")

"""One seller page under 20 connections: rendered from the ledger each time, over HTTP on loopback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from itertools import cycle
from pathlib import Path
from typing import Final
from urllib.parse import urlencode, urlsplit

from tests.world import make_world

CONNECTIONS: Final = 20
PAGES: Final = ("/seller", "/seller/reasons", "/seller/improve", "/seller/products", "/seller/consents", "/seller/data")
_ROUNDS: Final = 60
_WARM: Final = 6


def run() -> dict[str, float]:
    """Return the 95th percentile over all pages, that of each, and what the heaviest weighs with all that it loads."""
    with tempfile.TemporaryDirectory() as folder:
        home = make_world(Path(folder)).home
        process = subprocess.Popen(
            [sys.executable, "-m", "sellerscore", "serve", "--demo", "--port", "0"],
            env={**os.environ, "SELLERSCORE_HOME": str(home), "SELLERSCORE_RATE_LIMIT_CALLS": "1000000"},
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            return _measured(_link_of(process))
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(30)


def _link_of(process: subprocess.Popen[str]) -> str:
    for line in process.stdout or ():
        if "/seller/login/" in line:
            return line.strip()
    raise RuntimeError("the service printed no link to the pages")


def _measured(link: str) -> dict[str, float]:
    host, cookie = urlsplit(link).netloc, _logged_in(link)
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        took = [each for found in pool.map(lambda _: _looked(host, cookie), range(CONNECTIONS)) for each in found]
    figures = {"pages.p95_ms": _p95([each for _, each in took])}
    for path in PAGES:
        name = path.removeprefix("/seller").removeprefix("/") or "overview"
        figures[f"pages.{name}_p95_ms"] = _p95([each for at, each in took if at == path])
    figures["pages.heaviest_kb"] = max(_weight(host, cookie, path) for path in PAGES) / 1000
    return figures


def _looked(host: str, cookie: str) -> list[tuple[str, float]]:
    connection, took = HTTPConnection(host), []
    for number, path in zip(range(_ROUNDS), cycle(PAGES), strict=False):
        began = time.perf_counter()
        _read(connection, path, cookie)
        if number >= _WARM:
            took.append((path, 1000 * (time.perf_counter() - began)))
    connection.close()
    return took


def _read(connection: HTTPConnection, path: str, cookie: str) -> bytes:
    connection.request("GET", path, headers={"Cookie": cookie, "Accept-Language": "en"})
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 200:
        raise RuntimeError(f"{path} was answered with {answer.status}")
    return body


def _weight(host: str, cookie: str, path: str) -> int:
    connection = HTTPConnection(host)
    body = _read(connection, path, cookie)
    loaded = {part.split('"')[0] for part in body.decode().split('="/seller/static')[1:]}
    weight = len(body) + sum(len(_read(connection, "/seller/static" + each, cookie)) for each in loaded)
    connection.close()
    return weight


def _logged_in(link: str) -> str:
    place = urlsplit(link)
    connection = HTTPConnection(place.netloc)
    form = urlencode({"link_token": place.path.rpartition("/")[2]})
    connection.request("POST", "/seller/login", form, {"Content-Type": "application/x-www-form-urlencoded"})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return (answer.getheader("Set-Cookie") or "").split(";")[0]


def _p95(values: list[float]) -> float:
    return sorted(values)[int(0.95 * len(values))]

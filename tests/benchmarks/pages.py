"""A seller's pages under 20 connections, over HTTP on loopback; the seller looks again and again at the same score.

The caller is that of the API's measurement, lean enough not to be what is measured. What a page says of a score is
made as text once, so the first look at each page, which makes it, is told beside.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from http.client import HTTPConnection
from pathlib import Path
from typing import Final
from urllib.parse import urlencode, urlsplit

from tests.benchmarks.api_load import Load, call
from tests.benchmarks.features import Target
from tests.world import make_world

PAGES: Final = ("/seller", "/seller/reasons", "/seller/improve", "/seller/products", "/seller/consents", "/seller/data")
TARGETS: Final = {"pages.p95_ms": Target(30.0), "pages.heaviest_kb": Target(100.0)}
_ALL: Final = Load(connections=20, seconds=10.0)
_EACH: Final = Load(connections=20, seconds=3.0, warm_up=1.0)


def run() -> dict[str, float]:
    """Return the 95th percentile over all pages, that of each, the longest first look, and what the heaviest weighs."""
    with tempfile.TemporaryDirectory() as folder:
        home = make_world(Path(folder)).home
        process = subprocess.Popen(
            [sys.executable, "-m", "sellerscore", "serve", "--demo", "--port", "0"],
            env={**os.environ, "SELLERSCORE_HOME": str(home), "SELLERSCORE_RATE_LIMIT_CALLS": "1000000"},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            figures = _measured(_link_of(process))
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(30)
    for name, target in TARGETS.items():
        verdict = "met" if target.met(figures[name]) else "MISSED"
        print(f"{name:<43}  {figures[name]:>8.4g}  {verdict}: {target}", flush=True)
    return figures


def _link_of(process: subprocess.Popen[str]) -> str:
    for line in process.stdout or ():
        if "/seller/login/" in line:
            return line.strip()
    raise RuntimeError("the service printed no link to the pages")


def _measured(link: str) -> dict[str, float]:
    host, cookie = urlsplit(link).netloc, _logged_in(link)
    first = max(_first_look(host, cookie, path) for path in PAGES)
    name, _, port = host.partition(":")
    asked = {path: _request(host, cookie, path) for path in PAGES}
    together = list(asked.values())
    found = call((name, int(port)), lambda number: together[number % len(together)], _ALL)
    figures = {"pages.p95_ms": found.percentile(95), "pages.median_ms": found.percentile(50), "pages.rps": found.rps}
    for path, request in asked.items():
        page = path.removeprefix("/seller").removeprefix("/") or "overview"
        of_page = call((name, int(port)), lambda _, request=request: request, _EACH)
        figures[f"pages.{page}_p95_ms"] = of_page.percentile(95)
    figures["pages.longest_first_look_ms"] = first
    figures["pages.heaviest_kb"] = max(_weight(host, cookie, path) for path in PAGES) / 1000
    return figures


def _request(host: str, cookie: str, path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\nAccept-Language: en\r\n\r\n".encode()


def _first_look(host: str, cookie: str, path: str) -> float:
    connection, began = HTTPConnection(host), time.perf_counter()
    _read(connection, path, cookie)
    connection.close()
    return 1000 * (time.perf_counter() - began)


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

"""Response times of the seller pages with 20 connections, over HTTP on loopback; all requests are for the same score.

The client is the one of the API benchmark. The service renders the text of a score once, so the first request of each
page takes longer and has a figure of its own.
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

from tests.benchmarks.api_load import Load, send_load
from tests.benchmarks.figures import Target, print_figures
from tests.world import make_world

PAGES: Final = ("/seller", "/seller/reasons", "/seller/improve", "/seller/products", "/seller/consents", "/seller/data")
TARGETS: Final = {"pages.p95_ms": Target(30.0), "pages.heaviest_kb": Target(100.0)}
_ALL: Final = Load(connections=20, seconds=10.0)
_ONE_PAGE: Final = Load(connections=20, seconds=3.0, warm_up=1.0)


def run() -> dict[str, float]:
    """Return the 95th percentile of all pages and of each page, the longest first request and the largest page size."""
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
            figures = _measure(_read_link(process))
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(30)
    print_figures(figures, TARGETS)
    return figures


def _read_link(process: subprocess.Popen[str]) -> str:
    for line in process.stdout or ():
        if "/seller/login/" in line:
            return line.strip()
    raise RuntimeError("The service printed no link to the seller pages.")


def _measure(link: str) -> dict[str, float]:
    host, cookie = urlsplit(link).netloc, _log_in(link)
    first = max(_first_request_ms(host, cookie, path) for path in PAGES)
    name, _, port = host.partition(":")
    requests = {path: _request(host, cookie, path) for path in PAGES}
    mixed = list(requests.values())
    all_pages = send_load((name, int(port)), lambda number: mixed[number % len(mixed)], _ALL)
    figures = {
        "pages.p95_ms": all_pages.percentile(95),
        "pages.median_ms": all_pages.percentile(50),
        "pages.rps": all_pages.rps,
    }
    for path, request in requests.items():
        page = path.removeprefix("/seller").removeprefix("/") or "overview"
        of_page = send_load((name, int(port)), lambda _, request=request: request, _ONE_PAGE)
        figures[f"pages.{page}_p95_ms"] = of_page.percentile(95)
    figures["pages.longest_first_look_ms"] = first
    figures["pages.heaviest_kb"] = max(_page_bytes(host, cookie, path) for path in PAGES) / 1000
    return figures


def _request(host: str, cookie: str, path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\nAccept-Language: en\r\n\r\n".encode()


def _first_request_ms(host: str, cookie: str, path: str) -> float:
    connection, started = HTTPConnection(host), time.perf_counter()
    _read(connection, path, cookie)
    connection.close()
    return 1000 * (time.perf_counter() - started)


def _read(connection: HTTPConnection, path: str, cookie: str) -> bytes:
    connection.request("GET", path, headers={"Cookie": cookie, "Accept-Language": "en"})
    response = connection.getresponse()
    body = response.read()
    if response.status != 200:
        raise RuntimeError(f"{path} returned status {response.status}. Expected 200.")
    return body


def _page_bytes(host: str, cookie: str, path: str) -> int:
    connection = HTTPConnection(host)
    body = _read(connection, path, cookie)
    files = {part.split('"')[0] for part in body.decode().split('="/seller/static')[1:]}
    size = len(body) + sum(len(_read(connection, "/seller/static" + file, cookie)) for file in files)
    connection.close()
    return size


def _log_in(link: str) -> str:
    url = urlsplit(link)
    connection = HTTPConnection(url.netloc)
    form = urlencode({"link_token": url.path.rpartition("/")[2]})
    connection.request("POST", "/seller/login", form, {"Content-Type": "application/x-www-form-urlencoded"})
    response = connection.getresponse()
    response.read()
    connection.close()
    return (response.getheader("Set-Cookie") or "").split(";")[0]

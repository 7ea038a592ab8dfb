"""The champion under a real `mlflow models serve`: what it answers over HTTP is what `sellerscore score` says."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from features.catalogue import CATALOGUE
from features.store.vectors import VectorStore
from tests.command import CLOCK, done
from tests.world import World
from training.registry import MODEL_NAME, Registry


def test_a_row_over_http_is_assessed_as_by_the_command(world: World, tmp_path: Path) -> None:
    world = world.copy(tmp_path)
    found = json.loads(done(world.home, "score", "--output", "json"))
    seller, expected = found["seller_id"], found["assessment"]
    stored = VectorStore(world.home / "vectors.db").latest(seller)
    assert stored is not None
    covers = {name: day.isoformat() for name, day in stored.snapshot.covers_through.items()}
    values = dict(zip((feature.name for feature in CATALOGUE), stored.values, strict=True))
    row = {
        "seller_id": seller,
        "as_of": stored.snapshot.as_of.isoformat(),
        "requested_on": CLOCK.date().isoformat(),
        "covers_through": json.dumps(covers),
        **values,
    }
    with _served(world.home, tmp_path / "log") as address:
        answer = _post(f"{address}/invocations", {"dataframe_records": [row, row | {"seller_id": "another"}]})
        assert [each["seller_id"] for each in answer["predictions"]] == [seller, "another"]
        assert [json.loads(each["assessment"]) for each in answer["predictions"]] == [expected, expected]
        with pytest.raises(urllib.error.HTTPError, match="400"):
            _post(f"{address}/invocations", {"dataframe_records": [{"seller_id": seller}]})


@contextmanager
def _served(home: Path, log: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["models", "serve", "--model-uri", f"models:/{MODEL_NAME}@champion", "--env-manager", "local"]
    uri = Registry.on_sqlite(home).uri
    folder = Path(sys.executable).parent
    with log.open("w") as expected:
        server = subprocess.Popen(
            [folder / "mlflow", *words, "--host", "127.0.0.1", "--port", str(port)],
            env={**os.environ, "MLFLOW_TRACKING_URI": uri, "PATH": f"{folder}:{os.environ['PATH']}"},
            stdout=expected,
            stderr=expected,
            start_new_session=True,
        )
        try:
            _wait(f"http://127.0.0.1:{port}/ping", server, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            os.killpg(server.pid, 15)
            server.wait(30)


def _wait(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(240):
        assert server.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(address, timeout=2):
                return
        except OSError:
            time.sleep(0.5)
    raise AssertionError(log.read_text())


def _post(address: str, content: object) -> dict[str, list[dict[str, str]]]:
    request = urllib.request.Request(address, json.dumps(content).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as response:
        answer: dict[str, list[dict[str, str]]] = json.load(response)
        return answer

"""The commands `serve`, `score` and `score-portfolio`: points that sum, and errors of one sentence."""

from __future__ import annotations

import csv
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from api.cli.main import app
from api.errors import OutputError, SellerUnknown
from api.scores.portfolio import write_portfolio
from api.settings import Settings
from features.errors import StoreError
from features.store.vectors import VectorBlock, VectorStore
from scoring import Bundle, VectorError
from tests import command
from tests.api.conftest import (
    NEWCOMER,
    NOW,
    SELLERS,
    SNAPSHOT,
    Opener,
    fill,
    other_catalogue,
    snapshot_of,
    token_for,
)
from tests.api.started import demo_credentials

SERVE = "import sys; from sellerscore import main; sys.argv = ['sellerscore', *sys.argv[1:]]; main()"


@pytest.fixture
def run(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    """Run a command over the settings' folder; what it raises is raised."""
    monkeypatch.setenv("SELLERSCORE_HOME", str(settings.home))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", settings.mlflow_uri)
    return lambda *arguments: CliRunner().invoke(app, list(arguments), catch_exceptions=False)


def read_rows(out: Path) -> list[dict[str, Any]]:
    if out.suffix == ".csv":
        return list(csv.DictReader(out.read_text(encoding="utf-8").splitlines()))
    return list(pq.read_table(out).to_pylist())


def test_a_score_is_printed_and_not_stored(run, settings: Settings) -> None:
    printed = run("score", SELLERS[0]).stdout
    preview = json.loads(run("score", SELLERS[0], "--output", "json").stdout)
    score, explanation = preview["assessment"]["score"], preview["assessment"]["explanation"]
    assert f"Score {score} " in printed
    assert preview["notice"] in printed
    assert "For internal use: not signed" in preview["notice"]
    assert explanation["base_points"] + sum(item["points"] for item in explanation["contributions"]) == score
    assert preview["changes"] is None
    assert json.loads(run("score", "--output", "json").stdout) == preview, (
        "the default is the first seller with a score"
    )
    assert not (settings.home / "sellerscore.db").exists()


def test_a_score_is_compared_with_the_previous_snapshot(run, settings: Settings) -> None:
    store = VectorStore(settings.vectors_path)
    before = store.latest(SELLERS[0])
    assert before is not None
    day = SNAPSHOT.as_of + timedelta(days=28)
    later = replace(SNAPSHOT, as_of=day, covers_through=dict.fromkeys(("orders", "refunds"), day))
    store.replace(later, [(before.seller_id, (before.values[0], 0.01, 0.02, *before.values[3:]))])
    preview = json.loads(run("score", SELLERS[0], "--output", "json").stdout)
    changed = preview["changes"]
    assert (changed["since"], changed["by_model"]) == ("2026-01-31", 0)
    assert changed["now"] == preview["assessment"]["score"]
    assert changed["before"] + sum(feature["points"] for feature in changed["features"]) == changed["now"]
    printed = run("score", SELLERS[0]).stdout
    assert f"By today's model, since 2026-01-31: {changed['before']} then, {changed['now']} now" in printed
    assert f"{changed['features'][0]['points']:+d}  {changed['features'][0]['label']}" in printed


def test_the_chart_of_a_score_is_written_to_a_file(run, tmp_path: Path) -> None:
    out = tmp_path / "waterfall.svg"
    score = json.loads(run("score", SELLERS[0], "--svg", str(out), "--output", "json").stdout)["assessment"]["score"]
    assert f"score {score}, band" in out.read_text(encoding="utf-8")
    with pytest.raises(OutputError, match=r"cannot be written to .*Use another file"):
        run("score", SELLERS[0], "--svg", str(tmp_path / "nowhere" / "waterfall.svg"))


def test_advice_has_a_target_band_of_the_model(run) -> None:
    with pytest.raises(VectorError, match="Unknown band 'Z'; the bands of the bundle are A, B, C, D, E"):
        run("score", SELLERS[0], "--to-band", "Z")
    preview = json.loads(run("score", SELLERS[0], "--to-band", "E", "--output", "json").stdout)
    assert preview["advice"]["verdict"] == "reached"


def test_an_unknown_seller_and_an_empty_snapshot_are_named(run, settings: Settings) -> None:
    for unknown in ("S-nobody", ""):
        with pytest.raises(SellerUnknown, match=f'seller "{unknown}".*Check the seller_id'):
            run("score", unknown)
    VectorStore(settings.vectors_path).replace(other_catalogue(), [])
    with pytest.raises(SellerUnknown, match="has no sellers"):
        run("score")


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_portfolio_has_every_seller_and_every_row_sums(run, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"portfolio{suffix}"
    printed = run("score-portfolio", "--out", str(out)).stdout
    rows = read_rows(out)
    assert {row["seller_id"] for row in rows} == {*SELLERS, NEWCOMER}
    for row in rows:
        if row["outcome"] == "scored":
            points = sum(int(value) for name, value in row.items() if name.startswith("points_"))
            assert int(row["base_points"]) + points == int(row["score"])
        else:
            assert row["score"] in {None, ""}
    assert "60 of 60 scored rows" in printed
    assert f"Data through {SNAPSHOT.as_of}. Sellers whose data end earlier: 0" in printed
    assert {str(row["as_of"]) for row in rows} == {str(SNAPSHOT.as_of)}
    assert [path.name for path in tmp_path.iterdir() if path.name != "home"] == [out.name]


def test_a_portfolio_agrees_with_each_score(run, tmp_path: Path) -> None:
    out = tmp_path / "portfolio.parquet"
    report = json.loads(run("score-portfolio", "--out", str(out), "--output", "json").stdout)
    assert report["outcomes"] == {"insufficient_history": 1, "scored": 60}
    assert report["sellers"] == sum(report["outcomes"].values())
    assert report["sellers_by_as_of"] == {str(SNAPSHOT.as_of): 61}
    assert {row["as_of"] for row in read_rows(out)} == {SNAPSHOT.as_of}
    row = next(row for row in read_rows(out) if row["seller_id"] == SELLERS[7])
    assessment = json.loads(run("score", SELLERS[7], "--output", "json").stdout)["assessment"]
    for name in ("score", "band", "probability_of_default"):
        assert row[name] == assessment[name]
    assert row["reasons"] == ";".join(reason["code"] for reason in assessment["explanation"]["reasons"])


@pytest.mark.parametrize("arguments", [("score",), ("score", "S-1"), ("score-portfolio", "--out", "all.csv")])
def test_without_vectors_nothing_is_written(
    run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("SELLERSCORE_HOME", str(folder))
    with pytest.raises(StoreError, match="sellerscore features"):
        run(*arguments)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("name", ["portfolio.xlsx", "portfolio", "not-there/portfolio.csv", "folder.csv"])
def test_an_output_file_is_checked_before_anything_is_read(
    run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / "folder.csv").mkdir()
    monkeypatch.setenv("SELLERSCORE_HOME", str(tmp_path / "empty"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    with pytest.raises(OutputError):
        run("score-portfolio", "--out", str(tmp_path / name))


def test_a_portfolio_that_fails_leaves_the_former_file(bundle: Bundle, tmp_path: Path) -> None:
    out = tmp_path / "portfolio.csv"
    out.write_text("before")
    good = VectorBlock(SNAPSHOT, SELLERS[:2], np.array([(400.0, *(0.5,) * 14)] * 2))
    blocks = iter([*[good] * 3, replace(good, snapshot=other_catalogue())])
    with pytest.raises(VectorError):
        write_portfolio(bundle, blocks, NOW.date(), out, lambda _: None)
    assert out.read_text() == "before"
    assert list(tmp_path.iterdir()) == [out]


@contextmanager
def serving(home: Path, log: Path) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """Run the real command, and yield it with the lines that it printed until it could be called."""
    command = [sys.executable, "-c", SERVE, "serve", "--demo", "--port", "0"]
    environment = {"SELLERSCORE_HOME": str(home), "PATH": "/usr/bin:/bin", "PYTHONUNBUFFERED": "1", "COLUMNS": "80"}
    with log.open("w") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment)
        try:
            assert process.stdout is not None
            yield process, [process.stdout.readline() for _ in range(3)]
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


def require_closed(home: Path, process: subprocess.Popen[str], sent: signal.Signals, code: int) -> None:
    """Stop a server and check that it closed what it opened."""
    assert (home / "sellerscore.db-wal").exists()
    process.send_signal(sent)
    assert process.wait(timeout=20) == code
    # the last connection that is closed takes it away
    assert not (home / "sellerscore.db-wal").exists()


@pytest.fixture
def served(today: date, settings: Settings, open_client: Opener) -> Settings:
    """Settings of a service that started once, so that the real process needs no registry."""
    fill(settings.home, snapshot_of(today))
    with open_client(settings):
        return settings


def test_a_server_scores_with_the_command_that_it_prints(served: Settings, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with serving(served.home, log) as (process, lines):
        assert re.search(r"http://127\.0\.0\.1:\d+ ", lines[0])
        if shutil.which("curl"):
            printed = subprocess.run(["bash", "-c", lines[2]], capture_output=True, text=True, check=True).stdout
            assert json.loads(printed)["assessment"]["outcome"] == "scored"
        with httpx.Client(base_url=re.search(r"http://[^ ]+", lines[0]).group()) as caller:
            token = token_for(caller, served)
            body = {"seller_id": NEWCOMER, "purpose": "account_review"}
            score = caller.post("/v1/scores", json=body, headers={"Authorization": f"Bearer {token}"})
            assert score.status_code == 201
            large = caller.post("/v1/scores", content=b"x" * 70_000)
            assert (large.status_code, large.headers["content-type"]) == (413, "application/problem+json")
        require_closed(served.home, process, signal.SIGINT, 130)
    text = log.read_text()
    assert "POST /v1/scores 201" in text
    for secret in (token, demo_credentials(served)[1], NEWCOMER, "Traceback"):
        assert secret not in text


@pytest.mark.skipif(shutil.which("curl") is None, reason="the README's bank chapter is written for curl")
def test_the_bank_chapter_of_the_readme_verifies_a_receipt(served: Settings, tmp_path: Path) -> None:
    root = Path(__file__).parents[3]
    chapter = (root / "README.md").read_text(encoding="utf-8").split("## From a bank")[1]
    script = re.search(r"```sh\n(.*?)```", chapter, re.DOTALL).group(1)
    with serving(served.home, tmp_path / "log") as (process, lines):
        address = re.search(r"http://[^ ]+", lines[0]).group()
        replacements = {
            "http://127.0.0.1:8000": address,
            "var/demo-bank.netrc": str(served.home / "demo-bank.netrc"),
            re.search(r"S-\d{6}", script).group(): SELLERS[0],
            ".venv/bin/python docs": f"{sys.executable} {root / 'docs'}",
        }
        for text, replacement in replacements.items():
            assert text in script
            script = script.replace(text, replacement)
        printed, scores = [], []
        for _ in range(2):
            done = subprocess.run(["bash", "-ec", script], check=True, cwd=tmp_path, capture_output=True, text=True)
            printed.append(done.stdout.strip())
            scores.append((tmp_path / "score.json").read_bytes())
        require_closed(served.home, process, signal.SIGTERM, 143)
    assert "Traceback" not in (tmp_path / "log").read_text()
    assert printed == [re.search(r"It prints `([^`]+)`", chapter).group(1)] * 2
    assert scores[0] == scores[1]
    assert json.loads(scores[0])["assessment"]["outcome"] == "scored"


def rejected(home: Path, *arguments: str) -> str:
    done = command.run(home, *arguments)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr.strip().splitlines()[-1]


def test_a_port_in_use_is_one_sentence(served: Settings) -> None:
    with socket.socket() as used:
        used.bind(("127.0.0.1", 0))
        used.listen()
        port = used.getsockname()[1]
        assert f"Cannot listen on 127.0.0.1:{port}" in rejected(served.home, "serve", "--port", str(port))


@pytest.mark.parametrize("arguments", [("serve", "--port", "0"), ("score",), ("score-portfolio", "--out", "all.csv")])
def test_a_home_that_is_a_file_is_one_sentence(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    (tmp_path / "home").touch()
    assert rejected(tmp_path / "home", *arguments).startswith("sellerscore: ")


def test_a_missing_model_is_one_sentence(tmp_path: Path) -> None:
    fill(tmp_path)
    assert "sellerscore train" in rejected(tmp_path, "serve", "--port", "0")

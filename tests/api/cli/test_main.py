"""The commands, run as a person runs them: one sentence where they refuse, and figures that add up."""

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
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from api.cli.main import app
from api.errors import OutputError, SellerUnknown
from api.scores.export import write_portfolio
from api.settings import Settings
from features.errors import StoreError
from features.store.vectors import StoredVector, VectorStore
from scoring import Bundle, VectorError
from tests import command
from tests.api.conftest import NEWCOMER, NOW, SELLERS, SNAPSHOT, Opener, fill, other_catalogue, snapshot_of

SERVE = "import sys; from sellerscore import main; sys.argv = ['sellerscore', *sys.argv[1:]]; main()"


@pytest.fixture
def run(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    """Run a command over the settings' folder; what it raises is raised."""
    monkeypatch.setenv("SELLERSCORE_HOME", str(settings.home))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", settings.mlflow_uri)
    return lambda *arguments: CliRunner().invoke(app, list(arguments), catch_exceptions=False)


def _rows(out: Path) -> list[dict[str, Any]]:
    if out.suffix == ".csv":
        return list(csv.DictReader(out.read_text(encoding="utf-8").splitlines()))
    return list(pq.read_table(out).to_pylist())


def test_score_prints_a_waterfall_that_is_internal(run) -> None:
    printed = run("score", SELLERS[0]).stdout
    assert "Score" in printed
    assert "For internal use: not signed" in printed


def test_score_says_what_changed_since_the_snapshot_before(run, settings: Settings) -> None:
    assert json.loads(run("score", SELLERS[0], "--output", "json").stdout)["changes"] is None
    store = VectorStore(settings.vectors_path)
    was = store.latest(SELLERS[0])
    assert was is not None
    later = replace(SNAPSHOT, as_of=SNAPSHOT.as_of + timedelta(days=28))
    moved = (was.values[0], 0.01, 0.02, *was.values[3:])
    store.replace(
        replace(later, covers_through=dict.fromkeys(("orders", "refunds"), later.as_of)), [(was.seller_id, moved)]
    )
    answer = json.loads(run("score", SELLERS[0], "--output", "json").stdout)
    changed = answer["changes"]
    assert (changed["since"], changed["by_model"]) == ("2026-01-31", 0)
    assert changed["now"] == answer["assessment"]["score"]
    assert changed["before"] + sum(each["points"] for each in changed["features"]) == changed["now"]
    printed = run("score", SELLERS[0]).stdout
    assert f"By today's model, since 2026-01-31: {changed['before']} then, {changed['now']} now" in printed
    assert f"{changed['features'][0]['points']:+d}  {changed['features'][0]['label']}" in printed


def test_score_draws_the_waterfall_into_a_file(run, tmp_path: Path) -> None:
    out = tmp_path / "waterfall.svg"
    score = json.loads(run("score", SELLERS[0], "--svg", str(out), "--output", "json").stdout)["assessment"]["score"]
    assert f"score {score}, band" in out.read_text(encoding="utf-8")
    with pytest.raises(OutputError, match=r"cannot be written to .*Use another file"):
        run("score", SELLERS[0], "--svg", str(tmp_path / "nowhere" / "waterfall.svg"))


def test_advice_aims_at_a_band_that_there_is(run) -> None:
    with pytest.raises(VectorError, match="Unknown band 'Z'; the bands of the bundle are A, B, C, D, E"):
        run("score", SELLERS[0], "--to-band", "Z")
    assert (
        json.loads(run("score", SELLERS[0], "--to-band", "E", "--output", "json").stdout)["advice"]["verdict"]
        == "reached"
    )
    printed = run("score", SELLERS[0], "--to-band", "E").stdout
    assert "Band B is reached. It is at least as good as the requested band E." in printed


def test_score_as_json_is_the_assessment_and_stores_nothing(run, settings: Settings) -> None:
    answer = json.loads(run("score", SELLERS[0], "--output", "json").stdout)
    explanation = answer["assessment"]["explanation"]
    points = sum(item["points"] for item in explanation["contributions"])
    assert explanation["base_points"] + points == answer["assessment"]["score"]
    assert "not signed" in answer["notice"]
    assert not (settings.home / "sellerscore.db").exists()


def test_score_of_an_unknown_seller_or_without_vectors_is_refused(run, settings: Settings) -> None:
    for unknown in ("S-nobody", ""):
        with pytest.raises(SellerUnknown, match=f'seller "{unknown}".*Check the seller_id'):
            run("score", unknown)
    for file in settings.home.glob("vectors.db*"):
        file.unlink()
    with pytest.raises(StoreError, match="sellerscore features"):
        run("score", SELLERS[0])


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_portfolio_holds_every_seller_and_every_row_sums(run, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"portfolio{suffix}"
    printed = run("score-portfolio", "--out", str(out)).stdout
    rows = _rows(out)
    assert {row["seller_id"] for row in rows} == {*SELLERS, NEWCOMER}
    for row in rows:
        if row["outcome"] == "scored":
            points = sum(int(value) for name, value in row.items() if name.startswith("points_"))
            assert int(row["base_points"]) + points == int(row["score"])
        else:
            assert row["score"] in {None, ""}
    assert "60 of 60 scored rows" in printed
    assert [path.name for path in tmp_path.iterdir() if path.name != "home"] == [out.name]


def test_a_portfolio_agrees_with_each_score_alone(run, tmp_path: Path) -> None:
    out = tmp_path / "portfolio.parquet"
    report = json.loads(run("score-portfolio", "--out", str(out), "--output", "json").stdout)
    assert report["outcomes"] == {"insufficient_history": 1, "scored": 60}
    assert report["sellers"] == sum(report["outcomes"].values())
    row = next(row for row in pq.read_table(out).to_pylist() if row["seller_id"] == SELLERS[7])
    alone = json.loads(run("score", SELLERS[7], "--output", "json").stdout)["assessment"]
    assert (row["score"], row["band"]) == (alone["score"], alone["band"])
    assert row["probability_of_default"] == alone["probability_of_default"]
    assert row["reasons"] == ";".join(reason["code"] for reason in alone["explanation"]["reasons"])


def test_score_without_a_seller_shows_one_who_has_a_score(run, settings: Settings) -> None:
    assert json.loads(run("score", "--output", "json").stdout)["seller_id"] == SELLERS[0]
    VectorStore(settings.vectors_path).replace(other_catalogue(), [])
    with pytest.raises(SellerUnknown, match="has no sellers"):
        run("score")


@pytest.mark.parametrize("arguments", [("score",), ("score", "S-1"), ("score-portfolio", "--out", "all.csv")])
def test_what_is_refused_for_want_of_vectors_writes_nothing(
    run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    monkeypatch.setenv("SELLERSCORE_HOME", str(tmp_path / "empty"))
    with pytest.raises(StoreError, match="sellerscore features"):
        run(*arguments)
    assert list((tmp_path / "empty").iterdir()) == []


@pytest.mark.parametrize("name", ["portfolio.xlsx", "portfolio", "not-there/portfolio.csv", "folder.csv"])
def test_an_output_that_cannot_be_is_refused_before_anything_is_read(
    run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / "folder.csv").mkdir()
    monkeypatch.setenv("SELLERSCORE_HOME", str(tmp_path / "empty"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    with pytest.raises(OutputError):
        run("score-portfolio", "--out", str(tmp_path / name))


def test_a_portfolio_that_fails_midway_leaves_the_file_before(bundle: Bundle, tmp_path: Path) -> None:
    out = tmp_path / "portfolio.csv"
    out.write_text("before")
    good = StoredVector(SELLERS[0], SNAPSHOT, (400.0, *(0.5,) * 14))

    def stream() -> Iterator[StoredVector]:
        yield from [good] * 2_000
        yield StoredVector(SELLERS[1], other_catalogue(), good.values)

    with pytest.raises(VectorError):
        write_portfolio(bundle, stream(), NOW.date(), out, lambda _: None)
    assert out.read_text() == "before"
    assert list(tmp_path.iterdir()) == [out]


def _environment(home: Path) -> dict[str, str]:
    return {"SELLERSCORE_HOME": str(home), "PATH": "/usr/bin:/bin", "PYTHONUNBUFFERED": "1", "COLUMNS": "80"}


@contextmanager
def _serving(home: Path, log: Path) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """Run the real command, and yield it with the lines that it printed until it could be called."""
    command = [sys.executable, "-c", SERVE, "serve", "--demo", "--port", "0"]
    with log.open("w") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=_environment(home))
        try:
            assert process.stdout is not None
            yield process, [process.stdout.readline() for _ in range(3)]
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


def _require_closed(home: Path, process: subprocess.Popen[str], sent: signal.Signals, code: int) -> None:
    """Stop a server and check that it closed what it opened."""
    assert (home / "sellerscore.db-wal").exists()
    process.send_signal(sent)
    assert process.wait(timeout=20) == code
    # the last connection that is closed takes it away
    assert not (home / "sellerscore.db-wal").exists()


def _token(home: Path, address: str) -> str:
    words = (home / "demo-bank.netrc").read_text().split()
    answer = httpx.post(f"{address}/oauth/token", data={"grant_type": "client_credentials"}, auth=(words[2], words[4]))
    return str(answer.json()["access_token"])


@pytest.fixture
def served_home(today: date, settings: Settings, open_client: Opener) -> Path:
    """A folder that was served from once, so that the real process needs no registry, to a bank with consents."""
    fill(settings.home, snapshot_of(today))
    with open_client(settings):
        return settings.home


def test_a_real_server_scores_by_the_curl_that_it_prints(served_home: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with _serving(served_home, log) as (process, lines):
        assert re.search(r"http://127\.0\.0\.1:\d+ ", lines[0])
        if shutil.which("curl"):
            answer = subprocess.run(["bash", "-c", lines[2]], capture_output=True, text=True, check=True).stdout
            assert json.loads(answer)["assessment"]["outcome"] == "scored"
        address = re.search(r"http://[^ ]+", lines[0]).group()
        token = _token(served_home, address)
        body = {"seller_id": NEWCOMER, "purpose": "account_review"}
        made = httpx.post(f"{address}/v1/scores", json=body, headers={"Authorization": f"Bearer {token}"})
        assert made.status_code == 201
        large = httpx.post(f"{address}/v1/scores", content=b"x" * 70_000)
        assert (large.status_code, large.headers["content-type"]) == (413, "application/problem+json")
        _require_closed(served_home, process, signal.SIGINT, 130)
    written = log.read_text()
    assert "POST /v1/scores 201" in written
    assert token not in written
    assert (served_home / "demo-bank.netrc").read_text().split()[4] not in written
    assert NEWCOMER not in written
    assert "Traceback" not in written


@pytest.mark.skipif(shutil.which("curl") is None, reason="the README's bank chapter is written for curl")
def test_the_bank_chapter_of_the_readme_ends_in_a_verified_receipt(served_home: Path, tmp_path: Path) -> None:
    root = Path(__file__).parents[3]
    chapter = (root / "README.md").read_text(encoding="utf-8").split("## From a bank")[1]
    script = re.search(r"```sh\n(.*?)```", chapter, re.DOTALL).group(1)
    with _serving(served_home, tmp_path / "log") as (process, lines):
        address = re.search(r"http://[^ ]+", lines[0]).group()
        here = {
            "http://127.0.0.1:8000": address,
            "var/demo-bank.netrc": str(served_home / "demo-bank.netrc"),
            re.search(r"S-\d{6}", script).group(): SELLERS[0],
            ".venv/bin/python docs": f"{sys.executable} {root / 'docs'}",
        }
        for written, found in here.items():
            assert written in script
            script = script.replace(written, found)
        run_it = ["bash", "-ec", script]
        said, scores = [], []
        for _ in range(2):
            said.append(subprocess.run(run_it, check=True, cwd=tmp_path, capture_output=True, text=True).stdout.strip())
            scores.append((tmp_path / "score.json").read_bytes())
        _require_closed(served_home, process, signal.SIGTERM, 143)
    assert "Traceback" not in (tmp_path / "log").read_text()
    told = re.search(r"It prints `([^`]+)`", chapter).group(1)
    assert said == [told, told]
    assert scores[0] == scores[1]
    assert json.loads(scores[0])["assessment"]["outcome"] == "scored"


def _refused(home: Path, *arguments: str) -> str:
    done = command.run(home, *arguments)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr.strip().splitlines()[-1]


def test_a_port_in_use_is_one_sentence(served_home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"Cannot listen on 127.0.0.1:{port}" in _refused(served_home, "serve", "--port", str(port))


@pytest.mark.parametrize("arguments", [("serve", "--port", "0"), ("score",), ("score-portfolio", "--out", "all.csv")])
def test_a_home_that_is_a_file_is_one_sentence(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    (tmp_path / "home").touch()
    assert _refused(tmp_path / "home", *arguments).startswith("sellerscore: ")


def test_no_model_is_one_sentence(tmp_path: Path) -> None:
    fill(tmp_path)
    assert "sellerscore train" in _refused(tmp_path, "serve", "--port", "0")

"""The command `monitor` on a marketplace with a trained and served model."""

from __future__ import annotations

import json
import re
import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import time_machine
from typer.testing import CliRunner

import sellerscore
from api.kit.database import transaction
from api.ledger.store import open_ledger
from api.scores import repository as scores
from api.scores import shadow as shadows
from api.scores.export import export_scores
from api.scores.shadow import ShadowScore
from features.errors import StoreError
from features.ingest import open_store
from features.pipeline import accepted_rows
from tests.training.monitor.conftest import END, MIDNIGHTS, SECOND, Run, Served
from tests.world import World, shared_world
from training.config import DriftThresholds, MonitorConfig
from training.errors import ConfigError, MonitorError, RegistryError
from training.registry.connection import MONITORING, Registry, connected

pytestmark = pytest.mark.slow

THEN = "2024-11-20"
"""A day on which both midnights were scored and no loan after them was matured."""


@pytest.fixture
def world(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> World:
    """The world before any score was issued."""
    return shared_world(tmp_path_factory).copy(tmp_path)


@pytest.fixture
def mine(served: Served, tmp_path: Path) -> Served:
    """The served marketplace with a state of this test's own."""
    shutil.copytree(served.home, tmp_path / "home")
    return Served(tmp_path / "home", served.sellers, served.other)


@pytest.fixture(scope="module")
def then(served: Served) -> dict[str, Any]:
    """The result for the served marketplace on a past day."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SELLERSCORE_HOME", str(served.home))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        return json.loads(CliRunner().invoke(sellerscore.app, ["monitor", "--today", THEN, "--output", "json"]).stdout)


def run_json(run: Run, home: Path, *arguments: object) -> dict[str, Any]:
    return json.loads(run(home, "--output", "json", *arguments).stdout)


def study(found: dict[str, Any], name: str, model: int = 0) -> dict[str, Any]:
    return next(each for each in found["models"][model]["findings"] if each["name"] == name)


def expected_vintages(served: Served) -> dict[str, list[int]]:
    """Count loans that match a score of the champion, and bad ones, by month, in plain Python."""
    store = open_store(served.home / "operating")
    loans, due, paid = (accepted_rows(store, name) for name in ("loans", "instalments", "payments"))
    loans = loans[loans["disbursed_at"].between(*map(pd.Timestamp, ("2024-10-01", "2024-12-01")))]
    due = due[due["loan_id"].isin(loans["loan_id"])]
    late = {}
    for loan, parts in due.sort_values("due_on").groupby("loan_id"):
        payments = paid[paid["loan_id"] == loan]
        owed = 0.0
        for part in parts.itertuples():
            owed += part.amount
            limit = part.due_on + pd.Timedelta(days=90)
            if payments.loc[payments["paid_at"] < limit, "amount"].sum() < owed - 0.005:
                late.setdefault(loan, limit)
    first = served.settings.home / "champion.json"
    champion = json.loads(first.read_text())["digest"]
    scored = {
        (score.seller_id, score.as_of.date())
        for score in export_scores(served.settings)
        if score.model == champion and score.outcome == "scored"
    }
    counts = {f"{day:%Y-%m}": [0, 0] for day in MIDNIGHTS}
    for loan in loans.itertuples():
        day = loan.disbursed_at.date()
        # months of 30 and 31 days: on the last of October a score as of the first has expired
        met = [at for at in MIDNIGHTS if (loan.seller_id, at) in scored and 0 <= (day - at).days < 30]
        if met:
            end = loan.disbursed_at.normalize() + pd.DateOffset(months=12)
            counts[f"{met[-1]:%Y-%m}"][0] += 1
            counts[f"{met[-1]:%Y-%m}"][1] += loan.loan_id in late and late[loan.loan_id] <= end
    return counts


def test_vintages_equal_a_plain_count(run: Run, served: Served) -> None:
    result = run(served.home, "--output", "json", "--today", END)
    found = json.loads(result.stdout)
    assert found["nothing_scored"], "all scores are a year old"
    # so small a model may miss the defaults of a band; nothing else may be wrong
    assert all("Observed over expected defaults" in alarm for alarm in found["alarms"])
    assert result.exit_code == (1 if found["alarms"] else 3)
    rows = study(found, "vintages")["tables"]["Performance by vintage"]
    assert {row["vintage"]: [row["matured"], row["bad"]] for row in rows} == expected_vintages(served)
    assert sum(row["matured"] for row in rows) > 30
    assert all(row["state"] == "matured" for row in rows)
    champion, other = found["models"]
    assert (champion["version"], champion["in_use"]) == (1, True)
    assert (other["version"], other["bundle"], other["in_use"]) == (None, served.other, False)
    assert study(found, "answers")["figures"]["given"] == 2 * len(served.sellers), (
        "two requests for one midnight count once"
    )
    assert study(found, "answers", 1)["figures"]["given"] == SECOND
    ratios = [study(found, "calibration", model)["figures"]["observed_over_expected"] for model in (0, 1)]
    assert ratios[0] > ratios[1], "the second model expects more"


def test_a_past_day_gives_the_result_of_that_day(run: Run, served: Served, then: dict[str, Any]) -> None:
    assert then["models"][0]["in_use"]
    figures = study(then, "vintages")["figures"]
    assert figures["matured"] == 0
    assert figures["open"] > 10
    assert "is matured (90+ days" in study(then, "vintages")["said"]
    assert study(then, "drift")["figures"]["sellers"] > 50
    assert not then["nothing_scored"]
    assert then["freshness"]["figures"]["stale_tables"] == 0
    second = run_json(run, served.home, "--today", THEN)
    assert {**second, "run_ids": []} == {**then, "run_ids": []}
    before = run_json(run, served.home, "--today", "2024-09-01")
    assert before["models"] == []
    assert before["said"].startswith("There is no score as of 2024-09-01 or earlier")


def test_figures_and_report_are_logged_to_mlflow(served: Served, then: dict[str, Any]) -> None:
    found = then
    with connected(Registry.on_sqlite(served.home)) as client:
        runs = [client.get_run(each) for each in found["run_ids"]]
        experiment = client.get_experiment_by_name(MONITORING)
        artifacts = {file.path for file in client.list_artifacts(runs[0].info.run_id)}
    assert len(runs) == len(found["models"]) == 2
    first = runs[0].data
    assert runs[0].info.experiment_id == experiment.experiment_id
    assert first.tags["version"] == "1"
    assert first.tags["bundle"] == found["models"][0]["bundle"]
    assert first.tags["today"] == THEN
    assert "version" not in runs[1].data.tags
    assert first.metrics["drift/score_psi"] == pytest.approx(study(found, "drift")["figures"]["score_psi"])
    assert first.metrics["freshness/stale_tables"] == 0
    assert first.tags["not_measured.calibration"].startswith("Not measured")
    assert "**Drift**" in first.tags["mlflow.note.content"]
    assert artifacts == {"report.html", "monitor.json"}


def test_a_challenger_is_compared(run: Run, mine: Served) -> None:
    engine, ledger = open_ledger(mine.settings)
    with transaction(engine) as connection:
        issued = list(scores.iterate_scores(connection, ledger))[: len(mine.sellers)]
        bodies = [json.loads(each.body)["assessment"] for each in issued]
        numbers = [(body["outcome"], *_other(body)) for body in bodies]
        pairs = zip(issued, numbers, strict=True)
        shadows.insert_shadow_scores(
            connection, [ShadowScore(each.id, "sha256:rival", *numbers) for each, numbers in pairs]
        )
    engine.dispose()
    (row,) = study(run_json(run, mine.home, "--today", END), "shadow")["tables"]["Challengers"]
    # some sellers have a second request for the same midnight, which counts
    assert row["pairs"] == len(mine.sellers) - 5
    assert (row["same_outcome"], row["mean_points"]) == (1.0, 10.0)


def _other(body: dict[str, Any]) -> tuple[int | None, str | None, float | None]:
    if body["score"] is None:
        return None, None, None
    return body["score"] + 10, body["band"], body["probability_of_default"] * 0.8


def test_without_scores_only_freshness_is_monitored(run: Run, world: World) -> None:
    fresh = run(world.home, "--today", END)
    assert fresh.exit_code == 3
    assert "There is no score as of 2026-01-01" in fresh.stdout
    assert "every table is fresh" in fresh.stdout
    assert "No alarm, but nothing was scored." in fresh.stdout
    assert not (world.home / "sellerscore.db").exists(), "monitoring creates no database"
    stale = run(world.home, "--today", "2026-03-01")
    assert stale.exit_code == 1, "an alarm has priority over an empty period"
    (alarm,) = re.findall("Alarm Tables for scores are older than the 7 days allowed: (.*)", stale.stdout)
    assert {"orders 59 days", "refunds 59 days"} <= set(re.findall(r"\w+ \d+ days", alarm))
    assert (world.home / "monitor" / "2026-03-01.html").is_file()
    with connected(Registry.on_sqlite(world.home)) as client:
        experiment = client.get_experiment_by_name(MONITORING)
        first, second = client.search_runs([experiment.experiment_id])
    alarms = re.findall(r"^\s*Alarm .*", stale.stdout, re.MULTILINE)
    assert {first.data.tags["alarms"], second.data.tags["alarms"]} == {"0", str(len(alarms))}, alarms


def test_without_the_registry_only_the_log_is_missing(
    run: Run, mine: Served, then: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    result = run(mine.home, "--today", THEN, "--output", "json")
    found = json.loads(result.stdout)
    assert result.exit_code == 1
    assert found["run_ids"] == []
    (unreachable, *rest) = found["alarms"]
    assert unreachable.startswith("The MLflow registry at http://127.0.0.1:9 does not answer. ")
    assert unreachable.endswith("Versions are unknown, and nothing is logged to MLflow.")
    names = [name.split(":")[0] for name in rest]
    assert all(name.startswith("Bundle sha256") for name in names)
    assert study(found, "drift")["figures"] == study(then, "drift")["figures"], "the reference is stored"
    assert unreachable.replace("'", "&#39;")[:60] in Path(found["report"]).read_text()


def test_if_logging_fails_the_report_is_complete(run: Run, mine: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object, **__: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr("mlflow.log_metrics", gone)
    result = run(mine.home, "--today", THEN)
    assert result.exit_code == 1
    assert "failed: the disk is full Nothing was logged to MLflow; the report is complete." in " ".join(
        result.stdout.split()
    )
    assert (mine.home / "monitor" / f"{THEN}.html").is_file()


def test_scores_of_a_missing_bundle_raise_an_alarm(run: Run, mine: Served) -> None:
    shutil.rmtree(mine.home / "bundles" / mine.other.removeprefix("sha256:"))
    found = run_json(run, mine.home, "--today", END)
    assert [model["version"] for model in found["models"]] == [1]
    (missing,) = [alarm for alarm in found["alarms"] if "neither stored nor registered" in alarm]
    assert missing.startswith(f"{SECOND} scores are not monitored, because their bundle {mine.other[:19]}")


def test_a_portfolio_replaces_the_scores_of_the_service(
    run: Run, mine: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, page = tmp_path / "all.csv", tmp_path / "page.html"
    monkeypatch.setenv("SELLERSCORE_HOME", str(mine.home))
    # the latest vectors are those of the second midnight
    with time_machine.travel(f"{MIDNIGHTS[-1]} 09:00"):
        assert CliRunner().invoke(sellerscore.app, ["score-portfolio", "--out", str(out)]).exit_code == 0
    pd.read_csv(out, dtype=str).head(300).to_csv(out, index=False)
    arguments = ("--portfolio", out, "--portfolio-model", "1", "--as-of", END, "--today", END, "--report", page)
    found = run_json(run, mine.home, *arguments)
    assert found["report"] == str(page)
    assert page.is_file()
    assert study(found, "answers")["figures"]["given"] == len(pd.read_csv(out))
    drift = study(found, "drift")["figures"]
    assert drift["sellers"] > 50
    assert drift["features_to_act_on"] > 0, "features are computed as of the portfolio's date"
    assert "0 loans match a score" in study(found, "vintages")["said"]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("--portfolio", "none.csv"), MonitorError, "The portfolio none.csv cannot be read"),
        (("--config", "none.toml"), ConfigError, "settings file none.toml cannot be read"),
        (("--report", "/nowhere/page.html"), MonitorError, "The folder /nowhere does not exist"),
        (("--report", "/tmp"), MonitorError, "The report /tmp is a folder"),  # noqa: S108 - a folder that is there
        (("--portfolio", "x.csv", "--portfolio-model", "9"), RegistryError, "Unknown version 9"),
    ],
)
def test_invalid_input_is_rejected(
    run: Run, served: Served, arguments: tuple[str, ...], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message) as refusal:
        run(served.home, *arguments)
    assert "\n" not in str(refusal.value)


def test_without_operating_data_the_command_fails(run: Run, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"has no operating data\. Ingest a delivery first"):
        run(tmp_path)


def test_invalid_input_ends_with_exit_code_2(
    served: Served, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SELLERSCORE_HOME", str(served.home))
    monkeypatch.setattr("sys.argv", ["sellerscore", "monitor", "--portfolio", "none.csv"])
    with pytest.raises(SystemExit) as ended:
        sellerscore.main()
    printed = capsys.readouterr()
    assert ended.value.code == 2
    assert printed.err.strip() == "sellerscore: The portfolio none.csv cannot be read (No such file or directory)."
    assert printed.out == ""


def test_show_config_prints_the_thresholds(run: Run, tmp_path: Path) -> None:
    (tmp_path / "limits.toml").write_text("[drift]\ndays = 30\n")
    assert run(tmp_path, "--show-config").stdout == MonitorConfig().as_toml()
    printed = run(tmp_path, "--show-config", "--config", tmp_path / "limits.toml").stdout
    assert printed == MonitorConfig(drift=DriftThresholds(days=30)).as_toml()


def test_today_is_the_default_date(run: Run, world: World) -> None:
    found = run_json(run, world.home)
    assert abs(datetime.now(UTC).date() - date.fromisoformat(found["today"])) <= timedelta(days=1)
    assert found["freshness"]["figures"]["stale_tables"] > 0

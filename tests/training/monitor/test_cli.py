"""The command `monitor`, and the scores that it reads, on a marketplace with a trained and served model."""

from __future__ import annotations

import json
import re
import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import time_machine
from typer.testing import CliRunner

import sellerscore
from api.kit.database import transaction
from api.ledger.store import open_ledger
from api.scores import repository as scores
from api.scores import shadow as shadows
from api.scores.export import export_scores, export_shadow_scores
from api.scores.shadow import ShadowScore
from api.settings import Settings
from features.catalogue import CATALOGUE
from features.errors import StoreError
from features.ingest import open_store
from features.pipeline import accepted_rows
from tests.training.monitor.conftest import END, MIDNIGHTS, SECOND, SELLERS, Run, Served
from tests.world import shared_world
from training.config import DriftThresholds, MonitorConfig
from training.errors import ConfigError, MonitorError, RegistryError
from training.monitor.score_log import SCORES, SHADOW, select_scores
from training.registry.connection import MONITORING, Registry, connected

pytestmark = pytest.mark.slow

THEN = "2024-11-20"
"""A day on which both midnights were scored and no loan after them was matured."""


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
    loans = loans[loans["disbursed_at"].between("2024-10-01", "2024-12-01")]
    champion = json.loads((served.home / "champion.json").read_text())["digest"]
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
            count = counts[f"{met[-1]:%Y-%m}"]
            count[0] += 1
            count[1] += _is_bad(loan, *(rows[rows["loan_id"] == loan.loan_id] for rows in (due, paid)))
    return counts


def _is_bad(loan: Any, due: pd.DataFrame, paid: pd.DataFrame) -> bool:
    """Return whether an instalment was 90 days past due within 12 months."""
    owed = 0.0
    for part in due.sort_values("due_on").itertuples():
        owed += part.amount
        limit = part.due_on + pd.Timedelta(days=90)
        if paid.loc[paid["paid_at"] < limit, "amount"].sum() < owed - 0.005:
            return limit <= loan.disbursed_at.normalize() + pd.DateOffset(months=12)
    return False


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
    # two requests for one midnight count once
    given = [study(found, "answers", model)["figures"]["given"] for model in (0, 1)]
    assert given == [2 * len(served.sellers), SECOND]
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


def test_shadow_scores_are_read_in_the_order_of_the_scores_and_compared(run: Run, mine: Served) -> None:
    engine, ledger = open_ledger(mine.settings)
    with transaction(engine) as connection:
        issued = list(scores.iterate_scores(connection, ledger))[: len(mine.sellers)]
        rivals = [_shadow_score(score) for score in issued]
        shadows.insert_shadow_scores(connection, rivals[::-1])
    engine.dispose()
    ids = {score.id for score in issued}
    order = [row.score_id for row in export_scores(mine.settings) if row.score_id in ids]
    exported = list(export_shadow_scores(mine.settings))
    assert [shadow.score_id for shadow in exported] == order
    assert {shadow.score_id: shadow for shadow in exported} == {shadow.score_id: shadow for shadow in rivals}
    (row,) = study(run_json(run, mine.home, "--today", END), "shadow")["tables"]["Challengers"]
    # some sellers have a second request for the same midnight, which counts
    assert row["pairs"] == len(mine.sellers) - 5
    assert (row["same_outcome"], row["mean_points"]) == (1.0, 10.0)


def _shadow_score(score: Any) -> ShadowScore:
    """Return the result of a challenger that gives ten points more."""
    body = json.loads(score.body)["assessment"]
    if body["score"] is None:
        return ShadowScore(score.id, "sha256:rival", body["outcome"], None, None, None)
    numbers = (body["score"] + 10, body["band"], body["probability_of_default"] * 0.8)
    return ShadowScore(score.id, "sha256:rival", body["outcome"], *numbers)


def test_every_score_is_a_row(served: Served) -> None:
    rows = list(export_scores(served.settings))
    engine, ledger = open_ledger(served.settings)
    with transaction(engine) as connection:
        stored = {each.id: each for each in scores.iterate_scores(connection, ledger)}
    engine.dispose()
    assert len(rows) == len(stored) == 2 * (SELLERS + 5) + SECOND
    assert [row.scored_at for row in rows] == sorted(row.scored_at for row in rows)
    for row in rows:
        body, inputs = (json.loads(part) for part in (stored[row.score_id].body, stored[row.score_id].inputs))
        answer = body["assessment"]
        assert (row.seller_id, row.model) == (body["seller_id"], answer["versions"]["bundle"])
        assert row.as_of.date() in MIDNIGHTS
        assert row.as_of.date().isoformat() == answer["as_of"]
        for name in ("outcome", "score", "probability_of_default"):
            assert getattr(row, name) == answer[name]
        assert row.valid_days == 30.0
        assert stored[row.score_id].scored_at.replace(tzinfo=None) - row.scored_at < timedelta(seconds=1)
        assert [None if np.isnan(value) else value for value in row.values] == inputs["values"]
        assert len(row.values) == len(CATALOGUE)


def test_the_score_source_of_the_command_has_the_expected_columns(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SELLERSCORE_HOME", str(served.home))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    source = sellerscore._score_source()
    frame = source.scores()
    assert list(frame.columns) == list(SCORES)
    assert len(select_scores(frame, MIDNIGHTS[0])) == SELLERS
    assert list(source.shadow().columns) == list(SHADOW)
    for digest in (source.champion().digest, served.other):
        assert source.bundle(digest).digest == digest
    assert source.bundle("sha256:" + "0" * 64) is None


def test_without_a_database_there_are_no_scores_and_none_is_created(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    assert list(export_scores(settings)) == list(export_shadow_scores(settings)) == []
    assert not list(tmp_path.iterdir())


def test_without_scores_only_freshness_is_monitored(
    run: Run, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    world = shared_world(tmp_path_factory).copy(tmp_path)
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
    today = run_json(run, world.home)
    assert abs(datetime.now(UTC).date() - date.fromisoformat(today["today"])) <= timedelta(days=1), "the default"
    assert today["freshness"]["figures"]["stale_tables"] > 0


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
    words = "failed: the disk is full Nothing was logged to MLflow; the report is complete."
    assert words in " ".join(result.stdout.split())
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
    pd.read_csv(out, dtype=str).head(300).assign(as_of=END).to_csv(out, index=False)
    arguments = ("--portfolio", out, "--portfolio-model", "1", "--today", END, "--report", page)
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
    monkeypatch.setenv("SELLERSCORE_UMASK", "022")  # the mask of this process outlives the test
    monkeypatch.setattr("sys.argv", ["sellerscore", "monitor", "--portfolio", "none.csv"])
    with pytest.raises(SystemExit) as ended:
        sellerscore.main()
    message = "sellerscore: The portfolio none.csv cannot be read (No such file or directory)."
    assert (ended.value.code, *capsys.readouterr()) == (2, "", f"{message}\n")


def test_show_config_prints_the_thresholds(run: Run, tmp_path: Path) -> None:
    (tmp_path / "limits.toml").write_text("[drift]\ndays = 30\n")
    assert run(tmp_path, "--show-config").stdout == MonitorConfig().as_toml()
    printed = run(tmp_path, "--show-config", "--config", tmp_path / "limits.toml").stdout
    assert printed == MonitorConfig(drift=DriftThresholds(days=30)).as_toml()

"""The report as HTML, JSON, MLflow runs and terminal table: self-contained, without seller IDs, equal figures."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from datetime import date
from functools import cache
from io import StringIO

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from tests.features.quality.test_page import Reader
from tests.training.monitor.builders import (
    TODAY,
    FixedReference,
    matured_model,
    monitored_model,
    reference,
    small_bundle,
)
from tests.training.monitor.test_drift import drifted_model, population
from tests.training.monitor.test_performance import challenger_scores
from training.config import FreshnessThresholds, MonitorConfig
from training.evidence.study import Finding
from training.monitor import availability, calibration, performance
from training.monitor import drift as drifts
from training.monitor.availability import freshness, period
from training.monitor.report import WIDTH, charts, render, to_json
from training.monitor.run import STUDIES, ModelResult, MonitorResult, monitoring_runs, result_tables
from training.monitor.score_log import KnownModel
from training.monitor.subject import MonitoredModel
from training.registry import Version

HOSTILE = "<script>alert('x')</script> & loans"
CONFIG = MonitorConfig()


@cache
def full_model() -> MonitoredModel:
    """A model with scores of two years: matured, open, drifted, and with a challenger."""
    rng = np.random.default_rng(1)
    model = matured_model(rng, 1_500, wrong=1.9, months=24)
    early, late = model.scores[model.scores["as_of"] < "2025-10-01"], drifted_model(1, score=-80).scores
    rows = model.outcomes.loans.assign(matured=model.outcomes.loans["day"] < "2025-01-01")
    bundle = replace(small_bundle(), reference=replace(small_bundle().reference, population=HOSTILE))
    return monitored_model(
        pd.concat([early, late.assign(score_id="n-" + late["score_id"])], ignore_index=True),
        rows,
        model=KnownModel(bundle, Version(3, "run", {}, {}, {}, {})),
        references=FixedReference(reference(*population(rng, 800))),
        is_selected=True,
        shadow=challenger_scores(model, 0.4),
    )


@pytest.fixture(scope="module")
def result() -> MonitorResult:
    """A result with a model in use, a model not in use, stale data and a problem."""
    unused = matured_model(np.random.default_rng(2), 900, wrong=3.0)
    covers = {"orders": date(2025, 12, 1), "refunds": TODAY, "loans": TODAY}
    age = freshness(covers, TODAY, small_bundle(), FreshnessThresholds())
    models = tuple(ModelResult(model, tuple(study(model) for study in STUDIES)) for model in (full_model(), unused))
    return MonitorResult(TODAY, period(full_model().scores, TODAY, 90), age, models, (f"{HOSTILE} away.",))


@pytest.fixture(scope="module")
def page(result: MonitorResult) -> str:
    return render(result, CONFIG)


def test_the_page_is_self_contained_and_well_formed_and_shows_no_seller_id(page: str) -> None:
    reader = Reader(page)
    assert not re.search(r"https?://|url\(|@import|javascript:", page)
    assert not {"script", "link", "iframe", "object", "form", "img"} & {tag for tag, _ in reader.tags}
    names = {name for _, attributes in reader.tags for name in attributes}
    assert not {name for name in names if name.startswith("on")}
    assert not {"src", "srcset", "style"} & names
    targets = {attributes.get("id") for _, attributes in reader.tags}
    assert all(attributes["href"][1:] in targets for tag, attributes in reader.tags if tag == "a")
    drawn = [attributes for tag, attributes in reader.tags if tag == "svg"]
    assert len(drawn) > 60
    assert all("aria-label" in each or each.get("aria-hidden") == "true" for each in drawn)
    assert any(attributes.get("content", "").startswith("default-src 'none'") for _, attributes in reader.tags)
    assert "prefers-color-scheme: dark" in page
    assert "max-width: 48rem" in page
    assert "<script" not in page
    assert reader.text.count(HOSTILE) >= 2
    assert not re.search(r"\b[ST]-\d{5}\b", page), "no seller ID"


def test_all_alarms_are_on_the_page_and_those_that_count_at_its_top(page: str, result: MonitorResult) -> None:
    text = Reader(page).text
    first, second = result.models
    assert len(first.alarms) >= 3
    assert second.alarms
    assert all(" ".join(alarm.split()) in text for alarm in (*result.alarms, *second.alarms))
    top = text.partition("Freshness of the data")[0]
    assert all(f"Version 3: {alarm}" in result.alarms for alarm in first.alarms)
    assert not any(alarm in top for alarm in second.alarms)
    assert "not in use" in text
    assert "orders 31 days" in top


@pytest.fixture(scope="module")
def findings(result: MonitorResult) -> dict[str, Finding]:
    return {finding.name: finding for finding in result.models[0].findings}


def test_charts_show_the_tables(findings: dict[str, Finding], page: str) -> None:
    drawn = {name: list(charts(finding, CONFIG)) for name, finding in findings.items()}
    counts = {"answers": 1, "drift": 2, "vintages": 1, "calibration": 2, "shadow": 0}
    assert {name: len(each) for name, each in drawn.items()} == counts
    for strip in (strip for each in drawn.values() for chart in each for strip in getattr(chart, "strips", ())):
        assert all(0 <= at <= WIDTH for at in (strip.at, strip.low, strip.high, strip.expected) if at is not None)
        assert strip.low is None or strip.low <= strip.at <= strip.high
    (rates,) = drawn["vintages"]
    rows = findings["vintages"].tables[performance.BY_VINTAGE].to_dict("records")[-24:]
    for strip, row in zip(rates.strips, rows, strict=True):
        assert strip.name == row["vintage"]
        if not row["matured"]:
            assert (strip.at, strip.text) == (None, "not matured yet")
            assert strip.note == f"{row['open']} open, {row['bad_so_far']} of them bad so far"
            continue
        assert strip.text.startswith(f"{row['default_rate']:.1%} ({row['default_rate_low']:.1%} to ")
        assert strip.at / strip.expected == pytest.approx(row["default_rate"] / row["expected_rate"])
    by_vintage, by_band = drawn["calibration"]
    ratio = findings["calibration"].tables[calibration.BY_BAND].iloc[-1]["observed_over_expected"]
    assert by_band.strips[-1].at == pytest.approx(WIDTH * math.log(ratio / 0.25) / math.log(16))
    assert by_vintage.thresholds[1] == pytest.approx(WIDTH / 2), "1 is in the middle of the scale"
    (answered,) = drawn["answers"]
    for bar in re.findall(r'<svg class="bar".*?</svg>', page):
        widths = re.findall(r'class="k\d" x="[\d.]+" width="([\d.]+)"', bar)
        assert sum(map(float, widths)) == pytest.approx(WIDTH, abs=0.5)
    months = findings["answers"].tables[availability.BY_MONTH]["month"].tolist()[-24:]
    assert [row["month"] for row in answered.rows] == months
    strips = drawn["drift"][0].strips
    assert (len(strips), strips[0].name) == (16, "Score")
    assert strips[1].at >= strips[2].at
    assert len(findings["drift"].tables[drifts.BY_FEATURE]) == len(small_bundle().sheet.names) + 1


def test_the_json_contains_the_same_result(result: MonitorResult) -> None:
    found = json.loads(to_json(result, "page.html", ("r1",)))
    assert found["alarms"] == list(result.alarms)
    assert (found["report"], found["run_ids"], found["today"]) == ("page.html", ["r1"], "2026-01-01")
    assert [model["version"] for model in found["models"]] == [3, None]
    row = next(each for each in found["models"][0]["findings"] if each["name"] == "vintages")
    last = row["tables"][performance.BY_VINTAGE][-1]
    assert last["default_rate"] is None, "a missing value is null"


def test_mlflow_runs_contain_figures_alarms_and_a_note(result: MonitorResult) -> None:
    first, second = monitoring_runs(result, "data-1")
    assert first.tags["version"] == "3"
    assert first.tags["in_use"] == "true"
    assert second.tags["in_use"] == "false"
    assert "version" not in second.tags
    assert int(first.tags["alarms"]) == len(result.freshness.alarms) + len(result.models[0].alarms)
    assert first.tags["alarm.calibration"].startswith("Observed over expected defaults are")
    assert first.figures["freshness.stale_tables"] == 2
    assert all(math.isfinite(value) for value in (*first.figures.values(), *second.figures.values()))
    assert "- Alarm: Observed over expected" in first.note


def test_without_scores_the_report_does_not_look_good(result: MonitorResult) -> None:
    nothing = period(full_model().scores.head(0), TODAY, 90)
    covers = dict.fromkeys(("orders", "refunds", "traffic", "loans"), TODAY)
    empty = MonitorResult(TODAY, nothing, freshness(covers, TODAY, None, FreshnessThresholds()), ())
    assert (empty.nothing_scored, result.nothing_scored) == (True, False)
    assert not empty.alarms
    page = Reader(render(empty, CONFIG)).text
    assert "nothing scored" in page
    assert "No metric exceeds its threshold" not in page
    assert "No alarm, but nothing was scored." in list(result_tables(empty))
    found = json.loads(to_json(empty, "page.html", ()))
    assert (found["nothing_scored"], found["period"]["figures"]) == (True, {"answers": 0.0, "scored": 0.0})
    (run,) = monitoring_runs(empty, "data-1")
    assert (run.tags["nothing_scored"], run.figures["period.scored"]) == ("true", 0.0)
    assert "There is no score as of 2026-01-01" in run.note


def test_the_terminal_table_has_a_column_for_each_model(result: MonitorResult, findings: dict[str, Finding]) -> None:
    console = Console(width=160, file=StringIO())
    for part in result_tables(result):
        console.print(part)
    text = console.file.getvalue()
    assert re.search(r"version 3 +bundle sha256:\w{12}, not in use", text)
    assert f"{findings['calibration'].figures['observed_over_expected']:.2f} (" in text
    assert "2 tables are stale or missing" in text

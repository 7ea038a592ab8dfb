"""The page stands alone, is well formed, names no seller, and says what the figures say."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from datetime import date
from io import StringIO

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from tests.features.quality.test_page import Reader
from tests.training.monitor.made import TODAY, Known, judged, reference, small_bundle, watched
from tests.training.monitor.test_population import moved, population
from tests.training.monitor.test_shadow import beside
from training.monitor import answers, calibration, vintages
from training.monitor import population as drifts
from training.monitor.charts import WIDTH, Intervals, Shares, charts
from training.monitor.config import FreshnessLimits, MonitorConfig
from training.monitor.freshness import freshness
from training.monitor.models import Model
from training.monitor.period import period
from training.monitor.report import render
from training.monitor.show import as_json, runs, tables
from training.monitor.watch import STUDIES, Monitoring, OfModel
from training.monitor.watched import Watched
from training.registry import Version

HOSTILE = "<script>alert('x')</script> & loans"
CONFIG = MonitorConfig()


def everything() -> Watched:
    """A model with scores of two years: matured, open, moved, beside a challenger."""
    rng = np.random.default_rng(1)
    made = judged(rng, 1_500, wrong=1.9, months=24)
    early = made.scores[made.scores["as_of"] < "2025-10-01"]
    late = moved(1, score=-80).scores
    known = made.outcomes.loans.assign(matured=lambda rows: rows["day"] < "2025-01-01")
    points, matrix = population(rng, 800)
    bundle = replace(small_bundle(), reference=replace(small_bundle().reference, population=HOSTILE))
    version = Version(3, "run", {}, {}, {}, {})
    return watched(
        pd.concat([early, late.assign(score_id="n-" + late["score_id"])], ignore_index=True),
        known,
        model=Model(bundle, version),
        references=Known(reference(points, matrix)),
        in_force=True,
        shadow=beside(made, 0.4),
    )


def of_model(found: Watched) -> OfModel:
    return OfModel(found, tuple(study(found) for study in STUDIES))


@pytest.fixture(scope="module")
def monitoring() -> Monitoring:
    """The model in force with everything there is, one that is not in use any more, stale data and a trouble."""
    asleep = judged(np.random.default_rng(2), 900, wrong=3.0)
    covers = {"orders": date(2025, 12, 1), "refunds": TODAY, "loans": TODAY}
    age = freshness(covers, TODAY, small_bundle(), FreshnessLimits())
    lately = period(everything().scores, TODAY, 90)
    return Monitoring(TODAY, lately, age, (of_model(everything()), of_model(asleep)), (f"{HOSTILE} away.",))


@pytest.fixture(scope="module")
def page(monitoring: Monitoring) -> str:
    return render(monitoring, CONFIG)


def test_the_page_stands_alone_and_is_well_formed(page: str) -> None:
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


def test_what_came_from_elsewhere_is_text(page: str) -> None:
    assert "<script" not in page
    assert Reader(page).text.count(HOSTILE) >= 2


def test_no_seller_is_named(page: str) -> None:
    assert not re.search(r"\b[ST]-\d{5}\b", page)


def test_every_alarm_is_on_the_page_and_only_those_of_models_in_use_at_its_top(
    page: str, monitoring: Monitoring
) -> None:
    text = Reader(page).text
    first, second = monitoring.models
    assert len(first.alarms) >= 3
    assert second.alarms
    assert all(" ".join(alarm.split()) in text for alarm in (*monitoring.alarms, *second.alarms))
    top = text.partition("How old are the data?")[0]
    assert all(f"Version 3: {alarm}" in monitoring.alarms for alarm in first.alarms)
    assert not any(alarm in top for alarm in second.alarms)
    assert "not in use" in text
    assert "orders 31 days" in top


def test_charts_are_drawn_from_the_tables(monitoring: Monitoring) -> None:
    findings = {finding.name: finding for finding in monitoring.models[0].findings}
    drawn = {name: list(charts(finding, CONFIG)) for name, finding in findings.items()}
    assert {name: len(each) for name, each in drawn.items()} == {
        "answers": 1,
        "drift": 2,
        "vintages": 1,
        "calibration": 2,
        "shadow": 0,
    }
    for chart in (chart for each in drawn.values() for chart in each if isinstance(chart, Intervals)):
        for strip in chart.strips:
            for at in (strip.at, strip.low, strip.high, strip.beside):
                assert at is None or 0 <= at <= WIDTH
            if strip.low is not None:
                assert strip.low <= strip.at <= strip.high
    (rates,) = drawn["vintages"]
    lines = findings["vintages"].tables[vintages.BY_VINTAGE].to_dict("records")[-24:]
    for strip, line in zip(rates.strips, lines, strict=True):
        assert strip.name == line["vintage"]
        if not line["matured"]:
            assert (strip.at, strip.words) == (None, "not matured yet")
            assert strip.note == f"{line['open']} still open, {line['bad_so_far']} of them bad so far"
            continue
        assert strip.words.startswith(f"{line['default_rate']:.1%} ({line['default_rate_low']:.1%} to ")
        assert strip.at / strip.beside == pytest.approx(line["default_rate"] / line["expected_rate"])
    by_vintage, by_band = drawn["calibration"]
    ratio = findings["calibration"].tables[calibration.BY_BAND].iloc[-1]["observed_over_expected"]
    assert by_band.strips[-1].at == pytest.approx(WIDTH * math.log(ratio / 0.25) / math.log(16))
    assert by_vintage.limits[1] == pytest.approx(WIDTH / 2), "one lies in the middle of the scale"
    (answered,) = drawn["answers"]
    assert isinstance(answered, Shares)
    assert all(sum(piece.width for piece in bar.pieces) == pytest.approx(WIDTH, abs=0.5) for bar in answered.bars)
    assert [bar.name for bar in answered.bars] == findings["answers"].tables[answers.BY_MONTH]["month"].tolist()[-24:]
    by_feature = drawn["drift"][0]
    assert by_feature.strips[0].name == "Score"
    assert len(by_feature.strips) == 16
    assert by_feature.strips[1].at >= by_feature.strips[2].at
    assert len(findings["drift"].tables[drifts.BY_FEATURE]) == len(small_bundle().sheet.names) + 1


def test_what_a_program_reads_is_the_same(monitoring: Monitoring) -> None:
    found = json.loads(as_json(monitoring, "page.html", ("r1",)))
    assert found["alarms"] == list(monitoring.alarms)
    assert (found["report"], found["run_ids"], found["today"]) == ("page.html", ["r1"], "2026-01-01")
    assert [model["version"] for model in found["models"]] == [3, None]
    line = next(each for each in found["models"][0]["findings"] if each["name"] == "vintages")
    last = line["tables"][vintages.BY_VINTAGE][-1]
    assert last["default_rate"] is None, "what is not known is null"


def test_runs_for_mlflow_hold_figures_alarms_and_words(monitoring: Monitoring) -> None:
    first, second = runs(monitoring, "data-1")
    assert first.tags["version"] == "3"
    assert first.tags["in_use"] == "true"
    assert second.tags["in_use"] == "false"
    assert "version" not in second.tags
    assert int(first.tags["alarms"]) == len(monitoring.freshness.alarms) + len(monitoring.models[0].alarms)
    assert first.tags["alarm.calibration"].startswith("The level of probabilities is wrong")
    assert first.figures["freshness.stale_tables"] == 2
    assert all(math.isfinite(value) for value in (*first.figures.values(), *second.figures.values()))
    assert "- Alarm: The level" in first.note


def test_silence_does_not_read_as_health(monitoring: Monitoring) -> None:
    nothing = period(everything().scores.head(0), TODAY, 90)
    fresh = freshness(dict.fromkeys(("orders", "refunds", "traffic", "loans"), TODAY), TODAY, None, FreshnessLimits())
    silent = Monitoring(TODAY, nothing, replace(fresh, alarms=()), ())
    assert (silent.nothing_scored, monitoring.nothing_scored) == (True, False)
    assert not silent.alarms
    page = Reader(render(silent, CONFIG)).text
    assert "nothing scored" in page
    assert "No figure lies surely beyond its limit" not in page
    assert "No alarm, but nothing was scored." in list(tables(silent))
    found = json.loads(as_json(silent, "page.html", ()))
    assert (found["nothing_scored"], found["period"]["figures"]) == (True, {"answers": 0.0, "scored": 0.0})
    (run,) = runs(silent, "data-1")
    assert (run.tags["nothing_scored"], run.figures["period.scored"]) == ("true", 0.0)
    assert "No score is known as of 2026-01-01" in run.note


def test_the_short_table_has_a_column_a_model(monitoring: Monitoring) -> None:
    console = Console(width=160, file=StringIO())
    for part in tables(monitoring):
        console.print(part)
    text = console.file.getvalue()
    assert re.search(r"version 3 +bundle sha256:\w{12}, not in use", text)
    ratio = next(f for f in monitoring.models[0].findings if f.name == "calibration").figures
    assert f"{ratio['observed_over_expected']:.2f} (" in text
    assert "2 tables are stale or lacking" in text

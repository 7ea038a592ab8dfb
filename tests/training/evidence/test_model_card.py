"""The model card contains everything that a reviewer needs, and escapes all text."""

from __future__ import annotations

import base64
import re
import tomllib
from dataclasses import replace
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from features.catalogue import CATALOGUE, digest
from tests.training.evidence.subjects import subject
from training.evidence.bands import study_bands
from training.evidence.limits import Limit, alarms
from training.evidence.metrics import Estimate
from training.evidence.model_card import HTML, MARKDOWN, sections, write_card
from training.evidence.plots import new_figure
from training.evidence.study import Finding

EVIL = "<script>alert(1)</script> | [x](http://evil)"
VOID = {"meta", "img", "link", "br"}
FACTS: dict[str, str | int | float] = {
    "data_version": "v-17",
    "origin": "simulated by sellerscore, seed 7; operating data of 1 delivery as ingested: 1f3a9c0d",
    "outcomes": "loans, instalments and payments of the operating data",
    "data_through": "2025-09-03",
    "dataset": "sha256:" + "d" * 64,
    "config": "sha256:" + "c" * 64,
    "catalogue": digest(CATALOGUE),
    "evidence": "out_of_time",
    "train_before": "2023-09-03",
    "test_from": "2024-09-03",
    "train_rows": 12_345,
    "train_bad": 678,
    "test_rows": 2_345,
    "test_bad": 123,
    "censored": 45,
    "unscheduled": 6,
    "set_apart": 789,
    "rounds": 30,
    "fit.learning_rate": 0.03,
    "fit.seed": 7,
    "split.salt": "sellerscore",
}


def card_input(*findings: Finding, **facts: str | int) -> SimpleNamespace:
    figures = {"auc": Estimate(0.8123, 0.79, 0.83), "calibration_slope": Estimate(1.02, 0.95, 1.1)}
    figure = new_figure(2, 2)
    figure.subplots().plot([0, 1])
    scorecard = {"auc": Estimate(0.79, 0.77, 0.81)}
    return SimpleNamespace(
        bundle=subject().bundle,
        figures=figures,
        logistic_figures=scorecard,
        findings=findings,
        plots={"roc": figure},
        facts=FACTS | facts,
    )


def section(title: str, *findings: Finding, **facts: str | int) -> str:
    """Return the text of a section of a card."""
    text = write_card(card_input(*findings, **facts))[MARKDOWN]
    return text.partition(f"## {title}\n")[2].partition("\n## ")[0]


@pytest.fixture(scope="module")
def cards() -> dict[str, str]:
    """The card of a real study and of one that has everything wrong with it."""
    table = pd.DataFrame(
        {"country": [EVIL, "CN"], "auc": [0.7, np.nan], "auc_low": [0.6, np.nan], "auc_high": [0.8, np.nan]}
    )
    broken = Finding(
        "broken", f"Of {EVIL}", f"Said {EVIL}", {"x": 1.0}, {f"By {EVIL}": table}, {}, (f"Alarm of {EVIL}",)
    )
    return write_card(card_input(study_bands(subject()), broken))


class Page(HTMLParser):
    """Which tags stand open, and which attributes load or lead somewhere."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.open += [] if tag in VOID else [tag]
        self.addresses += [value or "" for name, value in attrs if name in {"src", "href", "srcset", "action"}]
        assert not [name for name, _ in attrs if name.startswith("on")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_a_page_is_whole_loads_nothing_and_runs_nothing(cards: dict[str, str]) -> None:
    page = Page(cards[HTML])
    assert page.open == []
    assert "script" not in page.tags
    assert all(address.startswith(("#", "data:image/png;base64,")) for address in page.addresses)
    assert "default-src 'none'" in cards[HTML]
    anchors = {address[1:] for address in page.addresses if address.startswith("#")}
    assert anchors == set(re.findall(r'<section id="([^"]+)"', cards[HTML]))


def test_the_explainer_is_stated(cards: dict[str, str]) -> None:
    assert all("Contributions come from tables of 0." in page for page in cards.values())
    deep = card_input()
    deep.bundle = replace(deep.bundle, model=replace(deep.bundle.model, tables=None))
    assert "computes contributions for every row (pred_contrib)" in write_card(deep)[MARKDOWN]


def test_text_is_escaped(cards: dict[str, str]) -> None:
    assert "<script>" not in cards[HTML]
    assert "<script>" not in cards[MARKDOWN]
    assert "&lt;script&gt;" in cards[HTML]
    lines = [line for line in cards[MARKDOWN].splitlines() if "alert(1)" in line and line.startswith("| ")]
    assert [len(re.findall(r"(?<!\\)\|", line)) for line in lines] == [3]


def test_every_plot_is_embedded_in_html_and_linked_in_markdown(cards: dict[str, str]) -> None:
    images = re.findall(r'src="data:image/png;base64,([^"]+)"', cards[HTML])
    assert len(images) == 2
    assert all(base64.b64decode(image).startswith(b"\x89PNG") for image in images)
    links = re.findall(r"!\[[^]]*\]\(([^)]+)\)", cards[MARKDOWN])
    assert links == ["plots/roc.png", "evidence/bands/by_band.png"]


@pytest.mark.parametrize("file", [HTML, MARKDOWN])
def test_the_card_contains_everything_for_a_reviewer(cards: dict[str, str], file: str) -> None:
    text = re.sub(r"&#39;", "'", cards[file])
    bundle = subject().bundle
    for part in (
        "The model ranks online sellers who request business financing",
        "at least 90 in “Days since the first order” and 10 in “",
        "Only loans that were paid out have outcomes",
        "90+ days past due within 12 months",
        "A score of 600 points means odds of 30:1 of repaying",
        "12,345 (678 defaults), as of before 2023-09-03",
        "2,345 (123 defaults), as of 2024-09-03 or later",
        "v-17",
        "0.812 (0.790 to 0.830)",
        "0.790 (0.770 to 0.810)",
        "0.700 (0.600 to 0.800)",
        bundle.digest,
        bundle.model_digest,
        bundle.reference.population,
        bundle.reference.libraries["lightgbm"],
        "sellerscore train --config training.toml",
        *(entry.side.bank.en for entry in bundle.reasons.entries),
        *(feature.sign_reason for feature in CATALOGUE),
        *(band.name for band in bundle.policy.bands.items),
    ):
        assert part in text


def test_alarms_are_first_and_in_the_section_of_their_study(cards: dict[str, str]) -> None:
    first = [each.title for each in sections(card_input())][:3]
    assert first == ["Alarms", "Scope of the evidence", "Published limits"]
    assert cards[MARKDOWN].count("> **Alarm (broken)** ") == 2
    assert cards[HTML].count('<p class="alarm"><strong>Alarm (broken)</strong> ') == 2
    calm = write_card(card_input(Finding("calm", "Calm", "Nothing.")))
    assert "No study raised an alarm." in calm[MARKDOWN]
    assert 'class="alarm"' not in calm[HTML]


CHECKS = [
    Limit("PSI of the score", 0.25).check(Estimate(*psi), "Retrain.", "16 loans")
    for psi in ((0.1, 0.05, 0.2), (0.4, 0.2, 0.6), (0.9, 0.8, 1.0))
]
CHECKED = Finding("drift", "Drift", "Compared.", {"x": 1.0}, alarms=alarms(CHECKS), checks=tuple(CHECKS))


def test_figures_beyond_a_limit_without_an_alarm_follow_the_alarms_with_the_reason() -> None:
    _, uncertain, certain = CHECKS
    first = section("Alarms", CHECKED)
    assert f"> **Alarm (drift)** Drift: {certain.note}" in first
    assert f"- Drift: {uncertain.note}" in first
    assert write_card(card_input(CHECKED))[MARKDOWN].count(uncertain.note) == 2, "also in the section of the study"


def test_every_limit_is_published_with_its_figure() -> None:
    table = section("Published limits", CHECKED)
    for line in (
        "0.100 (0.050 to 0.200) | at most 0.25 | within the limit",
        "0.400 (0.200 to 0.600) | at most 0.25 | beyond the limit, not certain",
        "0.900 (0.800 to 1.000) | at most 0.25 | alarm",
    ):
        assert f"| Drift | PSI of the score | {line} |" in table


SCOPE = "Scope of the evidence"


def test_whose_data_they_are_is_stated() -> None:
    simulated = section(SCOPE)
    assert "Operating data: simulated by sellerscore, seed 7; operating data of 1 delivery as ingested" in simulated
    assert "The figures are no evidence of how the model ranks real sellers." in simulated
    real = section(SCOPE, origin="operating data of 2 deliveries as ingested", outcomes="the label table firms.csv")
    assert "simulated" not in real
    assert "The figures are valid for the sellers and the period of these data." in real
    assert "Outcomes come from the label table firms.csv." in real


def test_few_defaults_are_stated_as_weak_evidence() -> None:
    few = section(SCOPE, test_rows=177, test_bad=16)
    assert "Test sample: 177 loans with 16 defaults, a default rate of 9.0% (95% interval 5.6% to 14.2%)." in few
    assert "16 defaults are weak evidence." in few
    assert "16 defaults: the AUC measured on them is uncertain by about ±0.02." in few
    assert "weak evidence" not in section(SCOPE, test_rows=1_000, test_bad=50)


def test_the_smallest_difference_that_can_be_seen_is_computed_and_not_written_as_zero() -> None:
    ends = {"auc_difference": 0.0, "auc_difference_low": -0.1, "auc_difference_high": 0.14}
    compared = Finding("discrimination", "Ranking", "Compared.", ends)
    wide, narrow = (
        write_card(SimpleNamespace(**{**vars(card_input(compared)), "figures": {"auc": auc}}))[MARKDOWN]
        for auc in (Estimate(0.8, 0.7, 0.94), Estimate(0.995, 0.99, 0.9986))
    )
    assert "the AUC measured on them is uncertain by about ±0.12." in wide
    assert "can be distinguished only if their AUC differs by more than about 0.12." in wide
    assert "is uncertain by about ±0.0043." in narrow


def test_out_of_fold_rows_have_no_later_test_period() -> None:
    assert "tested on out-of-fold predictions" in write_card(card_input(evidence="out_of_fold"))[MARKDOWN]
    data = section("Data", evidence="out_of_fold")
    assert "| training rows | 12,345 (678 defaults), as of 2024-09-03 |" in data
    assert "| 2,345 (123 defaults): the training rows, each predicted by a model that was not trained on it |" in data
    assert "later" not in data


def test_a_table_without_dates_shows_none() -> None:
    undated = {"test_from": "1970-01-01", "train_before": "1970-01-02", "command": "sellerscore train-table x"}
    data = section("Data", kind="table", evidence="out_of_fold", **undated)
    assert "| training rows | 12,345 (678 bad rows), without dates |" in data
    assert "of groups kept apart" in data
    for words in ("1970", "operating data through", "catalogue", "required tables", "instalments |"):
        assert words not in data


def test_settings_are_a_file_that_reads_back_and_needs_no_search() -> None:
    settings = {"fit": {"learning_rate": 0.03, "seed": 7}, "split": {"salt": "sellerscore"}}
    for facts, expected in (({}, settings), ({"search.trials": 30}, settings | {"search": {"trials": 0}})):
        text = write_card(card_input(**facts))[MARKDOWN]
        blocks = re.findall(r"```\n(.*?)\n```", text, flags=re.DOTALL)
        assert tomllib.loads(blocks[1]) == expected
    assert re.search(r"settings before the search\W+sha256:c", text)


def test_a_bundle_without_history_and_required_tables_states_neither() -> None:
    run = card_input()
    run.bundle = replace(run.bundle, sheet=replace(run.bundle.sheet, history=(), required_tables=()))
    text = write_card(run)[MARKDOWN]
    assert "short history" not in text
    assert "Not without current data" not in text


def test_the_same_run_has_the_same_card() -> None:
    assert write_card(card_input()) == write_card(card_input())


def test_a_long_table_is_folded_in_html() -> None:
    long = Finding("long", "Long", "So.", tables={"T": pd.DataFrame({"x": range(16)})})
    assert "<summary>T <span>16 lines</span></summary>" in write_card(card_input(long))[HTML]

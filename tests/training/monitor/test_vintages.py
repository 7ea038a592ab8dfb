"""Performance by vintage, against plain Python; what is open is no evidence, whatever it has done."""

from __future__ import annotations

import math
from collections import defaultdict

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score

from tests.training.monitor.made import DEFINITION, judged, loans, scores, small_bundle, watched
from training.monitor.config import MonitorConfig, OutcomeLimits
from training.monitor.inputs import Outcomes
from training.monitor.performance import BY_VINTAGE, latest, vintages
from training.monitor.score_log import KnownModel
from training.monitor.subject import MonitoredModel
from training.registry import Version


def mixed(seed: int) -> MonitoredModel:
    """Scores and loans over 18 months, of which the later ones are open, some of those bad so far."""
    rng = np.random.default_rng(seed)
    made = judged(rng, 900, months=18)
    known = made.outcomes.loans
    day = known["day"] + pd.to_timedelta(rng.integers(0, 40, len(known)), unit="D")
    moved = known.assign(day=day, matured=day < pd.Timestamp("2025-02-10"))
    return watched(made.scores, moved)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_vintage_is_what_its_matured_loans_say(seed: int) -> None:
    found = mixed(seed)
    table = vintages(found).tables[BY_VINTAGE].set_index("vintage")
    day_of = {row.seller_id: row for row in found.outcomes.loans.itertuples()}
    of_vintage: dict[str, list[tuple[bool, bool, float]]] = defaultdict(list)
    for score in found.scores.itertuples():
        loan = day_of[score.seller_id]
        if 0 <= (loan.day - score.as_of).days < 30:
            month = f"{score.as_of.year}-{score.as_of.month:02}"
            of_vintage[month].append((loan.matured, loan.bad, score.probability_of_default))
    assert list(table.index) == sorted(of_vintage)
    for month, each in of_vintage.items():
        line, closed = table.loc[month], [(bad, p) for matured, bad, p in each if matured]
        bad = sum(bad for bad, _ in closed)
        assert (line["loans"], line["matured"], line["bad"]) == (len(each), len(closed), bad)
        assert line["bad_so_far"] == sum(bad for matured, bad, _ in each if not matured)
        state = {0: "not matured yet", len(each): "matured"}.get(len(closed), "matured in part")
        assert line["state"] == state
        if not closed:
            assert math.isnan(line["default_rate"])
            continue
        interval = binomtest(bad, len(closed)).proportion_ci(method="wilson")
        assert [line["default_rate"], line["default_rate_low"], line["default_rate_high"]] == pytest.approx(
            [bad / len(closed), interval.low, interval.high], abs=1e-6
        )
        assert line["expected_rate"] == pytest.approx(np.mean([p for _, p in closed]))
        if math.isnan(line["auc"]):
            assert min(bad, len(closed) - bad) < 10
        else:
            assert line["auc"] == pytest.approx(roc_auc_score(*zip(*closed, strict=True)))
            assert line["gini"] == pytest.approx(2 * line["auc"] - 1)
    assert set(table["state"]) == {"matured", "matured in part", "not matured yet"}


def test_open_loans_change_no_figure_however_they_fare() -> None:
    found = mixed(1)
    open_ones = ~found.outcomes.loans["matured"]
    changed = watched(found.scores, found.outcomes.loans.assign(bad=found.outcomes.loans["bad"] | open_ones))
    before, after = vintages(found), vintages(changed)
    moved = {name for name in before.figures if before.figures[name] != after.figures[name]}
    assert moved == {"bad_so_far"}
    same = [table.drop(columns="bad_so_far") for table in (before.tables[BY_VINTAGE], after.tables[BY_VINTAGE])]
    pd.testing.assert_frame_equal(*same)


def test_loans_without_a_valid_score_are_counted() -> None:
    given = scores([{"seller_id": "A", "as_of": "2024-03-01"}])
    paid_out = [
        ("A", "2024-02-01", True, False),  # before the first score: nobody could have relied on one
        ("A", "2024-03-05", True, False),
        ("A", "2024-06-01", True, True),
        ("B", "2024-03-05", True, False),
    ]
    found = vintages(watched(given, loans(paid_out)))
    assert (found.figures["loans"], found.figures["unmatched"], found.figures["bad"]) == (1, 2, 0)
    assert "1 loans met a score" in found.summary
    assert "2 since the first score met none" in found.summary


def test_loans_that_the_model_learnt_from_are_no_evidence() -> None:
    made = judged(np.random.default_rng(4), 300)
    params = {
        "evidence": "out_of_time",
        "train_before": "2024-06-01",
        "train_rows": "1",
        "split.unseen_share": "0.3",
        "split.salt": "sellerscore",
    }
    found = watched(
        made.scores, made.outcomes.loans, model=KnownModel(small_bundle(), Version(3, "r", params, {}, {}, {}))
    )
    days, figures = made.outcomes.loans["day"], vintages(found).figures
    early = int((days < "2024-06-01").sum())
    assert 0.6 * early < figures["learnt"] < 0.8 * early
    assert figures["learnt"] + figures["loans"] == 300
    assert figures["unmatched"] == 0
    assert f"{figures['learnt']:.0f} more did that the model learnt from" in vintages(found).summary
    final = {**params, "served_before": "2024-09-01"}
    found = watched(
        made.scores, made.outcomes.loans, model=KnownModel(small_bundle(), Version(3, "r", final, {}, {}, {}))
    )
    assert vintages(found).figures["learnt"] == int((days < "2024-09-01").sum())


def test_only_the_latest_vintages_are_judged_together() -> None:
    made = judged(np.random.default_rng(5), 600)
    config = MonitorConfig(outcomes=OutcomeLimits(vintages=3))
    found = watched(made.scores, made.outcomes.loans, config=config)
    assert sorted(latest(found)["vintage"].unique()) == ["2024-10", "2024-11", "2024-12"]
    assert vintages(found).figures["matured"] == len(latest(found)) < 300
    assert len(vintages(found).tables[BY_VINTAGE]) == 12


@pytest.mark.parametrize(
    ("known", "words"),
    [
        (None, "There are no loans. So nobody can say yet how scores fared."),
        ([], "0 loans met a score: they were paid out while it was valid. 0 since"),
        ([("A", "2025-12-03", False, True)], "None of them has had all its months (90+ days past due within 12"),
    ],
)
def test_without_matured_loans_it_says_so_and_raises_nothing(known: list | None, words: str) -> None:
    given = scores([{"seller_id": "A", "as_of": "2025-12-01"}])
    found = vintages(watched(given, None if known is None else loans(known)))
    assert words in found.summary
    assert not found.alarms
    assert "default_rate" not in found.figures


def test_a_model_that_ranks_as_validated_raises_no_alarm_and_one_that_does_not_does() -> None:
    quiet = [vintages(judged(np.random.default_rng(seed), 1_500)).alarms for seed in range(5)]
    assert quiet == [()] * 5
    made = judged(np.random.default_rng(1), 1_500)
    by_chance = made.outcomes.loans.assign(bad=np.random.default_rng(2).random(1_500) < 0.1)
    (alarm,) = vintages(watched(made.scores, by_chance)).alarms
    assert alarm.startswith("The model ranks worse than when it was validated: AUC 0.5")


def test_outcomes_name_the_day_up_to_which_they_are_known() -> None:
    made = judged(np.random.default_rng(1), 100)
    found = watched(made.scores, outcomes=Outcomes(made.outcomes.loans, None, f"No {DEFINITION}."))
    assert vintages(found).summary.startswith(f"No {DEFINITION}.")

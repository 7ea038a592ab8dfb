"""What changed between two scores of one seller adds up exactly, whatever models made them; mix-ups are named."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import UTC, datetime
from itertools import combinations
from typing import Any

import pytest

import api.models.bundle_store
from api.operations.retention import drop_expired
from scoring import Bundle
from scoring.model import Calibration
from scoring.scale import Scale
from scoring.sheet import HistoryThreshold
from tests.api.conftest import NEWCOMER, SELLERS, other_catalogue
from tests.api.scores.conftest import Bank, files_of

SOME_ID = "0b8f3f0e-2f0c-4e0b-9d3c-8a2b6a1f7c55"


def changed(bank: Bank, score: dict[str, Any], since: dict[str, Any]) -> Any:
    return bank.get(f"/v1/scores/{score['id']}/changes", since=since["id"])


def adding_up(answer: Any) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    points = sum(each["points"] for each in found["features"])
    assert found["by_model"] + points == found["difference"] == found["now"]["score"] - found["before"]["score"]
    assert all(each["points"] for each in found["features"])
    return found


def with_policy(bundle: Bundle, **changes: Any) -> Bundle:
    return Bundle.from_files(files_of(replace(bundle, policy=replace(bundle.policy, **changes))))


@pytest.fixture(scope="module")
def others(bundle: Bundle) -> list[Bundle]:
    """Models of the same catalogue: another calibration, and a scale so narrow that its ends cut scores off."""
    narrow = Scale(min=int(bundle.policy.scale.points) - 110, max=int(bundle.policy.scale.points) - 100)
    return [with_policy(bundle, calibration=Calibration(0.7, -0.4)), with_policy(bundle, scale=narrow)]


def test_all_pairs_of_a_sellers_scores_add_up_over_days_and_models(bank: Bank, others: list[Bundle]) -> None:
    made: dict[str, list[dict[str, Any]]] = {seller: [] for seller in SELLERS[:4]}

    def score_all() -> None:
        for seller, scores in made.items():
            scores.append(bank.score(seller))

    score_all()
    for days, other in enumerate(others, 1):
        bank.move_on(days, seed=days)
        score_all()
        with bank.judged_by(other):
            score_all()
    seen = set()
    for scores in made.values():
        for before, now in combinations(scores, 2):
            found = adding_up(changed(bank, now, before))
            one, other = (each["assessment"]["versions"]["bundle"] for each in (before, now))
            assert found["basis"] == ("same_model" if one == other else "restated")
            assert found["by_model"] == 0 or one != other
            same_day = before["assessment"]["as_of"] == now["assessment"]["as_of"]
            assert not (same_day and found["features"])
            seen.add(
                (found["basis"], bool(found["by_model"]), any(e["feature"] == "scale_limit" for e in found["features"]))
            )
    assert {("same_model", False, False), ("restated", True, False), ("restated", True, True)} <= seen


@pytest.mark.databases
def test_what_moved_is_told_with_both_values(bank: Bank) -> None:
    before = bank.score()
    bank.move_on(1, seed=5)
    now = bank.score()
    found = adding_up(changed(bank, now, before))
    values = [
        {item["feature"]: item["value"] for item in each["assessment"]["explanation"]["contributions"]}
        for each in (before, now)
    ]
    for each in found["features"]:
        assert (each["before"], each["now"]) == tuple(which[each["feature"]] for which in values)
    assert (found["seller_id"], found["before"]["id"], found["now"]["id"]) == (SELLERS[0], before["id"], now["id"])
    assert (found["before"]["as_of"], found["now"]["as_of"]) == ("2026-01-31", "2026-02-01")


def test_where_the_catalogue_changed_all_is_the_models(bank: Bank, bundle: Bundle) -> None:
    before = bank.score()
    catalogue = other_catalogue().catalogue
    sheet = replace(bundle.sheet, catalogue=catalogue)
    other = Bundle.from_files(files_of(with_policy(replace(bundle, sheet=sheet), calibration=Calibration(0.6, -0.5))))
    bank.move_on(1, seed=3, catalogue=catalogue)
    with bank.judged_by(other):
        now = bank.score()
    found = adding_up(changed(bank, now, before))
    assert (found["basis"], found["features"], found["by_model"]) == ("model_only", [], found["difference"])
    assert "cannot score the earlier values" in found["statement"]


def test_where_the_later_model_would_not_score_the_earlier_figures_all_is_its(bank: Bank, bundle: Bundle) -> None:
    before = bank.score()
    stricter = replace(bundle.sheet, history=(HistoryThreshold(bundle.sheet.names[0], 500.0),))
    other = Bundle.from_files(files_of(replace(bundle, sheet=stricter)))
    with bank.judged_by(other):
        refused = bank.score()
        found = changed(bank, refused, before).json()
        assert (found["basis"], found["difference"], found["now"]["outcome"]) == (
            "no_number",
            None,
            "insufficient_history",
        )
        later = bank.move_on(1, seed=4)
        rows = [(seller, (600.0, *(0.5,) * (len(bundle.sheet.names) - 1))) for seller in SELLERS]
        bank.services.vectors.replace(later, rows)
        now = bank.score()
        assert adding_up(changed(bank, now, before))["basis"] == "model_only"


def test_without_a_number_there_is_no_difference_and_it_is_said(bank: Bank) -> None:
    before, now = bank.score(NEWCOMER), bank.score(NEWCOMER)
    found = changed(bank, now, before).json()
    assert (found["basis"], found["difference"], found["by_model"], found["features"]) == ("no_number", None, None, [])
    assert "no number" in found["statement"]


def test_mix_ups_are_named(bank: Bank) -> None:
    first, second, another = bank.score(), bank.score(), bank.score(SELLERS[1])
    for score, since, words in (
        (first, second, "not earlier"),
        (first, first, "not earlier"),
        (another, first, "different sellers"),
    ):
        answer = changed(bank, score, since)
        assert (answer.status_code, answer.json()["type"]) == (409, "/problems/scores-not-comparable")
        assert words in answer.json()["detail"]
    later = bank.move_on(-3, seed=6)
    older = bank.score()
    answer = changed(bank, older, second)
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/scores-not-comparable")
    assert later.as_of.isoformat() in answer.json()["detail"]


def test_a_score_that_is_not_there_is_said_which(bank: Bank) -> None:
    score = bank.score()
    for now, since, words in ((score["id"], SOME_ID, "in `since`"), (SOME_ID, score["id"], "in the path")):
        answer = bank.get(f"/v1/scores/{now}/changes", since=since)
        assert (answer.status_code, answer.json()["type"]) == (404, "/problems/unknown-score")
        assert words in answer.json()["detail"]
    for query in ({}, {"since": "none"}):
        answer = bank.get(f"/v1/scores/{score['id']}/changes", **query)
        assert (answer.status_code, answer.json()["errors"][0]["where"]) == (422, "query/since")


def test_a_score_that_cannot_be_read_is_said_which(bank: Bank) -> None:
    before, gone, after = bank.score(SELLERS[1]), bank.score(), bank.score(SELLERS[1])
    bank.erase(SELLERS[0])
    for score, since, words in ((gone, before, "in the path"), (after, gone, "in `since`")):
        answer = changed(bank, score, since)
        assert (answer.status_code, answer.json()["type"]) == (410, "/problems/erased")
        assert f"The score {words} cannot be read. The data of this seller" in answer.json()["detail"]
    now = datetime.now(UTC)
    moment = datetime.fromisoformat(after["scored_at"])
    drop_expired(bank.services.engine, before=moment, now=now)
    answer = changed(bank, after, before)
    assert (answer.status_code, answer.json()["type"]) == (410, "/problems/past-retention")
    assert "The score in `since` cannot be read. The content of this score" in answer.json()["detail"]


def test_the_earlier_model_need_not_be_kept_and_the_later_one_must(bank: Bank, others: list[Bundle]) -> None:
    former, latter = others

    def forget(bundle: Bundle) -> None:
        api.models.bundle_store._load_cached.cache_clear()
        shutil.rmtree(bank.services.settings.home / "bundles" / bundle.digest.removeprefix("sha256:"))

    with bank.judged_by(former):
        before = bank.score()
    with bank.judged_by(latter):
        now = bank.score()
    forget(former)
    adding_up(changed(bank, now, before))
    forget(latter)
    answer = changed(bank, now, before)
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/bundle-not-kept")
    # of one model nothing has to be scored again
    with bank.judged_by(latter):
        again = bank.score()
    forget(latter)
    assert adding_up(changed(bank, again, now))["basis"] == "same_model"

"""Comparison of two scores of a seller: the parts sum exactly, whatever models issued them; wrong pairs are named."""

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
from tests.api.scores.conftest import SOME_ID, Bank, assert_problem, files_of, with_policy


def compare(bank: Bank, score: dict[str, Any], since: dict[str, Any]) -> Any:
    return bank.get(f"/v1/scores/{score['id']}/changes", since=since["id"])


def sums_exactly(response: Any) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    changes: dict[str, Any] = response.json()
    points = [feature["points"] for feature in changes["features"]]
    total = changes["by_model"] + sum(points)
    assert total == changes["difference"] == changes["now"]["score"] - changes["before"]["score"]
    assert all(points)
    return changes


@pytest.fixture(scope="module")
def other_models(bundle: Bundle) -> list[Bundle]:
    """Models of the same catalogue: another calibration, and a scale so narrow that its limits apply."""
    points = int(bundle.policy.scale.points)
    narrow = Scale(min=points - 110, max=points - 100)
    return [with_policy(bundle, calibration=Calibration(0.7, -0.4)), with_policy(bundle, scale=narrow)]


def test_all_pairs_of_a_sellers_scores_sum_exactly_over_days_and_models(bank: Bank, other_models: list[Bundle]) -> None:
    issued: dict[str, list[dict[str, Any]]] = {seller: [] for seller in SELLERS[:4]}

    def score_all() -> None:
        for seller, scores in issued.items():
            scores.append(bank.score(seller))

    score_all()
    for days, other in enumerate(other_models, 1):
        bank.deliver(days, seed=days)
        score_all()
        with bank.served_by(other):
            score_all()
    kinds = set()
    for before, now in (pair for scores in issued.values() for pair in combinations(scores, 2)):
        changes = sums_exactly(compare(bank, now, before))
        same_model = before["assessment"]["versions"] == now["assessment"]["versions"]
        assert changes["basis"] == ("same_model" if same_model else "restated")
        assert changes["by_model"] == 0 or not same_model
        assert before["assessment"]["as_of"] != now["assessment"]["as_of"] or not changes["features"]
        limited = any(feature["feature"] == "scale_limit" for feature in changes["features"])
        kinds.add((changes["basis"], bool(changes["by_model"]), limited))
    assert {("same_model", False, False), ("restated", True, False), ("restated", True, True)} <= kinds


@pytest.mark.databases
def test_a_feature_that_moved_has_both_values(bank: Bank) -> None:
    before = bank.score()
    bank.deliver(1, seed=5)
    now = bank.score()
    changes = sums_exactly(compare(bank, now, before))
    was, is_now = (
        {item["feature"]: item["value"] for item in score["assessment"]["explanation"]["contributions"]}
        for score in (before, now)
    )
    for feature in changes["features"]:
        assert (feature["before"], feature["now"]) == (was[feature["feature"]], is_now[feature["feature"]])
    assert (changes["seller_id"], changes["before"]["id"], changes["now"]["id"]) == (
        SELLERS[0],
        before["id"],
        now["id"],
    )
    assert (changes["before"]["as_of"], changes["now"]["as_of"]) == ("2026-01-31", "2026-02-01")


def test_if_the_catalogue_changed_the_model_explains_the_whole_difference(bank: Bank, bundle: Bundle) -> None:
    before = bank.score()
    catalogue = other_catalogue().catalogue
    other = with_policy(
        replace(bundle, sheet=replace(bundle.sheet, catalogue=catalogue)), calibration=Calibration(0.6, -0.5)
    )
    bank.deliver(1, seed=3, catalogue=catalogue)
    with bank.served_by(other):
        now = bank.score()
    changes = sums_exactly(compare(bank, now, before))
    assert (changes["basis"], changes["features"], changes["by_model"]) == ("model_only", [], changes["difference"])
    assert "cannot score the earlier values" in changes["statement"]


def test_if_the_later_model_gives_the_earlier_values_no_number_it_explains_the_difference(
    bank: Bank, bundle: Bundle
) -> None:
    before = bank.score()
    stricter = replace(bundle.sheet, history=(HistoryThreshold(bundle.sheet.names[0], 500.0),))
    with bank.served_by(Bundle.from_files(files_of(replace(bundle, sheet=stricter)))):
        changes = compare(bank, bank.score(), before).json()
        outcome = (changes["basis"], changes["difference"], changes["now"]["outcome"])
        assert outcome == ("no_number", None, "insufficient_history")
        later = bank.deliver(1, seed=4)
        rows = [(seller, (600.0, *(0.5,) * (len(bundle.sheet.names) - 1))) for seller in SELLERS]
        bank.services.vectors.replace(later, rows)
        assert sums_exactly(compare(bank, bank.score(), before))["basis"] == "model_only"


def test_without_a_number_there_is_no_difference(bank: Bank) -> None:
    before, now = bank.score(NEWCOMER), bank.score(NEWCOMER)
    changes = compare(bank, now, before).json()
    assert (changes["basis"], changes["difference"], changes["by_model"]) == ("no_number", None, None)
    assert changes["features"] == []
    assert "no number" in changes["statement"]


def test_pairs_that_cannot_be_compared_are_named(bank: Bank) -> None:
    first, second, another = bank.score(), bank.score(), bank.score(SELLERS[1])
    earlier_data = bank.deliver(-3, seed=6)
    older = bank.score()
    for score, since, words in (
        (first, second, "not earlier"),
        (first, first, "not earlier"),
        (another, first, "different sellers"),
        (older, second, earlier_data.as_of.isoformat()),
    ):
        assert_problem(compare(bank, score, since), 409, "scores-not-comparable", words)
    assert_problem(compare(bank, first, {"id": SOME_ID}), 404, "unknown-score", "in `since`")
    assert_problem(compare(bank, {"id": SOME_ID}, first), 404, "unknown-score", "in the path")
    for query in ({}, {"since": "none"}):
        response = bank.get(f"/v1/scores/{first['id']}/changes", **query)
        assert (response.status_code, response.json()["errors"][0]["where"]) == (422, "query/since")


def test_a_score_that_cannot_be_read_is_named(bank: Bank) -> None:
    before, erased, after = bank.score(SELLERS[1]), bank.score(), bank.score(SELLERS[1])
    bank.erase(SELLERS[0])
    detail = "The score {} cannot be read. The data of this seller"
    assert_problem(compare(bank, erased, before), 410, "erased", detail.format("in the path"))
    assert_problem(compare(bank, after, erased), 410, "erased", detail.format("in `since`"))
    drop_expired(
        bank.services.engine,
        bank.services.receipts,
        before=datetime.fromisoformat(after["scored_at"]),
        now=datetime.now(UTC),
    )
    dropped = "The score in `since` cannot be read. The content of this score"
    assert_problem(compare(bank, after, before), 410, "past-retention", dropped)


def test_only_the_later_model_must_be_stored(bank: Bank, other_models: list[Bundle]) -> None:
    former, latter = other_models

    def remove(bundle: Bundle) -> None:
        api.models.bundle_store._load_cached.cache_clear()
        shutil.rmtree(bank.services.settings.home / "bundles" / bundle.digest.removeprefix("sha256:"))

    with bank.served_by(former):
        before = bank.score()
    with bank.served_by(latter):
        now = bank.score()
    remove(former)
    sums_exactly(compare(bank, now, before))
    remove(latter)
    assert_problem(compare(bank, now, before), 409, "bundle-not-kept")
    # two scores of one model are compared without it
    with bank.served_by(latter):
        latest = bank.score()
    remove(latter)
    assert sums_exactly(compare(bank, latest, now))["basis"] == "same_model"

"""Replays: a stored score is recomputed from what is stored, and every changed value is named."""

from __future__ import annotations

import random
import shutil
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import api.models.bundle_store
from api.models.bundle_store import save_bundle
from api.settings import Settings
from scoring import Bundle
from scoring.model import Calibration
from tests.api.conftest import NAMES, NEWCOMER, SELLERS, Opener
from tests.api.scores.conftest import SOME_ID, Bank, assert_problem, files_of, with_policy
from tests.counts import REPLAYS

MATCH = {"matches": True, "differences": []}


@pytest.mark.databases
def test_every_score_replays_to_the_same_bytes(bank: Bank) -> None:
    for seller_id in (*SELLERS, NEWCOMER):
        response = bank.replay(bank.score(seller_id))
        assert (response.status_code, response.json()) == (200, MATCH)
        assert response.headers["cache-control"] == "no-store"


@pytest.mark.databases
def test_a_changed_input_is_named_and_the_score_cannot_be_read(bank: Bank) -> None:
    score = bank.score(SELLERS[3])
    stored = score["assessment"]["explanation"]["contributions"][2]["value"]
    bank.alter(score, lambda content: content["inputs"]["values"].__setitem__(2, 0.987))
    replay = bank.replay(score).json()
    assert replay["matches"] is False
    assert {"path": "/explanation/contributions/2/value", "stored": stored, "now": 0.987} in replay["differences"]
    assert_problem(bank.get(f"/v1/scores/{score['id']}"), 500, "ledger-damaged")


def test_an_input_that_changes_the_outcome_is_named(bank: Bank) -> None:
    score = bank.score(SELLERS[3])
    bank.alter(score, lambda content: content["inputs"]["values"].__setitem__(0, 5.0))
    differences = {item["path"]: (item["stored"], item["now"]) for item in bank.replay(score).json()["differences"]}
    assert differences["/outcome"] == ("scored", "insufficient_history")
    assert {"/score", "/band", "/probability_of_default", "/explanation", "/shortfalls"} < set(differences)


def test_a_changed_assessment_is_named(bank: Bank) -> None:
    score = bank.score(SELLERS[4])
    bank.alter(score, lambda content: content["envelope"]["assessment"].update(score=899))
    (difference,) = bank.replay(score).json()["differences"]
    assert difference == {"path": "/score", "stored": 899, "now": score["assessment"]["score"]}


def test_a_score_of_a_former_model_is_replayed_by_that_model(bank: Bank, bundle: Bundle) -> None:
    former = with_policy(bundle, calibration=Calibration(0.7, -0.4))
    with bank.served_by(former):
        score = bank.score()
    assert score["assessment"]["versions"]["bundle"] == former.digest != bundle.digest
    assert bank.replay(score).json() == MATCH
    settings = bank.services.settings
    api.models.bundle_store._load_cached.cache_clear()
    shutil.rmtree(settings.home / "bundles" / former.digest.removeprefix("sha256:"))
    missing = bank.replay(score)
    save_bundle(settings, former.digest, {**files_of(former), "manifest.json": b"{}"})
    damaged = bank.replay(score)
    for response in (missing, damaged):
        assert_problem(response, 409, "bundle-not-kept")


@pytest.mark.parametrize(
    "values", [[1.0], [*([0.5] * (len(NAMES) - 1)), "x"], None, "text", [[0.5]] * len(NAMES), [True] * len(NAMES)]
)
def test_inputs_that_no_model_accepts_are_a_problem_and_no_internal_error(bank: Bank, values: Any) -> None:
    score = bank.score(SELLERS[3])
    bank.alter(score, lambda content: content["inputs"].update(values=values))
    response = bank.replay(score)
    assert response.status_code in {200, 409, 500}
    assert response.json().get("type") != "/problems/internal-error"
    assert response.json().get("matches") is not True


def test_an_assessment_without_the_day_of_the_request_is_damaged(bank: Bank) -> None:
    score = bank.score()
    bank.alter(score, lambda content: content["inputs"].pop("requested_on"))
    assert_problem(bank.replay(score), 500, "ledger-damaged")


def test_an_unknown_score_cannot_be_replayed(bank: Bank) -> None:
    assert_problem(bank.replay({"id": SOME_ID}), 404, "unknown-score")
    assert bank.replay({"id": "none"}).status_code == 422


@pytest.mark.repeated
def test_of_many_scores_the_one_whose_input_was_changed_is_found(stored_in: Settings, open_client: Opener) -> None:
    settings = stored_in.model_copy(update={"rate_limit_calls": 10_000_000})
    sellers = (*SELLERS, NEWCOMER)
    with open_client(settings) as client, ThreadPoolExecutor(4) as pool:
        bank = Bank(client)
        scores = list(pool.map(lambda number: bank.score(sellers[number % len(sellers)]), range(REPLAYS)))
        assert [response.json() for response in pool.map(bank.replay, scores)] == [MATCH] * REPLAYS
        scored = [score for score in scores if score["assessment"]["outcome"] == "scored"]
        changed = random.choice(scored)  # noqa: S311 - another one each run
        bank.alter(changed, lambda content: content["inputs"]["values"].__setitem__(4, 0.9))
        replays = {score["id"]: bank.replay(score).json() for score in [*scores[-50:], changed]}
    assert [score_id for score_id, replay in replays.items() if not replay["matches"]] == [changed["id"]]
    stored = changed["assessment"]["explanation"]["contributions"][4]["value"]
    difference = {"path": "/explanation/contributions/4/value", "stored": stored, "now": 0.9}
    assert difference in replays[changed["id"]]["differences"]

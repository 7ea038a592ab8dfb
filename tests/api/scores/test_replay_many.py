"""Thousands of stored scores are made again and all match; one stored input that was changed is found and named."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from api.settings import Settings
from tests.api.conftest import NEWCOMER, SELLERS, Opener
from tests.api.scores.test_replay import again, ask, change
from tests.counts import REPLAYS

pytestmark = pytest.mark.repeated


def test_all_match_and_the_one_that_was_changed_is_named(stored_in: Settings, open_client: Opener) -> None:
    settings = stored_in.model_copy(update={"rate_limit_calls": 10_000_000})
    sellers = (*SELLERS, NEWCOMER)
    with open_client(settings) as client, ThreadPoolExecutor(4) as pool:
        scores = list(pool.map(lambda number: ask(client, sellers[number % len(sellers)]), range(REPLAYS)))
        answers = list(pool.map(lambda score: again(client, score), scores))
        assert {answer.status_code for answer in answers} == {200}
        assert sum(answer.json() == {"matches": True, "differences": []} for answer in answers) == REPLAYS

        scored = [score for score in scores if score["assessment"]["outcome"] == "scored"]
        changed = random.choice(scored)  # noqa: S311 - another one each run
        change(
            client.app.state.services, changed["id"], lambda content: content["inputs"]["values"].__setitem__(4, 0.9)
        )
        found = {score["id"]: again(client, score).json() for score in scores[-50:]} | {
            changed["id"]: again(client, changed).json()
        }
    assert [score_id for score_id, answer in found.items() if not answer["matches"]] == [changed["id"]]
    was = changed["assessment"]["explanation"]["contributions"][4]["value"]
    named = {"path": "/explanation/contributions/4/value", "stored": was, "now": 0.9}
    assert named in found[changed["id"]]["differences"]

"""The score log: loans matched with scores, and the models that issued them."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from scoring import Bundle
from tests.counts import repeat
from tests.training.monitor.builders import TODAY, loans, scores, small_bundle
from tests.world import World, shared_world
from training.monitor.score_log import ScoreSource, find_models, match_loans, select_scores
from training.registry import Registry, find_version

FIRST = date(2025, 1, 1)

DAYS = st.integers(0, 70).map(lambda days: FIRST + timedelta(days=days))

SELLERS = st.sampled_from(["A", "B", "卖家"])

SCORES = st.lists(
    st.fixed_dictionaries(
        {
            "seller_id": SELLERS,
            "as_of": DAYS,
            "valid_days": st.sampled_from([1.0, 7.0, 30.0]),
            "outcome": st.sampled_from(["scored", "scored", "scored", "stale_data"]),
            "probability_of_default": st.floats(0.01, 0.5),
        }
    ),
    max_size=12,
)

LOANS = st.lists(st.tuples(SELLERS, DAYS, st.booleans(), st.booleans()), max_size=8)


def oracle(rows: list[dict[str, object]], loan_rows: list[tuple[str, date, bool, bool]]) -> list[tuple]:
    """For each loan, return the latest valid score of the seller; of one midnight, the last request."""
    latest_by_midnight = {(score["seller_id"], score["as_of"]): score for score in rows}
    found = []
    for seller, day, _, _ in loan_rows:
        valid = [
            score
            for score in latest_by_midnight.values()
            if score["seller_id"] == seller
            and score["outcome"] == "scored"
            and score["as_of"] <= day
            and (day - score["as_of"]).days < score["valid_days"]
        ]
        if valid:
            latest = max(valid, key=lambda score: score["as_of"])
            found.append((seller, day, latest["as_of"], latest["probability_of_default"]))
    return sorted(found)


@pytest.mark.repeated
@hypothesis_settings(max_examples=repeat(25, 60), deadline=None)
@given(SCORES, LOANS)
def test_a_loan_matches_the_latest_valid_score(
    rows: list[dict[str, object]], loan_rows: list[tuple[str, date, bool, bool]]
) -> None:
    found = match_loans(select_scores(scores(rows), TODAY), loans(loan_rows))
    shown = zip(
        found["seller_id"], found["day"].dt.date, found["as_of"].dt.date, found["probability_of_default"], strict=True
    )
    assert sorted(shown) == oracle(rows, loan_rows)
    assert (found["vintage"] == found["as_of"].dt.strftime("%Y-%m")).all()


@pytest.mark.parametrize(
    ("day", "matches"),
    [("2025-02-28", 0), ("2025-03-01", 1), ("2025-03-30", 1), ("2025-03-31", 0)],
    ids=["before its midnight", "on its day", "on the last day", "when it has expired"],
)
def test_a_score_matches_loans_while_it_is_valid(day: str, matches: int) -> None:
    rows = scores([{"seller_id": "A", "as_of": "2025-03-01"}])
    assert len(match_loans(rows, loans([("A", day, True, False)]))) == matches


def test_an_expired_score_gives_way_to_an_older_valid_one() -> None:
    rows = scores({"seller_id": "A", "as_of": ["2025-03-01", "2025-03-10"], "valid_days": [90.0, 7.0]})
    found = match_loans(rows, loans([("A", "2025-03-12", True, False), ("A", "2025-03-20", True, True)]))
    assert found["as_of"].dt.day.tolist() == [10, 1]


def test_of_several_requests_for_a_midnight_the_latest_counts() -> None:
    day, own = "2025-03-01", small_bundle().digest
    twice = [
        {"as_of": day, "model": own, "scored_at": "2025-03-02 09:00", "probability_of_default": 0.2},
        {"as_of": day, "model": own, "scored_at": "2025-03-01 09:00", "probability_of_default": 0.1},
        {"as_of": day, "model": "sha256:other", "probability_of_default": 0.3},
        {"as_of": "2026-01-02", "model": own, "probability_of_default": 0.4},
    ]
    known = select_scores(scores([row | {"seller_id": "A"} for row in twice]), TODAY)
    found = dict(zip(known["model"], known["probability_of_default"], strict=True))
    assert found == {own: 0.2, "sha256:other": 0.3}


def test_without_loans_or_scores_there_is_no_match() -> None:
    rows, loan = [{"seller_id": "A", "as_of": "2025-03-01"}], [("A", "2025-03-01", True, False)]
    assert match_loans(scores([]), loans(loan)).empty
    assert match_loans(scores(rows), loans([])).empty
    assert match_loans(scores([]), loans([])).empty


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    world: World = shared_world(tmp_path_factory).copy(tmp_path_factory.mktemp("models"))
    return Registry.on_sqlite(world.home)


def source_with(*bundles: Bundle) -> ScoreSource:
    kept = {bundle.digest: bundle for bundle in bundles}
    return ScoreSource(pd.DataFrame, pd.DataFrame, kept.get, lambda: None)


def test_bundles_come_from_the_store_or_the_registry(registry: Registry) -> None:
    registered = find_version(registry, "1").tags["bundle"]
    own, missing = small_bundle().digest, "sha256:" + "0" * 64
    found = find_models([registered, own, missing, own], source_with(small_bundle()), registry)
    assert {digest: model.name for digest, model in found.by_digest.items()} == {
        registered: "version 1",
        own: f"bundle {own[:19]}",
    }
    assert found.by_digest[registered].bundle.digest == registered
    assert found.missing == (missing,)
    assert found.registry_error == ""


def test_without_the_registry_stored_bundles_have_no_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    own, other = small_bundle().digest, "sha256:" + "0" * 64
    found = find_models([own, other], source_with(small_bundle()), Registry("http://127.0.0.1:9", tmp_path))
    assert (list(found.by_digest), found.missing) == ([own], (other,))
    assert found.by_digest[own].version is None
    assert found.registry_error.startswith("The MLflow registry at http://127.0.0.1:9 does not answer. ")


def test_a_registered_model_without_a_bundle_is_missing(registry: Registry) -> None:
    digest = find_version(registry, "1").tags["bundle"]
    folder = registry.artifacts.parent / "elsewhere"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mlflow.artifacts.download_artifacts", lambda *_, **__: str(folder))
        assert find_models([digest], source_with(), registry).missing == (digest,)

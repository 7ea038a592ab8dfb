"""The score source: the rows that monitoring reads equal the stored scores, and reading changes nothing."""

from __future__ import annotations

import json
import shutil
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

import sellerscore
from api.kit.database import open_database, transaction
from api.ledger.store import open_ledger
from api.scores import repository as scores
from api.scores import shadow as shadows
from api.scores.export import export_scores, export_shadow_scores
from api.scores.shadow import ShadowScore
from api.settings import Settings
from features.catalogue import CATALOGUE
from tests.training.monitor.conftest import MIDNIGHTS, SECOND, SELLERS, Served
from training.monitor.score_log import SCORES, SHADOW, select_scores


def test_every_answer_is_a_row(served: Served) -> None:
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
        assert (row.outcome, row.score) == (answer["outcome"], answer["score"])
        assert row.probability_of_default == answer["probability_of_default"]
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
    champion = source.champion()
    assert source.bundle(champion.digest).digest == champion.digest
    assert source.bundle(served.other).digest == served.other
    assert source.bundle("sha256:" + "0" * 64) is None


def test_what_a_challenger_says_comes_in_the_order_of_the_scores(served: Served, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    settings = Settings(home=home)
    (home / "sellerscore.db").write_bytes((served.home / "sellerscore.db").read_bytes())
    shutil.copytree(served.home / "keys", home / "keys")
    first, second = [row.score_id for row in export_scores(settings)][:2]
    engine = open_database(settings.database_url)
    with transaction(engine) as connection:
        found = [
            ShadowScore(second, "sha256:b", "stale_data", None, None, None),
            ShadowScore(first, "sha256:b", "scored", 611, "B", 0.02),
        ]
        shadows.insert_shadow_scores(connection, found)
    engine.dispose()
    rows = [vars(row) for row in export_shadow_scores(settings)]
    assert [row["score_id"] for row in rows] == [first, second]
    assert [rows[0][column] for column in SHADOW] == [first, "sha256:b", "scored", 611, 0.02]


def test_where_there_is_no_database_none_is_made(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    assert list(export_scores(settings)) == list(export_shadow_scores(settings)) == []
    assert not list(tmp_path.iterdir())

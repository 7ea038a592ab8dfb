"""A file of `score-portfolio` as scores given: what it says, what it must be told, and whose it is."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from api.portfolio import write_portfolio
from features.store.vectors import Snapshot, StoredVector
from scoring import Bundle
from scoring.bundle import BundleParts, pack
from scoring.model import Calibration
from tests.training.datasets import TABLES, dataset
from tests.training.monitor.made import small_bundle
from training.monitor.errors import MonitorError
from training.monitor.ledger import SCORES
from training.monitor.portfolio import base_points, read_portfolio

DAY = date(2025, 3, 1)


def vectors() -> Iterator[StoredVector]:
    """Sellers of whom every tenth is too young for a score; ids that a reader of CSV could take for something else."""
    snapshot = Snapshot(DAY, "data-1", small_bundle().sheet.catalogue, dict.fromkeys(TABLES, DAY))
    rows = dataset(40, 40, seed=9).features
    rows.loc[::10, "active_days_365d"] = 1.0
    for number, values in enumerate(rows.to_numpy().tolist()):
        seller = {1: "007", 2: "NA", 3: "卖家, 三"}.get(number, f"S-{number:03}")
        yield StoredVector(seller, snapshot, tuple(None if np.isnan(value) else value for value in values))


@pytest.fixture(params=["csv", "parquet"])
def portfolio(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / f"all.{request.param}"
    write_portfolio(small_bundle(), vectors(), DAY, path, lambda _: None)
    return path


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "all.csv"
    write_portfolio(small_bundle(), vectors(), DAY, path, lambda _: None)
    return path


def changed(path: Path, **columns: object) -> Path:
    frame = pd.read_csv(path, dtype={"seller_id": str}, keep_default_na=False)
    frame.assign(**columns).to_csv(path, index=False)
    return path


def test_every_row_is_a_score_given(portfolio: Path) -> None:
    found = read_portfolio(portfolio, small_bundle(), DAY, 30)
    assert list(found.columns) == list(SCORES)
    assert len(found) == 40 == found["score_id"].nunique()
    assert found["seller_id"][1:4].tolist() == ["007", "NA", "卖家, 三"]
    assert (found["model"] == small_bundle().digest).all()
    assert (found["as_of"] == pd.Timestamp(DAY)).all()
    assert (found["valid_days"] == 30).all()
    assert found["outcome"].value_counts().to_dict() == {"scored": 36, "insufficient_history": 4}
    scored = found["outcome"] == "scored"
    assert found.loc[scored, ["score", "probability_of_default"]].notna().all(axis=None)
    assert found.loc[~scored, ["score", "probability_of_default"]].isna().all(axis=None)


def test_both_kinds_of_file_say_the_same(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a.csv", "a.parquet")]
    for path in paths:
        write_portfolio(small_bundle(), vectors(), DAY, path, lambda _: None)
    first, second = (read_portfolio(path, small_bundle(), DAY, 30).drop(columns="score_id") for path in paths)
    pd.testing.assert_frame_equal(first, second)


def test_a_column_as_of_comes_before_the_option(table: Path) -> None:
    days = ["2025-01-01", "2025-02-01"] * 20
    found = read_portfolio(changed(table, as_of=days), small_bundle(), DAY, 30)
    assert found["as_of"].dt.strftime("%Y-%m-%d").tolist() == days


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"base_points": 700}, r"has the base points 700 and the model sha256:\w{12} has \d+; name the model"),
        ({"points_new": 1}, "1 features are not those of both, the first is new; name its model"),
        ({"as_of": "soon"}, r"needs a date \(YYYY-MM-DD\) for as_of; row 2 has none"),
        ({"as_of": "2025-01-01 12:00"}, "row 2 has none"),
        ({"score": ""}, "needs a score where the outcome is scored and nowhere else; row 3"),
        ({"probability_of_default": 0.1}, "needs a probability_of_default where the outcome is scored"),
    ],
)
def test_what_is_no_portfolio_of_this_model_is_one_sentence(
    table: Path, columns: dict[str, object], words: str
) -> None:
    with pytest.raises(MonitorError, match=words) as refusal:
        read_portfolio(changed(table, **columns), small_bundle(), DAY, 30)
    assert "\n" not in str(refusal.value)


def test_a_portfolio_of_another_model_is_refused(table: Path) -> None:
    own = small_bundle()
    parts = BundleParts(own.model.text, own.sheet, own.policy, own.reasons, own.reference)
    other = pack(
        BundleParts(
            parts.model_text,
            parts.sheet,
            type(own.policy)(Calibration(1.0, -0.5), own.policy.scale, own.policy.bands, own.policy.default_definition),
            parts.reasons,
            parts.reference,
        )
    )
    with pytest.raises(MonitorError, match="name the model that made it with --portfolio-model"):
        read_portfolio(table, Bundle.from_files(other), DAY, 30)


def test_a_portfolio_must_be_told_its_midnight(table: Path) -> None:
    with pytest.raises(MonitorError, match="does not say as of which midnight it is; give --as-of"):
        read_portfolio(table, small_bundle(), None, 30)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("all.txt", b"seller_id\n", r"must end in one of \.csv, \.parquet"),
        ("none.csv", None, "cannot be read"),
        ("all.csv", b"seller_id,outcome\nA,scored\n", "lacks the columns score, probability_of_default, base_points"),
        ("all.csv", b"", "cannot be read as csv"),
        ("all.csv", b"\xff\xfe\x00", "cannot be read as csv|lacks the columns"),
        ("all.parquet", b"no parquet", "cannot be read as parquet"),
    ],
)
def test_a_file_that_is_none_is_one_sentence(tmp_path: Path, name: str, content: bytes | None, words: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(MonitorError, match=words) as refusal:
        read_portfolio(tmp_path / name, small_bundle(), DAY, 30)
    assert "\n" not in str(refusal.value)


def test_base_points_are_those_of_every_score(table: Path) -> None:
    shown = pd.read_csv(table)["base_points"].dropna().unique()
    assert shown.tolist() == [base_points(small_bundle())]

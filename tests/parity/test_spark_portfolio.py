"""Scores of a frame are equal on one machine and on Spark."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import time_machine
from typer.testing import CliRunner

import sellerscore
from api.errors import OutputError
from api.models import registry
from features.store.frame_files import write_description
from tests.scoring import build

if TYPE_CHECKING:
    from ibis.backends.pyspark import Backend

BUNDLE = build.bundle()
SELLERS = 300


@pytest.fixture
def frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Sellers with and without a score, with missing values, in three files; the champion is a small model."""
    monkeypatch.setattr(registry, "load_champion", lambda _: SimpleNamespace(bundle=BUNDLE))
    monkeypatch.setenv("SELLERSCORE_HOME", str(tmp_path / "home"))
    matrix = build.rows(build.Recipe(), SELLERS, seed=5)
    matrix[:, 0] = np.where(np.arange(SELLERS) % 5, 100.0 + np.nan_to_num(matrix[:, 0]), 3.0)
    keys = {"seller_id": [f"S-{number:03}" for number in range(SELLERS)], "as_of": [build.AS_OF] * SELLERS}
    values = {name: pa.array(matrix[:, place], from_pandas=True) for place, name in enumerate(BUNDLE.sheet.names)}
    table = pa.table(keys | values)
    folder = tmp_path / "frame"
    folder.mkdir()
    for number in range(3):
        pq.write_table(table.slice(number * 100, 100), folder / f"part-{number}.parquet")
    write_description(folder, "data-1", build.CATALOGUE, dict.fromkeys(("orders", "refunds"), build.AS_OF))
    return folder


def score(frame: Path, engine: str, out: Path) -> dict[str, object]:
    """Score a frame on the day after its date, and return the report."""
    arguments = ["score-portfolio", "--in", frame, "--engine", engine, "--out", out, "--output", "json"]
    with time_machine.travel("2026-02-01T09:00:00+00:00"):
        result = CliRunner().invoke(sellerscore.app, list(map(str, arguments)), catch_exceptions=False)
    report: dict[str, object] = json.loads(result.stdout)
    assert Path(str(report.pop("out"))) == out
    return report


def test_scores_of_a_frame_are_equal_on_both(spark: Backend, frame: Path, tmp_path: Path) -> None:
    assert spark is not None  # the command uses the existing session
    local, on_spark = tmp_path / "local.parquet", tmp_path / "spark.parquet"
    report = score(frame, "local", local)
    assert report["outcomes"] == {"insufficient_history": 64, "scored": 236}
    assert score(frame, "spark", on_spark) == report
    expected, found = (pq.read_table(path).sort_by("seller_id") for path in (local, on_spark))
    assert found.schema.equals(expected.schema)
    assert found.equals(expected)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["frame", "local.parquet", "spark.parquet"]


def test_an_infinite_value_gets_the_same_sentence_on_spark(spark: Backend, frame: Path, tmp_path: Path) -> None:
    assert spark is not None
    out, path, name = tmp_path / "scores.csv", frame / "part-1.parquet", BUNDLE.sheet.names[1]
    out.write_text("before")
    table = pq.read_table(path)
    values = pa.array([math.inf, *table[name].to_pylist()[1:]])
    pq.write_table(table.set_column(table.column_names.index(name), name, values), path)
    with pytest.raises(
        OutputError, match=f"the frame: 1 values .* infinite; the first is {name} of seller 'S-100'. Use"
    ):
        score(frame, "spark", out)
    assert out.read_text() == "before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["frame", "scores.csv"]


def test_spark_needs_a_frame(tmp_path: Path) -> None:
    result = CliRunner().invoke(
        sellerscore.app, ["score-portfolio", "--engine", "spark", "--out", str(tmp_path / "all.csv")]
    )
    assert result.exit_code == 2
    assert "Name it with --in FRAME" in " ".join(result.output.split())

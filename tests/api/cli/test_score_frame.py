"""`score-portfolio --in FRAME`: every column equals `assess` for the same vector; bad frames get one sentence."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import Result
from typer.testing import CliRunner

import sellerscore
from api.errors import OutputError
from api.scores import portfolio
from api.settings import Settings
from features.errors import StoreError
from features.store.frame_files import open_frame, write_description
from features.store.vectors import Snapshot, VectorStore
from scoring import Assessment, Bundle, Vector, assess
from tests.api.conftest import AS_OF, CATALOGUE, NAMES, NOW, SNAPSHOT

Run = Callable[..., Result]


@pytest.fixture
def run(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command over the settings' folder; what it raises is raised."""
    monkeypatch.setenv("SELLERSCORE_HOME", str(settings.home))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", settings.mlflow_uri)
    return lambda *arguments: CliRunner().invoke(sellerscore.app, list(map(str, arguments)), catch_exceptions=False)


def table_of(rows: list[tuple[str, tuple[float | None, ...]]], as_of: object = AS_OF) -> pa.Table:
    values = {name: pa.array([row[place] for _, row in rows], pa.float64()) for place, name in enumerate(NAMES)}
    keys = {"seller_id": pa.array([seller for seller, _ in rows], pa.string()), "as_of": pa.array([as_of] * len(rows))}
    return pa.table(keys | values)


def stored_rows(home: Path) -> list[tuple[str, tuple[float | None, ...]]]:
    return [(vector.seller_id, vector.values) for vector in VectorStore(home / "vectors.db").all_latest()]


def write_frame(folder: Path, *tables: pa.Table, snapshot: Snapshot = SNAPSHOT) -> Path:
    folder.mkdir(parents=True)
    for number, table in enumerate(tables):
        pq.write_table(table, folder / f"part-{number}.parquet")
    write_description(folder, snapshot.data_version, snapshot.catalogue, snapshot.covers_through)
    return folder


@pytest.fixture
def frame(settings: Settings, tmp_path: Path) -> Path:
    """The vectors of the store, as a frame of two files."""
    table = table_of(stored_rows(settings.home))
    return write_frame(tmp_path / "frame", table.slice(0, 40), table.slice(40))


def expected_row(bundle: Bundle, assessment: Assessment) -> dict[str, Any]:
    """Return the columns of one seller, from its assessment."""
    names = ["score", "band", "probability_of_default"]
    row: dict[str, Any] = {"outcome": str(assessment.outcome), **{name: getattr(assessment, name) for name in names}}
    points = [f"points_{entry.name}" for entry in bundle.sheet.scored_entries] + ["points_scale_limit"]
    explained = assessment.explanation
    if explained is None:
        return row | dict.fromkeys(["reasons", "base_points", *points])
    found = {f"points_{item.feature}": item.points for item in explained.contributions}
    codes = ";".join(reason.code for reason in explained.reasons)
    return row | {"reasons": codes, "base_points": explained.base_points, "points_scale_limit": 0} | found


@pytest.mark.parametrize("size", [4096, 7])
def test_every_column_of_a_seller_equals_its_assessment(bundle: Bundle, tmp_path: Path, size: int) -> None:
    rng = np.random.default_rng(11)
    matrix = rng.random((80, len(NAMES)))
    matrix[:, 0] = rng.choice([10.0, 400.0], 80)
    matrix[rng.random(matrix.shape) < 0.2] = np.nan
    values = [tuple(None if math.isnan(value) else value for value in row) for row in matrix.tolist()]
    rows = [(f"S-{number}", row) for number, row in enumerate(values)]
    for covers in (
        {"orders": AS_OF, "refunds": AS_OF},
        {"orders": AS_OF},
        {"orders": AS_OF, "refunds": date(2026, 1, 9)},
    ):
        snapshot = replace(SNAPSHOT, covers_through=covers)
        folder = write_frame(tmp_path / str(len(list(tmp_path.iterdir()))), table_of(rows), snapshot=snapshot)
        blocks = open_frame(folder, NAMES, CATALOGUE).blocks(size)
        out = tmp_path / f"{folder.name}.parquet"
        portfolio.write_portfolio(bundle, blocks, NOW.date(), out, lambda _: None)
        vectors = [Vector(seller, AS_OF, NOW.date(), covers, CATALOGUE, row) for seller, row in rows]
        expected = [
            {"seller_id": vector.seller_id, "as_of": AS_OF, **expected_row(bundle, assessment)}
            for vector, assessment in zip(vectors, assess(bundle, vectors), strict=True)
        ]
        assert pq.read_table(out).to_pylist() == expected


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_frame_of_the_stored_vectors_gives_the_same_file_as_the_store(
    run: Run, frame: Path, tmp_path: Path, suffix: str
) -> None:
    from_store, from_frame = tmp_path / f"store{suffix}", tmp_path / f"frame{suffix}"
    run("score-portfolio", "--out", from_store)
    report = json.loads(run("score-portfolio", "--in", frame, "--out", from_frame, "--output", "json").stdout)
    if suffix == ".csv":
        assert from_frame.read_bytes() == from_store.read_bytes()
    else:
        assert pq.read_table(from_frame).equals(pq.read_table(from_store))
    assert report["outcomes"] == {"insufficient_history": 1, "scored": 60}
    one_file = tmp_path / f"one{suffix}"
    run("score-portfolio", "--in", frame / "part-0.parquet", "--out", one_file)
    assert len(one_file.read_bytes()) < len(from_store.read_bytes())


def test_a_frame_is_stale_eight_days_after_its_data_end(run: Run, settings: Settings, tmp_path: Path) -> None:
    day = AS_OF - timedelta(days=7)
    snapshot = Snapshot(day, "data-0", CATALOGUE, {"orders": day, "refunds": day})
    folder = write_frame(tmp_path / "old", table_of(stored_rows(settings.home), day), snapshot=snapshot)
    out = tmp_path / "old.parquet"
    run("score-portfolio", "--in", folder, "--out", out)
    assert set(pq.read_table(out)["outcome"].to_pylist()) == {"stale_data"}


def test_a_frame_that_fails_late_leaves_the_former_file(run: Run, frame: Path, tmp_path: Path) -> None:
    out = tmp_path / "scores.csv"
    out.write_text("before")
    table = pq.read_table(frame / "part-1.parquet")
    values = pa.array([*table["signal_03"].to_pylist()[:-1], math.inf])
    pq.write_table(
        table.set_column(table.column_names.index("signal_03"), "signal_03", values), frame / "part-1.parquet"
    )
    with pytest.raises(StoreError, match="infinite; the first is signal_03 of seller '卖家 new'"):
        run("score-portfolio", "--in", frame, "--out", out)
    assert out.read_text() == "before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["frame", "home", "scores.csv"]


def test_a_frame_that_does_not_exist_and_an_output_in_the_frame_are_refused(
    run: Run, frame: Path, tmp_path: Path
) -> None:
    with pytest.raises(StoreError, match=r"none cannot be read \(No such file or directory\). Use the folder"):
        run("score-portfolio", "--in", tmp_path / "none", "--out", tmp_path / "scores.csv")
    with pytest.raises(OutputError, match="is a file of the frame"):
        run("score-portfolio", "--in", frame, "--out", frame / "part-0.parquet")

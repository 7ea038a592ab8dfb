"""Outcomes of loans as known on a day, and portfolio files as scores."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from api.scores.portfolio import write_portfolio
from features.ingest import OperatingStore, open_store
from features.pipeline import accepted_rows
from features.store.vectors import Snapshot, VectorBlock
from scoring import Bundle
from scoring.bundle import BundleParts, pack
from scoring.model import Calibration
from tests.oracles.labels_oracle import Loan, after_months, label
from tests.training.datasets import TABLES, dataset
from tests.training.monitor.builders import DEFINITION, small_bundle
from tests.world import shared_world
from training.errors import LabelError, MonitorError
from training.labels import LabelConfig
from training.monitor.inputs import Outcomes, base_points, load_outcomes, read_portfolio
from training.monitor.score_log import SCORES

SAMPLE_SIZE = 150
"""Loans that the oracle labels; it is slow."""

AS_TOLD = "as the label table says"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> OperatingStore:
    return open_store(shared_world(tmp_path_factory).home / "operating")


def known_loans(store: OperatingStore, today: date) -> list[Loan]:
    """Return loans for the oracle, with the rows known by a midnight."""
    midnight = pd.Timestamp(today)
    tables = {name: accepted_rows(store, name) for name in ("loans", "instalments", "payments")}
    known = {name: rows[rows["known_at"] <= midnight] for name, rows in tables.items()}
    loans = known["loans"][known["loans"]["disbursed_at"] < midnight].sample(SAMPLE_SIZE, random_state=2)
    due = dict(list(known["instalments"].groupby("loan_id")))
    paid = dict(list(known["payments"].groupby("loan_id")))
    return [
        Loan(
            row.loan_id,
            row.seller_id,
            row.disbursed_at.to_pydatetime(),
            _pairs(due[row.loan_id], "due_on", day=True),
            _pairs(paid.get(row.loan_id), "paid_at", day=False),
        )
        for row in loans.itertuples()
    ]


def _pairs(rows: pd.DataFrame | None, at: str, *, day: bool) -> tuple[tuple[object, int], ...]:
    if rows is None:
        return ()
    moments = rows[at].dt.date if day else rows[at].dt.to_pydatetime()
    return tuple(zip(moments, (rows["amount"] * 100).round().astype(int).tolist(), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("today", [date(2024, 7, 1), date(2026, 1, 1)])
def test_matured_and_bad_follow_the_definition(store: OperatingStore, today: date) -> None:
    found = load_outcomes(store, DEFINITION, today)
    assert (found.known_through, found.unknown) == (today, "")
    rows = {(row.seller_id, row.day.date()): row for row in found.loans.itertuples()}
    kinds = set()
    for loan in known_loans(store, today):
        row = rows[loan.seller_id, loan.disbursed_at.date()]
        matured = after_months(loan.disbursed_at.date(), 12) <= today
        # before it is matured, the oracle says True for bad and None for open
        assert (row.matured, row.bad) == (matured, bool(label(loan, today, 90, 12)))
        kinds.add((matured, bool(row.bad)))
    assert kinds == {(True, True), (True, False), (False, True), (False, False)}


@pytest.mark.slow
def test_maturity_by_day_and_late_reports_by_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """One loan matures today, one tomorrow; one is paid in time but reported late; one has no instalments."""
    days = {"L1": "2025-01-01", "L2": "2025-01-02", "L3": "2024-06-01", "L4": "2024-06-01"}
    start = pd.Timestamp("2024-01-01")
    rows = {
        "loans": pd.DataFrame(
            [(name, f"S{name[1]}", pd.Timestamp(day) + pd.Timedelta(hours=15), start) for name, day in days.items()],
            columns=["loan_id", "seller_id", "disbursed_at", "known_at"],
        ),
        "instalments": pd.DataFrame(
            [(name, pd.Timestamp(days[name]) + pd.Timedelta(days=60), 100.0, start) for name in ("L1", "L2", "L3")],
            columns=["loan_id", "due_on", "amount", "known_at"],
        ),
        "payments": pd.DataFrame(
            [("L3", pd.Timestamp("2024-07-01"), 100.0, pd.Timestamp("2026-01-01 00:00:01"))],
            columns=["loan_id", "paid_at", "amount", "known_at"],
        ),
    }
    monkeypatch.setattr("features.pipeline.accepted_rows", lambda _, name: rows[name])
    store = SimpleNamespace(
        covers_through=dict.fromkeys(rows, date(2026, 2, 1)), rows=lambda _: 1, covers_all_stores=True
    )

    def on(today: date) -> dict[str, tuple[bool, bool]]:
        found = load_outcomes(store, DEFINITION, today).loans
        return {row.seller_id: (row.matured, row.bad) for row in found.itertuples()}

    assert on(date(2026, 1, 1)) == {"S1": (True, True), "S2": (False, True), "S3": (True, True)}
    assert on(date(2026, 1, 2)) == {"S1": (True, True), "S2": (True, True), "S3": (True, False)}
    assert on(date(2025, 1, 2)) == {"S1": (False, False), "S3": (False, True)}


@pytest.mark.slow
def test_missing_outcomes_are_explained(store: OperatingStore) -> None:
    assert f'do not show the outcome "{AS_TOLD}". Give' in load_outcomes(store, AS_TOLD, date.max).unknown
    assert "No loan with instalments was disbursed" in load_outcomes(store, DEFINITION, date(2022, 1, 1)).unknown
    without = [
        replace(each, covers_through={name: day for name, day in each.covers_through.items() if name != "payments"})
        for each in store.deliveries
    ]
    found = load_outcomes(OperatingStore(store.folder, tuple(without)), DEFINITION, date(2026, 1, 1))
    assert found.unknown == "The operating data contain no payments."


@pytest.mark.slow
def test_rows_of_a_label_table_mature_after_its_horizon(store: OperatingStore, tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    table.write_text("seller_id,bad,as_of\nS-1,true,2025-01-01\nS-2,false,2025-03-01\n")

    def on(today: date, definition: str = AS_TOLD, *config: LabelConfig) -> Outcomes:
        return load_outcomes(store, definition, today, table, *config)

    first = {"seller_id": "S-1", "day": pd.Timestamp("2025-01-01"), "bad": True, "matured": True}
    assert on(date(2025, 2, 1)).loans.to_dict("records") == [first]
    early = ("half the sales", LabelConfig(horizon_days=60, definition="half the sales"))
    late, soon = (on(day, *early).loans[["matured", "bad"]].to_numpy().tolist() for day in (date(2025, 3, 2), DAY))
    assert late == [[True, True], [False, False]]
    assert soon == [[False, False]]
    assert "no row as of a day before 2024-01-01" in on(date(2024, 1, 1)).unknown
    assert "but the label table contains" in on(date(2025, 2, 1), DEFINITION).unknown
    table.unlink()
    with pytest.raises(LabelError, match="There is no label table"):
        on(date(2025, 2, 1))


DAY = date(2025, 3, 1)


def vectors() -> VectorBlock:
    """Return sellers; every tenth has too little history, and some IDs look like numbers or missing values."""
    snapshot = Snapshot(DAY, "data-1", small_bundle().sheet.catalogue, dict.fromkeys(TABLES, DAY))
    rows = dataset(40, 40, seed=9).features
    rows.loc[::10, "active_days_365d"] = 1.0
    sellers = [{1: "007", 2: "NA", 3: "卖家, 三"}.get(number, f"S-{number:03}") for number in range(len(rows))]
    return VectorBlock(snapshot, sellers, rows.to_numpy())


def write(path: Path) -> Path:
    write_portfolio(small_bundle(), [vectors()], DAY, path, lambda _: None)
    return path


def read(path: Path, bundle: Bundle | None = None, day: date | None = DAY) -> pd.DataFrame:
    return read_portfolio(path, bundle or small_bundle(), day, 30)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return write(tmp_path / "all.csv")


def rewritten(path: Path, **columns: object) -> Path:
    frame = pd.read_csv(path, dtype={"seller_id": str}, keep_default_na=False)
    frame.assign(**columns).to_csv(path, index=False)
    return path


def test_every_row_is_a_score(table: Path) -> None:
    found = read(table)
    assert list(found.columns) == list(SCORES)
    assert len(found) == 40 == found["score_id"].nunique()
    assert found["seller_id"][1:4].tolist() == ["007", "NA", "卖家, 三"]
    assert (found["model"] == small_bundle().digest).all()
    assert (found["as_of"] == pd.Timestamp(DAY)).all()
    assert (found["valid_days"] == 30).all()
    assert found["outcome"].value_counts().to_dict() == {"scored": 36, "insufficient_history": 4}
    scored = found["outcome"] == "scored"
    for column in ("score", "probability_of_default"):
        assert (found[column].notna() == scored).all()
    again = read(write(table.with_suffix(".parquet")))
    pd.testing.assert_frame_equal(again.drop(columns="score_id"), found.drop(columns="score_id"))
    assert pd.read_csv(table)["base_points"].dropna().unique().tolist() == [base_points(small_bundle())]


def test_a_column_as_of_overrides_the_option(table: Path) -> None:
    days = ["2025-01-01", "2025-02-01"] * 20
    assert read(rewritten(table, as_of=days))["as_of"].dt.strftime("%Y-%m-%d").tolist() == days


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"base_points": 700}, r"has the base points 700, but the model sha256:\w{12} has \d+\. Name the model"),
        ({"points_new": 1}, "differ in 1 features, such as new. Name the model"),
        ({"as_of": "soon"}, r"Row 2 of the portfolio all.csv is not valid: as_of must be a date \(YYYY-MM-DD\)"),
        ({"as_of": "2025-01-01 12:00"}, "Row 2 of the portfolio all.csv is not valid: as_of"),
        ({"score": ""}, "Row 3 of the portfolio all.csv is not valid: score must be a number if the outcome is scored"),
        ({"probability_of_default": 0.1}, "probability_of_default must be a number if the outcome is scored"),
    ],
)
def test_an_invalid_portfolio_is_rejected(table: Path, columns: dict[str, object], reason: str) -> None:
    with pytest.raises(MonitorError, match=reason) as refusal:
        read(rewritten(table, **columns))
    assert "\n" not in str(refusal.value)


def test_a_portfolio_of_another_model_or_without_a_date_is_rejected(table: Path) -> None:
    own = small_bundle()
    policy = replace(own.policy, calibration=Calibration(1.0, -0.5))
    files = pack(BundleParts(own.model.text, own.sheet, policy, own.reasons, own.reference))
    with pytest.raises(MonitorError, match="Name the model of the portfolio with --portfolio-model"):
        read(table, Bundle.from_files(files))
    assert (read(table, day=None)["as_of"] == pd.Timestamp(DAY)).all()
    without_date = table.with_name("without.csv")
    pd.read_csv(table, dtype=str).drop(columns="as_of").to_csv(without_date, index=False)
    with pytest.raises(MonitorError, match=r"has no date\. Give --as-of"):
        read(without_date, day=None)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("all.txt", b"seller_id\n", r"Unknown portfolio format all\.txt\. Use a \.csv or \.parquet file"),
        ("none.csv", None, "cannot be read"),
        ("all.csv", b"seller_id,outcome\nA,scored\n", "has no columns score, probability_of_default, base_points"),
        ("all.csv", b"", "cannot be read as csv"),
        ("all.csv", b"\xff\xfe\x00", "cannot be read as csv|has no columns"),
        ("all.parquet", b"no parquet", "cannot be read as parquet"),
    ],
)
def test_an_unreadable_file_is_rejected(tmp_path: Path, name: str, content: bytes | None, reason: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(MonitorError, match=reason) as refusal:
        read(tmp_path / name)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_pipe_is_rejected(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"pipe{suffix}"
    os.mkfifo(path)
    with pytest.raises(MonitorError, match=r"cannot be read \(it is a named pipe, not a regular file\)"):
        read(path)

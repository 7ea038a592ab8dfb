"""Labelled tables: encoding of cells, errors of unusable tables, and training like on the catalogue."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.counts import repeat
from tests.training.datasets import assert_obeys
from training.errors import TableError
from training.evidence.metrics import auc
from training.fit import FitConfig, fit_sample
from training.sample import Sample
from training.scorecard import fit_scorecard
from training.tables import MOST_CATEGORIES, TableForm, as_dataset, midnights, read_table

CONFIG = FitConfig(model="lightgbm", learning_rate=0.2, max_rounds=30, patience=8, folds=2, threads=1)
FORM = TableForm("bad", 1)


def applicants(rows: int = 600, seed: int = 1) -> pd.DataFrame:
    """Rows whose risk rises with debt, falls with income, and is high for one rare purpose."""
    rng = np.random.default_rng(seed)
    debt, income = rng.normal(size=rows), rng.normal(size=rows)
    purpose = rng.choice(["car", "house", "boat"], rows, p=[0.5, 0.45, 0.05])
    bad = rng.random(rows) < 1 / (1 + np.exp(1.5 - debt + income - 3.0 * (purpose == "boat")))
    shown = np.where(rng.random(rows) < 0.1, np.nan, income)
    return pd.DataFrame({"debt": debt, "income": shown, "purpose": purpose, "bad": bad.astype(int)})


def test_numbers_stay_booleans_are_0_or_1_and_text_becomes_flags() -> None:
    table = pd.DataFrame(
        {
            "whole": pd.array([3, None, 5], dtype="Int64"),
            "real": [0.5, np.nan, -2.0],
            "own home": [True, False, True],
            "job": ["clerk", None, "cook"],
            "empty": [None, None, None],
            "who": ["a", "b", "a"],
            "outcome": ["paid", "lost", "paid"],
        }
    )
    dataset = as_dataset(table, TableForm("outcome", "lost", identifier="who", signs={"real": -1}))
    expected = {
        "whole": [3.0, np.nan, 5.0],
        "real": [0.5, np.nan, -2.0],
        "own_home": [1.0, 0.0, 1.0],
        "job=clerk": [1.0, np.nan, 0.0],
        "job=cook": [0.0, np.nan, 1.0],
        "empty": [np.nan, np.nan, np.nan],
    }
    pd.testing.assert_frame_equal(dataset.features, pd.DataFrame(expected))
    assert dataset.rows["bad"].tolist() == [False, True, False]
    assert dataset.rows["seller_id"].tolist() == ["a", "b", "a"]
    assert (dataset.spans_time, dataset.is_dated, dataset.is_table) == (False, False, True)
    assert (dataset.period, dataset.words.of_others) == ("without dates", "rows of other groups")
    assert dataset.signs == {"whole": 0, "real": -1, "own_home": 0, "job=clerk": 0, "job=cook": 0, "empty": 0}
    assert dataset.labels.definition == "outcome is lost"


def test_copies_of_a_row_are_one_borrower() -> None:
    table = pd.DataFrame({"a": [1.0, np.nan, 1.0, np.nan], "b": ["x", "y", "x", "x"], "bad": [0, 1, 1, 0]})
    first, second, third, fourth = as_dataset(table, FORM).rows["seller_id"]
    assert first == third
    assert len({first, second, fourth}) == 3


def test_the_digest_depends_on_values_outcomes_and_signs() -> None:
    table = applicants(50)
    others = [
        as_dataset(table.assign(debt=table["debt"] + 1), FORM),
        as_dataset(table.assign(bad=1 - table["bad"]), FORM),
        as_dataset(table, TableForm("bad", 1, signs={"debt": 1})),
    ]
    assert as_dataset(table, FORM).digest == as_dataset(table.copy(), FORM).digest
    assert len({as_dataset(table, FORM).digest, *(each.digest for each in others)}) == 4


def test_tables_are_trained_like_the_catalogue() -> None:
    """Declared signs bind, hiding never pays, names of all kinds survive, rare flags count for the scorecard too."""
    form = TableForm("bad", 1, signs={"debt owed, {all}": 1, "income": -1})
    dataset, unseen = (
        as_dataset(applicants(rows, seed).rename(columns={"debt": "debt owed, {all}"}), form)
        for rows, seed in ((600, 1), (800, 2))
    )
    fitted = fit_sample(Sample.of_dataset(dataset), CONFIG, compare=False)
    names = fitted.booster.feature_name()
    assert (
        names == list(dataset.features) == ["debt_owed_all_", "income", "purpose=boat", "purpose=car", "purpose=house"]
    )
    bad = unseen.rows["bad"].to_numpy()
    assert auc(bad, fitted.booster.predict(unseen.features.to_numpy())) > 0.7
    assert_obeys(fitted.booster, dataset.signs, unseen.features)
    card = fit_scorecard(dataset.features, dataset.rows["bad"], signs=dataset.signs)
    assert auc(bad, card.probability(unseen.features)) > 0.7
    assert card.table().set_index("feature").loc["purpose=boat", "bins"] == 2


def test_a_column_named_like_a_catalogue_feature_has_no_sign() -> None:
    """Signs of the catalogue do not apply to tables."""
    dataset = as_dataset(applicants().rename(columns={"debt": "refund_rate_90d", "income": "visits_90d"}), FORM)
    assert Sample.of_dataset(dataset).columns.signs[:4] == (1, -1, 1, -1)
    fewer = dataset.features[["refund_rate_90d", "visits_90d"]]
    binnings = fit_scorecard(fewer, dataset.rows["bad"], signs=dataset.signs).binnings
    assert {binning.monotonic_trend for binning in binnings.values()} == {"auto_asc_desc"}


@pytest.mark.parametrize(
    ("broken", "form", "words"),
    [
        (lambda table: table, TableForm("default", 1), "has no column 'default' for its label. Its columns are"),
        (lambda table: table, TableForm("bad", 1, "id"), "has no column 'id' for its identifier"),
        (lambda table: table.iloc[:0], FORM, "The table has no rows"),
        (lambda table: table[["bad"]], FORM, "has no features: its only columns are bad"),
        (lambda table: table.set_axis(["a", "a", "b", "bad"], axis=1), FORM, "has 2 columns named 'a'"),
        (lambda table: table.assign(bad=0), FORM, "never has the value 1, which should mean bad. Its values are 0."),
        (lambda table: table.assign(bad=1), FORM, "The column 'bad' has only the value 1. A label has two values"),
        (lambda table: table.assign(bad=[0, 1, 2] * 200), FORM, "The column 'bad' has 3 values, 0, 1, 2. A label"),
        (lambda table: table.assign(bad=["yes", "no"] * 300), FORM, "bad. Its values are 'no', 'yes'."),
        (lambda table: table.assign(bad=table["bad"].where(table.index > 4)), FORM, "5 of 600 rows have no value"),
        (lambda table: table.assign(debt=np.inf), FORM, "The column 'debt' has 600 infinite values"),
        (lambda table: table.assign(name=table.index.map("n{}".format)), FORM, f"at most {MOST_CATEGORIES} are"),
        (lambda table: table.assign(day=pd.Timestamp("2020-01-01")), FORM, "'day' has neither numbers nor text"),
        (lambda table: table.assign(**{"a b": 1.0, "a,b": 2.0}), FORM, "'a,b' and 'a b' have the same name"),
        (lambda table: table, TableForm("bad", 1, signs={"wage": 1}), "A sign is declared for 'wage', but the columns"),
        (lambda table: table, TableForm("bad", 1, signs={"purpose": 1}), "for 'purpose', which is text. Only numbers"),
        (
            lambda table: table.assign(who=table.index.where(table.index > 4).astype("string")),
            TableForm("bad", 1, "who"),
            "5 of 600 rows have no value in 'who', the column of the groups",
        ),
    ],
)
def test_an_unusable_table_is_a_one_line_error(
    broken: Callable[[pd.DataFrame], pd.DataFrame], form: TableForm, words: str
) -> None:
    with pytest.raises(TableError) as caught:
        as_dataset(broken(applicants()), form)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unreadable_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "broken.csv").write_bytes("a,b\n卖,1\n".encode("gb18030"))
    with pytest.raises(TableError, match=r"broken.csv cannot be read as CSV in UTF-8"):
        read_table(tmp_path / "broken.csv")
    with pytest.raises(TableError, match=r"There is no table at .*none.parquet"):
        read_table(tmp_path / "none.parquet")
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(TableError, match=r"pipe.csv cannot be read \(it is a named pipe, not a regular file\)"):
        read_table(tmp_path / "pipe.csv")
    (tmp_path / "text.parquet").write_text("a,b\n1,2\n")
    with pytest.raises(TableError, match=r"The table text.parquet cannot be read as Parquet: "):
        read_table(tmp_path / "text.parquet")
    pq.write_table(pa.table([pa.array([1]), pa.array([0])], names=["bad", "bad"]), tmp_path / "twice.parquet")
    with pytest.raises(TableError, match="2 columns named 'bad'"):
        as_dataset(read_table(tmp_path / "twice.parquet"), FORM)


@pytest.mark.parametrize(
    ("times", "days"),
    [
        ([2023, 2024], ["2023-01-01", "2024-01-01"]),
        ([202303, 202412], ["2023-03-01", "2024-12-01"]),
        ([20230305, 20241231], ["2023-03-05", "2024-12-31"]),
        (["2023-03-05", "2024-12-31T23:59:59"], ["2023-03-05", "2024-12-31"]),
        (pd.to_datetime(["2023-03-05 12:00", "2024-12-31 00:00"]), ["2023-03-05", "2024-12-31"]),
        (pd.to_datetime(["2023-03-05 12:00", "2024-12-31 00:00"], utc=True), ["2023-03-05", "2024-12-31"]),
        (["28-Feb-2023", "1-Mar-2024"], ["2023-02-28", "2024-03-01"]),
        (["22-Jun-66", "1-Mar-24"], ["1966-06-22", "2024-03-01"]),
        (["31.12.2023", "01.02.2024"], ["2023-12-31", "2024-02-01"]),  # days come first in dates with dots
    ],
)
def test_times_in_many_formats_become_midnights(times: object, days: list[str]) -> None:
    table = pd.DataFrame({"a": [1.0, 2.0], "when": times, "bad": [0, 1]})
    dataset = as_dataset(table, TableForm("bad", 1, time="when"))
    assert dataset.rows["as_of"].dt.strftime("%Y-%m-%d").tolist() == days
    assert dataset.labels.matured_through.isoformat() == max(days)
    assert list(dataset.features) == ["a"]
    assert (dataset.spans_time, dataset.is_dated) == (True, True)
    assert dataset.period == f"as of {days[0]} to {days[1]}"
    assert dataset.select(dataset.rows["bad"]).period == f"as of {days[1]}"


@pytest.mark.parametrize(
    "times",
    [
        *(["soon", "2024-01-01"], [None, "2024-01-01"], [12, 2024], [202413, 202401], [2024.5, 2024]),
        # ambiguous next to a date in another form
        *(["2024-01-31", "01/02/2024"], ["2024-01-31", "2024-13-01"]),
    ],
)
def test_a_time_that_is_not_a_date_is_an_error(times: list[object]) -> None:
    with pytest.raises(
        TableError, match=r"1 values of the time column 'when' are not dates\. The first is .*, all in one"
    ):
        midnights(pd.Series(times, name="when"))


def test_a_date_in_the_future_is_an_error() -> None:
    with pytest.raises(TableError, match=r"1 values of the time column 'when' are in the future, the last is 2199"):
        midnights(pd.Series(["2024-01-31", "2199-01-01"], name="when"))


def test_identifiers_stay_text_and_columns_of_a_csv_have_different_names(tmp_path: Path) -> None:
    long = [f"12345678901234567{number:02}" for number in range(20)]
    (tmp_path / "a.csv").write_text("who,bad\n" + "\n".join(f"{who},0" for who in ["007", "7", *long]) + "\n,1\n")
    assert read_table(tmp_path / "a.csv", text=["who"])["who"].nunique() == 22
    (tmp_path / "b.csv").write_text("a,bad,a\n1,0,2\n")
    with pytest.raises(TableError, match="The table has 2 columns named 'a'"):
        read_table(tmp_path / "b.csv")


def test_a_csv_table_keeps_missing_values(tmp_path: Path) -> None:
    (tmp_path / "loans.CSV").write_text("debt,home,bad\n1.5,own,0\n,,1\n")
    dataset = as_dataset(read_table(tmp_path / "loans.CSV"), FORM)
    assert dataset.features.columns.tolist() == ["debt", "home=own"]
    assert dataset.features.isna().sum().tolist() == [1, 1]


@pytest.mark.repeated
@settings(max_examples=repeat(12, 30), deadline=None)
@given(
    st.lists(
        st.tuples(
            st.floats(allow_nan=True, allow_infinity=False), st.none() | st.sampled_from(["", "a", "A", "b c", "北京"])
        ),
        min_size=2,
        max_size=40,
    )
)
def test_features_determine_every_cell(cells: list[tuple[float, str | None]]) -> None:
    table = pd.DataFrame({"number": [number for number, _ in cells], "text": pd.Series([text for _, text in cells])})
    features = as_dataset(table.assign(bad=[0, 1] * (len(cells) // 2) + [0] * (len(cells) % 2)), FORM).features
    flags = features.drop(columns=["number"])
    for row, (number, text) in enumerate(cells):
        assert features["number"].iloc[row] == pytest.approx(number, nan_ok=True)
        if text is None:
            assert flags.iloc[row].isna().all()
        else:
            assert flags.iloc[row].sum() == 1.0
            assert flags.iloc[row][f"text={text}".replace(" ", "_")] == 1.0

"""Training on tables: directions of columns, the split by time and group, settings by size, and alarms for leaks."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from training.config import TrainConfig
from training.dataset import Dataset
from training.errors import TableError, TrainingError
from training.evidence.limits import Standing
from training.evidence.model_card import write_card
from training.evidence.model_checks import study_leaks
from training.evidence.studies import NOT_FOR_TABLES, STUDIES
from training.evidence.study import assess_rows
from training.refits import RefitConfig
from training.run import Run
from training.table_directions import CLEAR, FALLING, RISING, apply_directions, find_directions
from training.table_request import TableRequest, command_of, read_request, usable_columns
from training.table_training import table_config, train_table
from training.tables import TableForm, as_dataset

pytestmark = pytest.mark.slow

START = pd.Timestamp("2000-01-01")


def loans(rows: int = 1_500, seed: int = 1) -> pd.DataFrame:
    """Loans like those of the SBA: a term that is cut short for those who default, and the amount charged off."""
    rng = np.random.default_rng(seed)
    amount, staff = np.exp(rng.normal(11, 1, rows)), rng.poisson(8, rows)
    place, new = rng.choice(["urban", "rural"], rows), rng.random(rows) < 0.3
    risk = -1.3 + 0.8 * new - 0.6 * (np.log(amount) - 11) + 0.5 * (place == "urban")
    bad = rng.random(rows) < 1 / (1 + np.exp(-risk))
    agreed = rng.choice([36, 60, 84, 120, 240], rows, p=[0.1, 0.2, 0.4, 0.2, 0.1])
    return pd.DataFrame(
        {
            "name": [f"firm {number}" for number in range(rows)],
            "bank": [f"B-{number}" for number in rng.integers(0, 60, rows)],
            "approved": START + pd.to_timedelta(rng.integers(0, 2_500, rows), unit="D"),
            "amount": amount.round(),
            "staff": staff,
            "new": new,
            "place": place,
            "term": np.where(bad, np.ceil(agreed * rng.beta(2, 4, rows)), agreed),
            "charged_off": np.where(bad, amount * rng.uniform(0.2, 0.9, rows), 0.0).round(),
            "status": np.where(bad, "CHGOFF", "P I F"),
        }
    )


HONEST = TableRequest("loans.csv", "status", bad="chgoff", leave_out=("term", "charged_off"))


def quick_config(dataset: Dataset, request: TableRequest) -> TrainConfig:
    """Return the settings of a table with fewer rounds and refits."""
    config = table_config(dataset, request)
    fit = replace(config.fit, learning_rate=0.2, max_rounds=60, patience=10, folds=3)
    return replace(config, fit=fit, refits=RefitConfig(1))


@pytest.fixture(scope="module", autouse=True)
def quick_runs() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.table_training.table_config", quick_config)
        yield


@pytest.fixture
def one_study(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.run.STUDIES", {"leaks": study_leaks})


@pytest.fixture(scope="module")
def whole() -> Run:
    """A run with every study, on a table without leaks."""
    return train_table(loans(900), HONEST)


def risks(rows: int = 1_000, noise: int = 5) -> Dataset:
    """Risk rises with debt, falls with income, has a valley in age, and has nothing to do with noise."""
    rng = np.random.default_rng(1)
    debt, income, age = rng.normal(size=(3, rows))
    bad = rng.random(rows) < 1 / (1 + np.exp(1.0 - debt + income - age**2 + 1.0))
    noisy = {f"noise_{number}": rng.normal(size=rows) for number in range(noise)}
    shown = np.where(rng.random(rows) < 0.2, np.nan, income)
    columns = {"debt": debt, "income": shown, "age": age, "one": 1.0, **noisy, "bad": bad.astype(int)}
    return as_dataset(pd.DataFrame(columns), TableForm("bad", 1))


def test_clear_directions_come_from_the_rows_declared_ones_stay_and_noise_sets_none() -> None:
    found = {each.column: each for each in find_directions(risks(noise=300), {"income": 1})}
    assert {name: (found[name].sign, found[name].source) for name in ("debt", "income", "age", "one")} == {
        "debt": (1, "training rows"),
        "income": (1, "declared"),
        "age": (0, "none"),
        "one": (0, "none"),
    }
    assert found["income"].standard_errors < -CLEAR
    # one column in 370 is clear by chance
    assert len([each for each in found.values() if each.column.startswith("noise") and each.sign]) <= 4


def test_a_column_without_a_direction_is_two_features_of_the_same_values() -> None:
    rows = risks()
    found = apply_directions(rows, find_directions(rows, {}))
    assert {"debt", "income", "age" + RISING, "age" + FALLING} <= set(found.features)
    assert "age" not in found.features
    assert (found.signs["age" + RISING], found.signs["age" + FALLING]) == (1, -1)
    assert set(found.signs) == set(found.features)
    assert set(found.signs.values()) == {1, -1}
    pd.testing.assert_series_equal(found.features["age" + RISING], rows.features["age"], check_names=False)
    assert replace(found, features=rows.features, signs=rows.signs).digest == rows.digest


def alarms_of(run: Run) -> tuple[str, ...]:
    return next(finding.alarms for finding in run.findings if finding.name == "leaks")


@pytest.mark.usefixtures("one_study")
def test_columns_that_carry_the_outcome_raise_the_leak_alarm() -> None:
    run = train_table(loans(), TableRequest("loans.csv", "status", bad="CHGOFF", time="approved"))
    leaks = next(finding for finding in run.findings if finding.name == "leaks")
    notes = {check.note.split()[0]: check for check in leaks.checks if check.note}
    assert notes["charged_off"].standing is Standing.ALARM
    assert "It separates the outcomes almost completely, so it is probably known only" in notes["charged_off"].note
    # 1,000 rows cannot show that an AUC of 0.956 is above 0.95
    assert notes["term"].standing is Standing.UNCERTAIN
    assert "0.956 (0.940 to 0.971), above the limit of 0.95. It raises no alarm" in notes["term"].note
    # without groups, every row but those of the embargo of one day is in one part
    assert run.facts["train_rows"] + run.facts["test_rows"] >= 1_495
    assert run.facts["test_rows"] == pytest.approx(450, abs=10)


@pytest.mark.usefixtures("one_study")
def test_a_clean_table_raises_no_alarm_and_the_test_is_later_and_of_other_groups() -> None:
    """It has a column of numbers that float32 cannot hold. Warnings are errors."""
    table = loans().assign(huge=np.where(np.arange(1_500) % 7 == 0, -1e300, 1.0 * np.arange(1_500)))
    run = train_table(
        table, TableRequest("loans.csv", "status", "CHGOFF", "approved", "bank", leave_out=HONEST.leave_out)
    )
    assert alarms_of(run) == ()
    facts = run.facts
    assert facts["evidence"] == "out_of_time"
    later = table["approved"] >= pd.Timestamp(str(facts["test_from"]))
    assert later.mean() == pytest.approx(0.3, abs=0.02)
    assert 0.1 * later.sum() < facts["test_rows"] < 0.6 * later.sum()
    assert facts["train_before"] < facts["test_from"]
    assert run.figures["auc"].value > 0.6


@pytest.mark.usefixtures("one_study")
def test_one_honest_strong_column_of_a_small_table_raises_no_alarm() -> None:
    rng = np.random.default_rng(1)
    strong, noise, group = rng.normal(size=300), rng.normal(size=(300, 3)), rng.choice(["u", "v"], 300)
    bad = rng.random(300) < 1 / (1 + np.exp(1 - 4.5 * strong))
    table = pd.DataFrame(noise).add_prefix("x").assign(strong=strong, group=group, bad=bad.astype(int))
    run = train_table(table, TableRequest("t", "bad"))
    (leaks,) = (finding for finding in run.findings if finding.name == "leaks")
    assert leaks.alarms == ()
    assert leaks.figures["lost_without_one_auc"] > 0.2
    assert any(check.standing is Standing.EXEMPT and "few other features (5)" in check.note for check in leaks.checks)
    # a column without a direction is two features, and one column for the study
    assert set(leaks.tables["Features alone"]["feature"]) == {"x0", "x1", "x2", "strong", "group=u", "group=v"}


@pytest.mark.usefixtures("one_study")
def test_a_single_feature_is_enough() -> None:
    run = train_table(loans(400)[["status", "term"]], TableRequest("loans.csv", "status", bad="CHGOFF"))
    (found,) = (each for each in run.findings if each.name == "leaks")
    assert found.figures["lost_without_one_auc"] == 0.0


def test_an_unusable_table_is_one_sentence() -> None:
    table = loans(50)
    with pytest.raises(TableError, match="Give each column its own name"):
        train_table(table.set_axis([*table.columns[:-1], table.columns[0]], axis=1), HONEST)
    zones = np.where(np.arange(50) % 2 == 0, "2024-01-01T00:00:00-05:00", "2024-02-01T00:00:00+09:00")
    with pytest.raises(TableError, match="times in different time zones"):
        train_table(table.assign(approved=zones), replace(HONEST, time="approved"))
    with pytest.raises(TableError, match=r"are as of 2\d.* before it are excluded \(--horizon-days\)\. Use rows of"):
        train_table(loans(300), replace(HONEST, time="approved", horizon_days=3_000))
    for rows in (0, 5):
        with pytest.raises(TableError, match=rf"'status' has no value in the {rows} rows of the table. Use a table"):
            train_table(table.head(rows).assign(status=None), TableRequest("t", "status"))


def test_every_study_runs_or_states_that_it_does_not_apply(whole: Run) -> None:
    found = {finding.name: finding for finding in whole.findings}
    assert set(STUDIES) <= set(found)
    for name in NOT_FOR_TABLES:
        assert found[name].summary.startswith("Does not apply")
        assert not found[name].figures
    assert found["monotone"].figures["violations"] == 0
    assert found["drift"].summary.startswith("Not studied")
    assert found["columns"].tables["Columns left out"]["column"].tolist() == [
        *("term", "charged_off", "name", "bank", "approved")
    ]
    assert whole.facts["evidence"] == "out_of_fold"
    page = write_card(whole)["model_card.md"]
    for words in (
        "The service cannot score with this model.",
        "sellerscore train-table loans.csv --target status --bad chgoff",
        "This model was trained on a table. It is not registered and cannot be promoted.",
        "The rows come from the table loans.csv. The figures are valid for rows like these.",
        "## Backtest on folds of rows",
        "trained on other rows",
        "test rows (",
        "Studies that need operating data of sellers do not apply to a table: Performance by segment, ",
    ):
        assert words in page
    for words in (
        "sellerscore promote",
        "1970",
        "earlier origins",
        "borrower",
        "test loans",
        " loans ",
        "## Fake orders",
        "fit.",
    ):
        assert words not in page
    assert "training rows without dates" in whole.bundle.reference.population
    assert "over rows." in found["discrimination"].summary
    assert "marketplace" not in page.partition("## Limitations")[2].partition("##")[0]


def test_scores_of_a_table_have_points_that_sum_and_generic_reasons(whole: Run) -> None:
    dataset, _ = read_request(loans(900), HONEST)
    names = whole.bundle.sheet.names
    base = [name.removesuffix("_rising").removesuffix("_falling") for name in names]
    matrix = dataset.features[base].to_numpy()[:50]
    scored = assess_rows(whole.bundle, dataset.rows.head(50), matrix)
    for each in scored:
        assert each.explanation is not None
        assert each.explanation.base_points + sum(part.points for part in each.explanation.contributions) == each.score
    reasons = [reason for each in scored if each.explanation for reason in each.explanation.reasons]
    assert {reason.feature for reason in reasons} <= set(names)
    assert any(reason.statement.startswith("Low amount: ") for reason in reasons)


@pytest.mark.usefixtures("one_study")
def test_noise_is_not_ranked_out_of_fold() -> None:
    """Directions that were chosen on the rows that are then predicted would rank even noise."""
    rng = np.random.default_rng(3)
    noise = pd.DataFrame(rng.normal(size=(600, 25))).add_prefix("x").assign(bad=rng.integers(0, 2, 600))
    with suppress(TrainingError):  # raised if the model ranks no better than chance
        assert train_table(noise, TableRequest("noise", "bad")).figures["auc"].value < 0.55


def test_settings_follow_from_the_number_of_bad_rows() -> None:
    fits = [table_config(read_request(loans(rows), HONEST)[0], HONEST).fit for rows in (400, 2_000, 12_000)]
    sizes = [fit.num_leaves for fit in fits]
    assert sizes == sorted(sizes)
    assert (sizes[0], sizes[-1]) == (4, 31)
    # every column is selected: one whose risk is high at both ends ranks rows in neither direction
    assert {fit.stability for fit in fits} == {0.0}


def test_unusable_columns_are_excluded_with_the_reason_and_their_missingness_stays_a_feature() -> None:
    table = loans(300).assign(one=1.0, wide=np.inf, mixed=[1, "a"] * 150)
    table["recovered"] = np.where(table["status"] == "CHGOFF", 1.0, np.nan)
    table["sum"] = ["1,000", "n/a.", *map(str, range(2, 300))]
    table["code"] = np.where(np.arange(300) % 3 == 0, -1e300, 1.0)
    kept, why = usable_columns(table, HONEST)
    assert {"amount", "staff", "new", "place"} <= set(kept)
    assert {name: why[name] for name in ("one", "wide", "mixed", "name", "sum", "term", "code")} == {
        "code": "100 values of 1e+30 or more, or infinite; leave missing values empty",
        "one": "one value in every row",
        "wide": "one value in every row",
        "mixed": "neither numbers nor text",
        "name": "text with 300 different values; up to 50 are used",
        "sum": "text with 300 different values; up to 50 are used. All but 2 of its values are numbers; the first "
        "other value is '1,000'",
        "term": "stated with --leave-out",
    }
    assert "recovered" not in kept
    assert kept["recovered_known"].tolist() == (table["status"] == "CHGOFF").astype(float).tolist()
    assert why["recovered"] == "one value, or none; whether it has a value is the feature recovered_known"


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (TableRequest("t", "state"), "The table has no column 'state' (--target). Its columns are 'name', 'bank'"),
        (TableRequest("t", "status", time="day"), "The table has no column 'day' (--time)."),
        (TableRequest("t", "status", leave_out=("x",)), "The table has no column 'x' (--leave-out)."),
        (TableRequest("t", "status"), "no value that means bad by default. Its values are "),
        (TableRequest("t", "staff", "7"), "A target has two, one for good and one for bad rows. Use a column with"),
        (TableRequest("t", "one"), "The target 'one' has one value: '1'. A target has two"),
        (TableRequest("t", "status", bad="lost"), "The target 'status' has no value 'lost'. Its values are "),
        (
            TableRequest("t", "status", "CHGOFF", signs={"name": 1}),
            "direction is declared for 'name', which is not among",
        ),
        (TableRequest("t", "place", bad="urban", time="status"), "values of the time column 'status' are not dates"),
        (TableRequest("t", "status", "CHGOFF", group="status"), "The column 'status' is named by two options"),
        (TableRequest("t", "status", "CHGOFF", leave_out=("status",)), "The column 'status' is named by two options"),
        (TableRequest("t", "status", "CHGOFF", group="place"), "Only 2 values of 'place' (--group) have bad rows"),
        (TableRequest("t", "one_or_two"), "The target 'one_or_two' has no value that means bad by default"),
        (TableRequest("t", "one_or_more"), "The target 'one_or_more' has no value that means bad by default"),
        (TableRequest("t", "status", "CHGOFF"), "the columns 'note' and 'note_known'. The second is the name of the"),
    ],
)
def test_a_request_that_does_not_fit_the_table_is_an_error(request_: TableRequest, words: str) -> None:
    table = loans(200).assign(one=1, one_or_two=[1, 2] * 100, one_or_more=[1.0, 3.0] * 100, note_known=1.0)
    table["note"] = [None, *(f"text {number}" for number in range(199))]
    with pytest.raises(TableError) as caught:
        read_request(table.drop(columns="note") if "note" not in words else table, request_)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "bad", "expected"),
    [
        ([0, 1], None, 1),
        ([0, 1], 0, 0),
        ([0.0, 1.0], "1", 1.0),
        ([True, False], None, True),
        ([True, False], False, False),
        (["good", "bad"], None, "bad"),
    ],
)
def test_the_bad_value_is_found(values: list[object], bad: str | int | None, expected: object) -> None:
    table = loans(200).assign(status=values * 100)
    dataset, _ = read_request(table, TableRequest("t", "status", bad, leave_out=("term",)))
    assert dataset.rows["bad"].tolist() == [value == expected for value in values * 100]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"target": loans(10)["status"]}, "target is of type Series. Use the name of a column."),
        ({"group": loans(10)["bank"]}, "group is of type Series"),
        ({"time": 3}, "time is of type int"),
        ({"leave_out": "term"}, "leave_out is of type str. Use a tuple of column names."),
        ({"signs": ["amount"]}, "signs is of type list. Use a dict from column names to +1 or -1."),
        ({"signs": {"amount": "up"}}, "The sign of 'amount' is 'up'. Use +1 (raises risk) or -1 (lowers it)."),
        ({"horizon_days": 0}, "horizon_days is 0. Use a number of days from 1."),
    ],
)
def test_a_request_of_the_wrong_type_is_one_sentence(values: dict[str, Any], words: str) -> None:
    with pytest.raises(TableError) as caught:
        TableRequest(**{"name": "t", "target": "status", **values})
    assert words in str(caught.value)


def test_rows_that_are_no_dataframe_are_one_sentence() -> None:
    for rows in ([{"status": 1}], loans(10)["status"], loans(10).to_numpy()):
        with pytest.raises(TableError, match=r"The table is a \w+\. Use a pandas DataFrame"):
            train_table(rows, HONEST)


def test_the_command_is_repeatable() -> None:
    request = TableRequest("my loans.csv", "a b", "1", "day", "who", {"debt": 1, "income": -1}, ("x",), 56)
    words = shlex.split(command_of(request))
    assert words[:5] == ["sellerscore", "train-table", "my loans.csv", "--target", "a b"]
    assert words[-2:] == ["--horizon-days", "56"]
    assert words[-8:-2] == ["--raises", "debt", "--lowers", "income", "--leave-out", "x"]

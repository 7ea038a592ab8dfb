"""Training on tables: the split by time and group, settings by size, and alarms for leaks."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from training.errors import TableError, TrainingError
from training.evidence.metrics import auc
from training.evidence.model_card import write_card
from training.evidence.model_card_evidence import CardInput
from training.evidence.model_checks import study_leaks
from training.evidence.studies import NOT_FOR_TABLES, STUDIES
from training.fit import fit_sample
from training.refits import RefitConfig
from training.run import Run
from training.sample import Sample
from training.table_directions import Direction, apply_directions
from training.table_training import TableRequest, command_of, read_request, table_config, train_table, usable_columns

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


def quick(patch: pytest.MonkeyPatch) -> None:
    """Leave out of a run what takes long and is tested elsewhere."""
    patch.setattr("training.run.STUDIES", {"leaks": study_leaks})
    patch.setattr("training.table_training.RefitConfig", lambda _: RefitConfig(0))


@pytest.fixture
def quick_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch)


@pytest.fixture(scope="module")
def whole() -> Iterator[Run]:
    """A run with every study, on a table without leaks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.table_training.RefitConfig", lambda _: RefitConfig(1))
        yield train_table(loans(900), HONEST)


def test_a_column_whose_risk_is_high_at_both_ends_is_read() -> None:
    """It ranks rows in neither direction, so that a selection by direction would leave it out."""
    made, unseen = valley(1_200), valley(1_500, seed=2)
    request = TableRequest("loans.csv", "bad")
    config = table_config(read_request(made, request)[0], request)
    samples = []
    for each in (made, unseen):
        dataset, _ = read_request(each, request)
        samples.append(apply_directions(dataset, tuple(Direction(name, 0, "none", 0.0) for name in dataset.features)))
    fitted = fit_sample(Sample.of_dataset(samples[0]), replace(config.fit, model="lightgbm", max_rounds=150, folds=2))
    assert {"age_rising", "age_falling"} <= fitted.features
    margins = fitted.booster.predict(samples[1].features.to_numpy(), raw_score=True)
    assert auc(unseen["bad"].to_numpy(dtype=bool), margins) > 0.75


def valley(rows: int, seed: int = 1) -> pd.DataFrame:
    """Risk is high for the youngest and the oldest; nothing else counts."""
    rng = np.random.default_rng(seed)
    columns = {name: rng.normal(size=rows) for name in ("age", "one", "two", "three")}
    bad = rng.random(rows) < 1 / (1 + np.exp(2.0 - 1.5 * columns["age"] ** 2))
    return pd.DataFrame({**columns, "bad": bad.astype(int)})


def alarms_of(run: Run) -> tuple[str, ...]:
    return next(finding.alarms for finding in run.findings if finding.name == "leaks")


@pytest.mark.usefixtures("quick_runs")
@pytest.mark.parametrize("leaking", ["term", "charged_off"])
def test_the_leak_alarm_rings_on_a_column_that_carries_the_outcome(leaking: str) -> None:
    others = tuple({"term", "charged_off"} - {leaking})
    run = train_table(loans(), TableRequest("loans.csv", "status", bad="CHGOFF", time="approved", leave_out=others))
    assert any(alarm.startswith(f"{leaking} alone") for alarm in alarms_of(run))


@pytest.mark.usefixtures("quick_runs")
def test_a_clean_table_rings_no_leak_alarm_and_the_test_is_later_and_of_other_groups() -> None:
    table = loans(2_000)
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


@pytest.mark.usefixtures("quick_runs")
def test_without_groups_every_row_is_in_one_part() -> None:
    run = train_table(loans(), replace(HONEST, time="approved"))
    facts = run.facts
    assert facts["train_rows"] + facts["test_rows"] >= 1_495  # all but the rows of the embargo of one day
    assert facts["test_rows"] == pytest.approx(450, abs=10)


@pytest.mark.usefixtures("quick_runs")
def test_a_single_feature_is_enough() -> None:
    table = loans(400)[["status", "term"]]
    run = train_table(table, TableRequest("loans.csv", "status", bad="CHGOFF"))
    (found,) = (each for each in run.findings if each.name == "leaks")
    assert found.figures["lost_without_one_auc"] == 0.0


@pytest.mark.usefixtures("quick_runs")
def test_numbers_beyond_those_of_float32_are_ranked() -> None:
    table = loans(400)
    table["huge"] = np.where(np.arange(400) % 7 == 0, 1e300, -1e300)
    assert train_table(table, HONEST).figures["auc"].value > 0


def test_columns_of_one_name_are_one_sentence() -> None:
    table = loans(50)
    table = table.set_axis([*table.columns[:-1], table.columns[0]], axis=1)
    with pytest.raises(TableError, match="Give each column its own name"):
        train_table(table, HONEST)


def test_times_of_different_zones_are_one_sentence() -> None:
    table = loans(50)
    table["approved"] = np.where(np.arange(50) % 2 == 0, "2024-01-01T00:00:00-05:00", "2024-02-01T00:00:00+09:00")
    with pytest.raises(TableError, match="times in different time zones"):
        train_table(table, replace(HONEST, time="approved"))


def test_rows_that_cannot_be_parted_by_time_are_one_sentence() -> None:
    request = replace(HONEST, time="approved", horizon_days=3_000)
    with pytest.raises(TableError, match=r"are as of 2\d.* before it are excluded \(--horizon-days\)\. Use rows of"):
        train_table(loans(300), request)


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
    text = write_card(
        CardInput(whole.bundle, whole.figures, whole.logistic_figures, whole.findings, whole.plots, whole.facts)
    )
    page = text["model_card.md"]
    assert "The service cannot score with this model." in page
    assert "sellerscore train-table loans.csv --target status --bad chgoff" in page
    assert "This model was trained on a table. It is not registered and cannot be promoted." in page
    assert "The rows come from the table loans.csv. The figures are valid for rows like these." in page
    assert "sellerscore promote" not in page
    assert "1970" not in page
    assert "training rows without dates" in whole.bundle.reference.population
    assert "## Backtest on folds of borrowers" in page
    assert "earlier origins" not in page
    assert "of other borrowers" in page
    assert "other sellers" not in page
    assert "over borrowers." in found["discrimination"].summary
    assert "marketplace" not in page.partition("## Limitations")[2].partition("##")[0]


def test_scores_of_a_table_have_points_that_sum_and_generic_reasons(whole: Run) -> None:
    from training.evidence.study import assess_rows

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


@pytest.mark.usefixtures("quick_runs")
def test_noise_is_not_ranked_out_of_fold() -> None:
    """Directions that were chosen on the rows that are then predicted would rank even noise."""
    rng = np.random.default_rng(3)
    noise = pd.DataFrame(rng.normal(size=(600, 25))).add_prefix("x").assign(bad=rng.integers(0, 2, 600))
    with suppress(TrainingError):  # raised if the model ranks no better than chance
        assert train_table(noise, TableRequest("noise", "bad")).figures["auc"].value < 0.55


def test_settings_follow_from_the_number_of_bad_rows() -> None:
    sizes = [table_config(read_request(loans(rows), HONEST)[0], HONEST).fit.num_leaves for rows in (400, 2_000, 12_000)]
    assert sizes == sorted(sizes)
    assert sizes[0] == 4
    assert sizes[-1] == 31


def test_missingness_of_an_excluded_column_stays_a_feature() -> None:
    table = loans(300)
    table = table.assign(recovered=np.where(table["status"] == "CHGOFF", 1.0, np.nan))
    kept, why = usable_columns(table, HONEST)
    assert "recovered" not in kept
    assert kept["recovered_known"].tolist() == (table["status"] == "CHGOFF").astype(float).tolist()
    assert why["recovered"] == "one value, or none; whether it has a value is the feature recovered_known"


def test_unusable_columns_are_excluded_with_the_reason() -> None:
    table = loans(300).assign(one=1.0, wide=np.inf, mixed=[1, "a"] * 150)
    kept, why = usable_columns(table, HONEST)
    assert {"amount", "staff", "new", "place"} <= set(kept)
    assert why["one"] == "one value in every row"
    assert why["wide"] == "one value in every row"
    assert why["mixed"] == "neither numbers nor text"
    assert "empty_known" not in kept
    assert why["name"] == "text with 300 different values; up to 50 are used"
    assert why["term"] == "stated with --leave-out"


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (TableRequest("t", "state"), "The table has no column 'state' (--target). Its columns are 'name', 'bank'"),
        (TableRequest("t", "status", time="day"), "The table has no column 'day' (--time)."),
        (TableRequest("t", "status", leave_out=("x",)), "The table has no column 'x' (--leave-out)."),
        (TableRequest("t", "status"), "no value that means bad by default. Its values are "),
        (TableRequest("t", "status", bad="lost"), "The target 'status' has no value 'lost'. Its values are "),
        (
            TableRequest("t", "status", "CHGOFF", signs={"name": 1}),
            "direction is declared for 'name', which is not among",
        ),
        (TableRequest("t", "place", bad="urban", time="status"), "values of the time column 'status' are not dates"),
    ],
)
def test_a_request_that_does_not_fit_the_table_is_an_error(request_: TableRequest, words: str) -> None:
    with pytest.raises(TableError) as caught:
        read_request(loans(200), request_)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("rows", [0, 5])
def test_a_target_without_values_is_an_error(rows: int) -> None:
    table = loans(200).head(rows).assign(status=None)
    with pytest.raises(TableError, match=rf"'status' has no value in the {rows} rows of the table. Use a table"):
        read_request(table, TableRequest("t", "status"))


@pytest.mark.parametrize(
    ("values", "bad", "expected"),
    [([0, 1], None, 1), ([0.0, 1.0], "1", 1.0), ([True, False], None, True), (["good", "bad"], None, "bad")],
)
def test_the_bad_value_is_found(values: list[object], bad: str | None, expected: object) -> None:
    table = loans(200).assign(status=values * 100)
    dataset, _ = read_request(table, TableRequest("t", "status", bad, leave_out=("term",)))
    assert dataset.rows["bad"].tolist() == [value == expected for value in values * 100]


def test_the_command_is_repeatable() -> None:
    request = TableRequest("my loans.csv", "a b", "1", "day", "who", {"debt": 1, "income": -1}, ("x",), 56)
    words = shlex.split(command_of(request))
    assert words[:5] == ["sellerscore", "train-table", "my loans.csv", "--target", "a b"]
    assert words[-2:] == ["--horizon-days", "56"]
    assert words[-8:-2] == ["--raises", "debt", "--lowers", "income", "--leave-out", "x"]

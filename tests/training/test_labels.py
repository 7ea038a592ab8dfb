"""Labels: equal to a naive oracle, exact at the edges, and errors of invalid label tables."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.counts import repeat
from tests.oracles.labels_oracle import Loan, after_months, label
from training.errors import LabelError
from training.labels import DefaultDefinition, LabelConfig, Labels, embargo_note, label_loans, read_label_table
from training.registry import LabelFile

START = date(2024, 1, 20)
YEAR_ON = date(2026, 6, 1)


def _at(day: date, **later: int) -> datetime:
    """A time of that day, UTC without saying so, as the store holds it."""
    return datetime.combine(day, datetime.min.time()) + timedelta(**later)


def tables(loans: Sequence[Loan]) -> dict[str, pd.DataFrame]:
    """The loans as the store holds them: amounts in units, days as dates, times as microseconds."""
    due = [(loan.loan_id, day, cents / 100) for loan in loans for day, cents in loan.due]
    paid = [(loan.loan_id, at, cents / 100) for loan in loans for at, cents in loan.paid]
    return {
        "loans": pd.DataFrame(
            [(loan.loan_id, loan.seller_id, loan.disbursed_at) for loan in loans],
            columns=["loan_id", "seller_id", "disbursed_at"],
        ).astype({"disbursed_at": "datetime64[us]"}),
        "instalments": pd.DataFrame(due, columns=["loan_id", "due_on", "amount"]).astype({"amount": "float64"}),
        "payments": pd.DataFrame(paid, columns=["loan_id", "paid_at", "amount"]).astype(
            {"amount": "float64", "paid_at": "datetime64[us]"}
        ),
    }


def loan(due: Sequence[tuple[date, int]], paid: Sequence[tuple[datetime, int]], start: date = START) -> Loan:
    return Loan("L-1", "S-1", _at(start, hours=15, minutes=30), tuple(due), tuple(paid))


@st.composite
def loans(draw: st.DrawFn) -> list[Loan]:
    """Loans with instalments that are paid early, late, in part, several at once, or never."""
    made = []
    for number in range(draw(st.integers(1, 4))):
        start = draw(st.sampled_from([START, date(2024, 2, 29), date(2024, 3, 31), date(2025, 2, 28)]))
        days = draw(st.lists(st.integers(1, 420), unique=True, max_size=4))
        due = [(start + timedelta(days=day), draw(st.integers(1, 9)) * 1111) for day in sorted(days)]
        paid = []
        for day, cents in due:
            for part in draw(st.sampled_from([(cents,), (cents - 1,), (cents // 2, cents - cents // 2), (), (1,)])):
                late = draw(st.sampled_from([-30, 0, 29, 30, 60, 89, 90, 91, 200]))
                at = _at(day) + timedelta(days=late)
                paid.append((at + draw(st.sampled_from([timedelta(0), timedelta(microseconds=-1)])), part))
        opened = _at(start, hours=draw(st.integers(0, 23)))
        made.append(Loan(f"L-{number}", f"S-{draw(st.integers(1, 2))}", opened, tuple(due), tuple(paid)))
    return made


@pytest.mark.repeated
@settings(max_examples=repeat(30, 150), deadline=None)
@given(
    made=loans(),
    observed=st.dates(date(2024, 3, 1), date(2026, 8, 1)),
    days_past_due=st.sampled_from([1, 30, 60, 90]),
    months=st.sampled_from([1, 6, 12, 18]),
)
@example([loan([(date(2024, 2, 29), 0)], [], date(2024, 2, 29))], date(2025, 2, 28), 90, 12)
@example([loan([(date(2024, 2, 29), 0)], [], date(2024, 2, 29))], date(2025, 2, 27), 90, 12)
def test_labels_are_those_of_the_definition(made: list[Loan], observed: date, days_past_due: int, months: int) -> None:
    scheduled = [each for each in made if each.due]
    expected = [(each, label(each, observed, days_past_due, months)) for each in scheduled]
    known = sorted((each.seller_id, each.disbursed_at.date(), bad) for each, bad in expected if bad is not None)
    definition = DefaultDefinition(days_past_due, months)
    if not known:
        with pytest.raises(LabelError, match=r"has a known outcome by|loans has instalments"):
            label_loans(tables(made), observed, definition)
        return
    labels = label_loans(tables(made), observed, definition)
    found = zip(labels.rows["seller_id"], labels.rows["as_of"].dt.date, labels.rows["bad"], strict=True)
    assert sorted(found) == known
    assert (labels.rows["as_of"] == labels.rows["as_of"].dt.normalize()).all()
    assert labels.censored == len(scheduled) - len(known)
    assert labels.unscheduled == len(made) - len(scheduled)
    assert labels.matured_through == after_months(observed, -months)
    matured = [bad for each, bad in expected if each.disbursed_at.date() <= labels.matured_through]
    assert None not in matured


DUE = [(START + timedelta(days=30), 10_000)]
LIMIT = _at(date(2024, 5, 19))
"""The midnight at which that instalment is 90 days past due."""


LATE = timedelta(days=1)
NEXT = [*DUE, (START + timedelta(days=60), 10_000)]
END = after_months(START, 12)
OVERPAID = _at(date(2024, 2, 1))


@pytest.mark.parametrize(
    ("one", "observed", "bad"),
    [
        # a payment counts until the midnight of day 90
        (loan(DUE, []), YEAR_ON, True),
        (loan(DUE, [(LIMIT - timedelta(microseconds=1), 10_000)]), YEAR_ON, False),
        (loan(DUE, [(LIMIT, 10_000)]), YEAR_ON, True),
        (loan(DUE, [(LIMIT - LATE, 9_999)]), YEAR_ON, True),
        (loan(DUE, [(LIMIT - 100 * LATE, 4_000), (LIMIT - LATE, 6_000)]), YEAR_ON, False),
        (loan(DUE, [(LIMIT - LATE, 9_999), (LIMIT, 1)]), YEAR_ON, True),
        # an overpayment covers the next instalment
        (loan(NEXT, [(OVERPAID, 20_000)]), YEAR_ON, False),
        (loan(NEXT, [(OVERPAID, 19_999)]), YEAR_ON, True),
        # an open loan counts from the midnight that shows it bad
        (loan(DUE, []), LIMIT.date() - LATE, None),
        (loan(DUE, []), LIMIT.date(), True),
        # a loan that pays is open for twelve months
        (loan([(START, 0)], []), date(2025, 1, 19), None),
        (loan([(START, 0)], []), date(2025, 1, 20), False),
        (loan([(date(2024, 2, 29), 0)], [], date(2024, 2, 29)), date(2025, 2, 27), None),
        (loan([(date(2024, 2, 29), 0)], [], date(2024, 2, 29)), date(2025, 2, 28), False),
        (loan([(date(2023, 3, 1), 0)], [], date(2023, 3, 1)), date(2024, 2, 29), None),
        (loan([(date(2023, 3, 1), 0)], [], date(2023, 3, 1)), date(2024, 3, 1), False),
        # days past due only after the twelve months are not bad
        (loan([(END - 90 * LATE, 100)], []), YEAR_ON, True),
        (loan([(END - 89 * LATE, 100)], []), YEAR_ON, False),
    ],
)
def test_a_loan_is_bad_good_or_open(one: Loan, observed: date, bad: bool | None) -> None:
    """The label of one loan; a loan of another seller keeps the result from being empty."""
    known = Loan("L-0", "S-0", _at(date(2020, 1, 1)), ((date(2020, 1, 9), 0),), ())
    labels = label_loans(tables([one, known]), observed)
    found = labels.rows.loc[labels.rows["seller_id"] == "S-1", "bad"].tolist()
    assert found == ([] if bad is None else [bad])
    assert labels.censored == (bad is None)


def test_the_definition_has_the_configured_values() -> None:
    labels = label_loans(tables([loan(DUE, [])]), YEAR_ON, DefaultDefinition(30, 6))
    assert labels.definition == "30+ days past due within 6 months"


def test_a_loan_without_instalments_is_counted_and_not_good() -> None:
    mute = Loan("L-2", "S-2", _at(date(2020, 1, 1)), (), ())
    labels = label_loans(tables([loan(DUE, []), mute]), YEAR_ON)
    assert (labels.rows["seller_id"].tolist(), labels.unscheduled) == (["S-1"], 1)
    for number, none in enumerate(([], [mute])):
        with pytest.raises(LabelError, match=f"None of the {number} loans has instalments"):
            label_loans(tables(none), YEAR_ON)


def table(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "labels.csv"
    path.write_text(text, encoding=encoding)
    return path


def test_a_label_table_is_sorted_and_accepts_several_spellings_of_true(tmp_path: Path) -> None:
    lines = ("as_of,bad,seller_id,note", "2024-01-02,TRUE,S-2,x", "2024-01-01,0,S-1,y", "2023-12-31,1,S-2,")
    text = "\n".join((*lines, "2024-01-01,false,卖家,"))
    labels = read_label_table(table(tmp_path, text))
    assert labels.rows.to_dict("list") == {
        "seller_id": ["S-1", "S-2", "S-2", "卖家"],
        "as_of": [pd.Timestamp(day) for day in ("2024-01-01", "2023-12-31", "2024-01-02", "2024-01-01")],
        "bad": [False, True, True, False],
    }
    assert labels == Labels(
        labels.rows, 0, date(2024, 1, 2), labels.definition, source="the external label table labels.csv"
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("seller_id,bad\nS-1,true\n", "lacks the columns as_of"),
        ("who,what\n", "lacks the columns as_of, bad, seller_id"),
        ("seller_id,bad,as_of\n", "has no rows"),
        ("", "labels.csv"),
        ("seller_id,bad,as_of\nS-1,true,2024-01-01\nS-2,maybe,2024-01-01\n", "Line 3 .* is not valid"),
        ("seller_id,bad,as_of\n,true,2024-01-01\n", "Line 2 .* is not valid"),
        ("seller_id,bad,as_of\nS-1,,2024-01-01\n", "Line 2 .* is not valid"),
        ("seller_id,bad,as_of\nS-1,true,2024-02-30\n", "Line 2 .* is not valid"),
        ("seller_id,bad,as_of\nS-1,true,01/02/2024\n", "Line 2 .* is not valid"),
        ("seller_id,bad,as_of\nS-1,true,\n", "Line 2 .* is not valid"),
        ('seller_id,bad,as_of\n"S-1,true,2024-01-01\n', "labels.csv"),
        ("seller_id,bad,as_of\nS-1,true,2024-01-01,9,9\n", "more fields on its lines than in its header"),
        ("seller_id,bad,as_of\nS-0,S-1,true,2024-01-01\n", "more fields on its lines than in its header"),
        ("seller_id,bad,as_of\nS-1,true,2024-01-01\nS-2,true,2024-01-01,9\n", "cannot be read as CSV"),
        ("seller_id,bad,as_of\nS-1,true,2024-01-01\nS-2,true,2024-01-01\nS-1,false,2024-01-01\n", "Line 4"),
    ],
)
def test_an_invalid_label_table_is_a_one_line_error(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(LabelError, match=sentence) as refusal:
        read_label_table(table(tmp_path, text))
    assert "\n" not in str(refusal.value)


def test_a_missing_or_undecodable_label_table_is_an_error(tmp_path: Path) -> None:
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(LabelError, match="There is no label table at"):
            read_label_table(path)
    os.mkfifo(tmp_path / "pipe.csv")
    for read in (read_label_table, LabelFile.read):
        with pytest.raises(LabelError, match=r"pipe.csv cannot be read \(it is a named pipe, not a regular file\)"):
            read(tmp_path / "pipe.csv")
    with pytest.raises(LabelError, match=r"labels\.csv"):
        read_label_table(table(tmp_path, "seller_id,bad,as_of\n卖家,true,2024-01-01\n", "gb18030"))


SIX_WEEKS = LabelConfig(horizon_days=42, definition="sales below half of those before")
THREE = "seller_id,bad,as_of\nS-1,true,2024-01-01\nS-2,false,2024-02-01\nS-3,true,2024-03-01\n"


@pytest.mark.parametrize(
    ("observed", "sellers"),
    [
        (None, ["S-1", "S-2", "S-3"]),
        (date(2024, 4, 12), ["S-1", "S-2", "S-3"]),
        (date(2024, 4, 11), ["S-1", "S-2"]),
        (date(2024, 2, 12), ["S-1"]),
    ],
)
def test_rows_whose_horizon_has_not_ended_are_censored(
    tmp_path: Path, observed: date | None, sellers: list[str]
) -> None:
    labels = read_label_table(table(tmp_path, THREE), SIX_WEEKS, observed)
    assert labels.rows["seller_id"].tolist() == sellers
    assert labels.censored == 3 - len(sellers)
    assert labels.matured_through == date(2024, len(sellers), 1)
    assert (labels.horizon_days, labels.definition) == (42, "sales below half of those before")
    assert len(read_label_table(table(tmp_path, THREE), LabelConfig(), date(2020, 1, 1)).rows) == 3
    with pytest.raises(LabelError, match=r"None of the 3 rows .* Use rows as of 2023-12-31 or earlier, or correct"):
        read_label_table(table(tmp_path, THREE), SIX_WEEKS, date(2024, 2, 11))


def test_a_note_explains_the_embargo_of_a_table_without_a_horizon(tmp_path: Path) -> None:
    path = table(tmp_path, THREE)
    note = embargo_note(read_label_table(path), 366)
    assert "does not state when its outcomes were observed, so the embargo is 366 days" in note
    assert "set labels.horizon_days" in note
    assert embargo_note(read_label_table(path, SIX_WEEKS), 42) == ""
    one_day = table(tmp_path, "seller_id,bad,as_of\nS-1,true,2024-01-01\nS-2,false,2024-01-01\n")
    assert embargo_note(read_label_table(one_day), 366) == ""


def test_payments_that_were_not_delivered_of_a_seller_do_not_make_a_loan_bad() -> None:
    paid = loan(DUE, [(_at(day), cents) for day, cents in DUE])
    unpaid = Loan("L-2", "S-2", paid.disbursed_at, paid.due, ())
    content = tables([paid, unpaid])
    assert label_loans(content, YEAR_ON).rows["bad"].tolist() == [False, True]
    ends = pd.Series(pd.to_datetime([YEAR_ON, DUE[0][0]]), index=["L-1", "L-2"])
    labels = label_loans(content, YEAR_ON, loan_ends=ends)
    # it is open, not bad: its payments end on its first due day
    assert (labels.rows["seller_id"].tolist(), labels.censored) == (["S-1"], 1)
    # without a day, nothing is known; with a day in the year, a bad loan is known before a good one would be
    for end in (pd.NaT, START + timedelta(days=360)):
        early = pd.Series(pd.to_datetime([YEAR_ON, end]), index=["L-1", "L-2"])
        assert label_loans(content, YEAR_ON, loan_ends=early).censored == 1
    matured = pd.Series(pd.to_datetime([YEAR_ON, START + timedelta(days=380)]), index=["L-1", "L-2"])
    assert label_loans(content, YEAR_ON, loan_ends=matured).rows["bad"].tolist() == [False, True]

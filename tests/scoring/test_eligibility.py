"""Eligibility: all criteria are reported, doubtful sales give no limit, and worse or hidden values never pay."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring import Criterion, EligibilityInputs, Product, ProductError, eligibility
from scoring.bands import Band, Bands

BANDS = Bands((Band("A", 0.01), Band("B", 0.03), Band("C", 0.08), Band("D", 0.2), Band("E", 1.0)))
LINE = Product(
    name="Working capital line",
    currency="USD",
    minimum_band="C",
    minimum_months=12,
    countries=frozenset({"CN", "VN"}),
    multiple=2.0,
    least=1_000,
    cap=50_000,
    prices={"A": 0.06, "B": 0.08, "C": 0.12},
    term_days=365,
)
GOOD = EligibilityInputs("B", "CN", 30.0, 12_000.0, {"rush": 0.0, "unmoved": 0.0})

shares = st.floats(0, 1)
inputs = st.builds(
    EligibilityInputs,
    band=st.sampled_from([*BANDS.names, None]),
    country=st.sampled_from(["CN", "VN", "DE", None]),
    months_trading=st.none() | st.floats(0, 200),
    monthly_sales=st.none() | st.floats(-1e5, 1e8),
    doubts=st.fixed_dictionaries({"rush": st.none() | shares, "unmoved": st.none() | shares}),
)


def test_limit_is_the_multiple_of_undoubted_sales() -> None:
    result = eligibility(LINE, GOOD, BANDS)
    assert (result.eligible, result.limit, result.price) == (True, 24_000, 0.08)
    doubtful = replace(GOOD, doubts={"rush": 0.2, "unmoved": 0.3})
    assert eligibility(LINE, doubtful, BANDS).limit == 12_000
    assert eligibility(LINE, replace(GOOD, monthly_sales=1e9), BANDS).limit == 50_000


def test_all_unmet_criteria_are_reported() -> None:
    result = eligibility(LINE, EligibilityInputs("D", "DE", 4.5, 300.0, {"rush": None, "unmoved": 0.5}), BANDS)
    unmet = {item.criterion: item for item in result.unmet}
    assert (result.limit, result.price) == (None, None)
    assert set(unmet) == set(Criterion) - {Criterion.SCORE, Criterion.BANDS}
    assert (unmet[Criterion.BAND].found, unmet[Criterion.BAND].needed, unmet[Criterion.BAND].gap) == ("D", "C", 1.0)
    assert unmet[Criterion.COUNTRY].needed == "CN, VN"
    assert unmet[Criterion.MONTHS_TRADING].gap == 7.5
    assert unmet[Criterion.CHECKED_SALES].needed == "rush"
    assert (unmet[Criterion.MONTHLY_SALES].found, unmet[Criterion.MONTHLY_SALES].gap) == (150.0, 350.0)


def test_without_a_score_or_in_other_bands_this_alone_is_reported() -> None:
    result = eligibility(LINE, replace(GOOD, band=None), BANDS)
    assert [item.criterion for item in result.unmet] == [Criterion.SCORE]
    other = Bands((Band("A", 0.02), Band("C", 0.2), Band("D", 1.0)))
    (unmet,) = eligibility(LINE, replace(GOOD, band="A"), other).unmet
    assert (unmet.criterion, unmet.found, unmet.needed) == (Criterion.BANDS, "A, C, D", "A, B, C")
    assert eligibility(LINE, replace(GOOD, band=None), other).unmet[0].criterion is Criterion.SCORE


@given(inputs, st.floats(0.01, 50), st.integers(1, 10**6))
def test_meeting_the_reported_criteria_is_enough(facts: EligibilityInputs, multiple: float, least: int) -> None:
    product = replace(LINE, multiple=multiple, least=least, cap=max(least, 50_000))
    result = eligibility(product, facts, BANDS)
    assert result.eligible is not any(result.unmet)
    if result.limit is not None:
        assert product.least <= result.limit <= product.cap
        return
    needed = {item.criterion: item.needed for item in result.unmet}
    improved = replace(
        facts,
        band=str(needed.get(Criterion.BAND, needed.get(Criterion.SCORE, facts.band))),
        country="CN" if Criterion.COUNTRY in needed else facts.country,
        months_trading=needed.get(Criterion.MONTHS_TRADING, facts.months_trading),
        doubts={}
        if Criterion.MONTHLY_SALES in needed
        else {name: share or 0.0 for name, share in facts.doubts.items()},
        monthly_sales=needed.get(Criterion.MONTHLY_SALES, facts.monthly_sales),
    )
    assert eligibility(product, improved, BANDS).eligible
    if Criterion.MONTHLY_SALES in needed:
        below = replace(improved, monthly_sales=float(needed[Criterion.MONTHLY_SALES]) * (1 - 1e-12))
        assert not eligibility(product, below, BANDS).eligible


@given(inputs, st.sampled_from(["rush", "unmoved"]), st.none() | shares)
def test_more_doubt_or_a_hidden_doubt_never_pays(facts: EligibilityInputs, name: str, share: float | None) -> None:
    before = eligibility(LINE, facts, BANDS).limit or 0
    doubt = facts.doubts[name]
    worse = None if doubt is None or share is None else max(doubt, share)
    after = eligibility(LINE, replace(facts, doubts={**facts.doubts, name: worse}), BANDS).limit or 0
    assert after <= before


@given(inputs, st.sampled_from(BANDS.names))
def test_a_better_band_is_never_worse(facts: EligibilityInputs, better: str) -> None:
    if facts.band is None or BANDS.as_good(better, facts.band):
        before, after = (eligibility(LINE, it, BANDS) for it in (facts, replace(facts, band=better)))
        assert (after.limit or 0) >= (before.limit or 0)
        assert before.price is None or (after.price is not None and after.price <= before.price)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"multiple": 0.0}, "multiple of monthly sales is 0.0"),
        ({"multiple": math.nan}, "multiple of monthly sales is nan"),
        ({"least": 60_000}, "smallest limit is 60000"),
        ({"least": 0}, "smallest limit is 0"),
        ({"minimum_months": -1}, "Months of trading are -1"),
        ({"term_days": 0}, "term is 0 days"),
        ({"prices": {"A": 0.06, "B": 1.5, "C": 0.1}}, "price of band B is 1.5"),
    ],
)
def test_an_invalid_product_is_rejected(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ProductError, match=message):
        replace(LINE, **wrong)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"minimum_band": "F"}, "Unknown band F; the bands are A, B, C, D, E"),
        ({"prices": {"A": 0.06, "B": 0.08}}, "from A to C needs a price.*check C"),
        ({"prices": {"A": 0.06, "B": 0.08, "C": 0.1, "D": 0.2}}, "check D"),
        ({"prices": {"A": 0.09, "B": 0.08, "C": 0.1}}, "must not be more expensive"),
    ],
)
def test_a_product_must_fit_the_bands(wrong: dict[str, object], message: str) -> None:
    LINE.require(BANDS)
    with pytest.raises(ProductError, match=message):
        replace(LINE, **wrong).require(BANDS)

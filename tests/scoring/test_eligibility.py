"""Eligibility: every criterion told, no limit on doubted sales, nothing gained by being worse or by hiding."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring import Criterion, Grounds, Product, ProductError, eligibility
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
GOOD = Grounds("B", "CN", 30.0, 12_000.0, {"rush": 0.0, "unmoved": 0.0})

shares = st.floats(0, 1)
grounds = st.builds(
    Grounds,
    band=st.sampled_from([*BANDS.names, None]),
    country=st.sampled_from(["CN", "VN", "DE", None]),
    months_trading=st.none() | st.floats(0, 200),
    monthly_sales=st.none() | st.floats(-1e5, 1e8),
    doubts=st.fixed_dictionaries({"rush": st.none() | shares, "unmoved": st.none() | shares}),
)


def test_limit_is_the_multiple_of_undoubted_sales() -> None:
    found = eligibility(LINE, GOOD, BANDS)
    assert (found.eligible, found.limit, found.price) == (True, 24_000, 0.08)
    doubted = replace(GOOD, doubts={"rush": 0.2, "unmoved": 0.3})
    assert eligibility(LINE, doubted, BANDS).limit == 12_000
    assert eligibility(LINE, replace(GOOD, monthly_sales=1e9), BANDS).limit == 50_000


def test_every_criterion_is_told_at_once() -> None:
    found = eligibility(LINE, Grounds("D", "DE", 4.5, 300.0, {"rush": None, "unmoved": 0.5}), BANDS)
    told = {each.criterion: each for each in found.unmet}
    assert (found.limit, found.price) == (None, None)
    assert set(told) == set(Criterion) - {Criterion.SCORE, Criterion.BANDS}
    assert (told[Criterion.BAND].found, told[Criterion.BAND].needed, told[Criterion.BAND].gap) == ("D", "C", 1.0)
    assert told[Criterion.COUNTRY].needed == "CN, VN"
    assert told[Criterion.MONTHS_TRADING].gap == 7.5
    assert told[Criterion.CHECKED_SALES].needed == "rush"
    assert (told[Criterion.MONTHLY_SALES].found, told[Criterion.MONTHLY_SALES].gap) == (150.0, 350.0)


def test_without_a_number_only_the_score_stands_for_the_band() -> None:
    found = eligibility(LINE, replace(GOOD, band=None), BANDS)
    assert [each.criterion for each in found.unmet] == [Criterion.SCORE]


def test_a_score_in_other_bands_than_the_products_says_so_and_opens_nothing() -> None:
    other = Bands((Band("A", 0.02), Band("C", 0.2), Band("D", 1.0)))
    found = eligibility(LINE, replace(GOOD, band="A"), other)
    assert [(each.criterion, each.found, each.needed) for each in found.unmet] == [
        (Criterion.BANDS, "A, C, D", "A, B, C")
    ]
    assert eligibility(LINE, replace(GOOD, band=None), other).unmet[0].criterion is Criterion.SCORE


@given(grounds, st.floats(0.01, 50), st.integers(1, 10**6))
def test_what_is_needed_is_enough(found: Grounds, multiple: float, least: int) -> None:
    product = replace(LINE, multiple=multiple, least=least, cap=max(least, 50_000))
    answer = eligibility(product, found, BANDS)
    assert answer.eligible is not any(answer.unmet)
    if answer.limit is not None:
        assert product.least <= answer.limit <= product.cap
        return
    needed = {each.criterion: each.needed for each in answer.unmet}
    mended = replace(
        found,
        band=str(needed.get(Criterion.BAND, needed.get(Criterion.SCORE, found.band))),
        country="CN" if Criterion.COUNTRY in needed else found.country,
        months_trading=needed.get(Criterion.MONTHS_TRADING, found.months_trading),
        doubts={}
        if Criterion.MONTHLY_SALES in needed
        else {each: share or 0.0 for each, share in found.doubts.items()},
        monthly_sales=needed.get(Criterion.MONTHLY_SALES, found.monthly_sales),
    )
    assert eligibility(product, mended, BANDS).eligible
    if Criterion.MONTHLY_SALES in needed:
        below = replace(mended, monthly_sales=float(needed[Criterion.MONTHLY_SALES]) * (1 - 1e-12))
        assert not eligibility(product, below, BANDS).eligible


@given(grounds, st.sampled_from(["rush", "unmoved"]), st.none() | shares)
def test_more_doubt_or_a_hidden_one_never_pays(found: Grounds, which: str, share: float | None) -> None:
    before = eligibility(LINE, found, BANDS).limit or 0
    was = found.doubts[which]
    worse = None if was is None or share is None else max(was, share)
    after = eligibility(LINE, replace(found, doubts={**found.doubts, which: worse}), BANDS).limit or 0
    assert after <= before


@given(grounds, st.sampled_from(BANDS.names))
def test_a_better_band_never_costs(found: Grounds, better: str) -> None:
    if found.band is None or BANDS.as_good(better, found.band):
        before, after = (eligibility(LINE, each, BANDS) for each in (found, replace(found, band=better)))
        assert (after.limit or 0) >= (before.limit or 0)
        assert before.price is None or (after.price is not None and after.price <= before.price)


@pytest.mark.parametrize(
    ("wrong", "words"),
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
def test_a_product_that_makes_no_sense_is_refused(wrong: dict[str, object], words: str) -> None:
    with pytest.raises(ProductError, match=words):
        replace(LINE, **wrong)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"minimum_band": "F"}, "band F is not known; the bands are A, B, C, D, E"),
        ({"prices": {"A": 0.06, "B": 0.08}}, "from A to C needs a price.*look at C"),
        ({"prices": {"A": 0.06, "B": 0.08, "C": 0.1, "D": 0.2}}, "look at D"),
        ({"prices": {"A": 0.09, "B": 0.08, "C": 0.1}}, "must not be dearer"),
    ],
)
def test_a_product_must_fit_the_bands(wrong: dict[str, object], words: str) -> None:
    LINE.require(BANDS)
    with pytest.raises(ProductError, match=words):
        replace(LINE, **wrong).require(BANDS)

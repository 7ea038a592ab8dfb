"""The catalogue: complete texts, consistent definitions, and a digest over the semantics."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from features import facts
from features.catalogue import CATALOGUE, TENURE_AND_RECENCY, Feature, definition, digest
from features.errors import CatalogueError
from features.expressions import (
    ActiveDays,
    AgeTotal,
    Buyers,
    DaysOnPlatform,
    DaysSinceFirst,
    DaysSinceLast,
    Expr,
    Greatest,
    Groups,
    HomeTotal,
    Instalments,
    LateInstalments,
    Least,
    LoansRepaid,
    Marketplaces,
    Measure,
    MedianOf,
    Number,
    Owed,
    PastDueDays,
    PeakDay,
    ProductTotal,
    ReturningBuyers,
    Root,
    Spread,
    Stores,
    Total,
    WorstPastDue,
    measures_of,
)
from tests.oracles.features_oracle import oracle
from tests.oracles.market import MIDNIGHTS, Shape, market

NAMES = [feature.name for feature in CATALOGUE]
WORDING = {"label", "meaning", "sign_reason"}
UNITS = {"ratio", "pp", "USD", "days", "hours", "count", "stars"}


def feature(expression: Expr, **other: Any) -> Feature:
    common = {"label": "L", "meaning": "M.", "sign_reason": "R.", "reason_group": "g"}
    return Feature(**{"name": "tested_30d", "expression": expression, "sign": 0, **common, **other})


def test_names_are_unique_and_all_of_them_have_an_oracle() -> None:
    shape = Shape(seed=0, sellers=1, events=1)
    assert len(set(NAMES)) == len(NAMES) >= 80
    assert set(NAMES) == set(oracle(market(shape), "S0", MIDNIGHTS[0]))
    assert set(NAMES) >= TENURE_AND_RECENCY


@pytest.mark.parametrize("item", CATALOGUE, ids=NAMES)
def test_a_feature_has_complete_texts(item: Feature) -> None:
    assert item.name.isidentifier()
    assert item.name == item.name.lower()
    assert item.label
    assert not item.label.endswith(".")
    assert item.meaning.endswith(".")
    assert item.sign_reason.endswith(".")
    assert item.unit in UNITS
    assert item.reason_group.isidentifier()


def test_labels_and_meanings_are_unique() -> None:
    assert len({item.label for item in CATALOGUE}) == len(CATALOGUE)
    assert len({item.meaning for item in CATALOGUE}) == len(CATALOGUE)


@pytest.mark.parametrize(
    ("expression", "window"),
    [
        (Total("gross", 30), 30),
        (Total("gross", 90, 30) / Total("gross", 30), 120),
        (Least((Total("gross", 90), DaysSinceLast("purchases", 365))), 365),
        (Number(1.0) - ReturningBuyers(90, before=90) / Buyers(90), 180),
        (Total("gross", 90) * DaysSinceFirst(), 90),
        (DaysSinceFirst() - Stores(), None),
    ],
)
def test_the_window_of_a_feature_is_how_far_its_expression_looks_back(expression: Expr, window: int | None) -> None:
    assert feature(expression).window == window


@pytest.mark.parametrize("item", CATALOGUE, ids=NAMES)
def test_only_counts_of_stores_marketplaces_or_currencies_are_structural(item: Feature) -> None:
    measures = measures_of(item.expression)
    by_currency = any(getattr(each, "key", None) == "currency" for each in measures)
    assert item.structural == (by_currency or not measures.isdisjoint({Stores(), Marketplaces()}))


@pytest.mark.parametrize(
    ("expression", "tables"),
    [
        (Total("gross", 30), {"orders"}),
        (Total("gross", 30, net="refunded"), {"orders", "refunds"}),
        (Spread("gross", 30, net="refunded"), {"orders", "refunds"}),
        (AgeTotal("purchased", 30), {"purchases"}),
        (ProductTotal("gross", "visits", 30), {"orders", "traffic"}),
        (MedianOf("hours", "shipped", 30), {"fulfilments"}),
        (Total("orders", 30) / Total("visits", 30), {"orders", "traffic"}),
        (Root(Least((Total("purchased", 30), Number(1.0)))), {"purchases"}),
        (Greatest((ActiveDays("visits", 30), DaysSinceLast("disputes", 30))), {"traffic", "refunds"}),
        (PeakDay("gross", 30) / Buyers(30), {"orders"}),
        (DaysSinceFirst() * Number(1.0), {"orders"}),
        (DaysOnPlatform() - Stores(), set()),
        (WorstPastDue(30) + LoansRepaid(), {"loans", "instalments", "payments"}),
        (PastDueDays(30) / (Instalments(30) + LateInstalments(30)), {"loans", "instalments", "payments"}),
        (Owed() / Total("gross", 30), {"loans", "payments", "orders"}),
    ],
)
def test_the_tables_of_a_feature_are_those_of_all_its_measures(expression: Expr, tables: set[str]) -> None:
    assert feature(expression).tables == tables


@pytest.mark.parametrize(
    "expression",
    [
        Total("profit", 30),
        Total("gross", 30, net="profit"),
        Spread("profit", 30),
        Spread("gross", 30, net="profit"),
        ProductTotal("gross", "profit", 30),
        PeakDay("profit", 30) / Total("gross", 30),
        Root(ActiveDays("profit", 30)),
        Least((Number(1.0), DaysSinceLast("profit", 30))),
        Greatest((Number(1.0), Total("profit", 30))),
    ],
)
def test_an_unknown_fact_is_rejected_anywhere_in_an_expression(expression: Expr) -> None:
    with pytest.raises(CatalogueError, match=r"^tested_30d uses unknown facts: profit\."):
        feature(expression)


@pytest.mark.parametrize("measure", [Groups("supplier_id", "gross", 30), HomeTotal("hours", "country", "gross", 30)])
def test_a_key_that_tiles_do_not_have_is_rejected(measure: Measure) -> None:
    with pytest.raises(CatalogueError, match="which is not a key of its tiles"):
        feature(measure)


@pytest.mark.parametrize("sign", [-2, 2, 0.5])
def test_an_invalid_sign_is_rejected(sign: Any) -> None:
    with pytest.raises(CatalogueError, match=r"Use -1, 0 or \+1"):
        feature(Total("gross", 30), sign=sign)


def test_an_invalid_direction_of_fake_orders_is_rejected() -> None:
    with pytest.raises(CatalogueError, match=r"Use one of no, up, down, both\."):
        feature(Total("gross", 30), gameable="yes")


def test_measures_of_an_expression_are_found_at_every_depth() -> None:
    gross, visits, peak = Total("gross", 30), Total("visits", 30), PeakDay("gross", 30)
    whole = Root(gross / visits) + Least((peak, Number(1.0))) * Greatest((gross, Stores())) - Buyers(30)
    found: frozenset[Measure] = measures_of(whole)
    assert found == {gross, visits, peak, Stores(), Buyers(30)}


@pytest.mark.parametrize("name", [field.name for field in fields(Feature)])
def test_the_digest_covers_every_attribute_of_a_feature_except_its_texts(name: str) -> None:
    changed: dict[str, Any] = {
        "unit": "USD",
        "expression": Total("gross", 31),
        "sign": 1,
        "actionable": True,
        "structural": True,
        "gameable": "up",
    }
    one = feature(Total("gross", 30))
    other = replace(one, **{name: changed.get(name, "other")})
    assert other != one
    assert (digest((other,)) == digest((one,))) == (name in WORDING)


def test_the_digest_changes_with_order_and_membership() -> None:
    assert digest(CATALOGUE) != digest(CATALOGUE[::-1])
    assert digest(CATALOGUE) != digest(CATALOGUE[:-1])


def test_the_digest_changes_with_facts_and_with_their_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    before = digest(CATALOGUE)
    monkeypatch.setattr(definition, "QUICK_REFUND_HOURS", facts.QUICK_REFUND_HOURS + 1)
    assert digest(CATALOGUE) != before
    monkeypatch.undo()
    monkeypatch.setattr(definition, "LATE_DAYS", facts.LATE_DAYS + 1)
    assert digest(CATALOGUE) != before
    monkeypatch.undo()
    monkeypatch.setattr(definition, "FACTS", facts.FACTS[:-1])
    assert digest(CATALOGUE) != before


@pytest.mark.parametrize("expression", [Total("refunded", 30), Total("gross", 30, 1), AgeTotal("gross", 30)])
def test_the_digest_changes_with_the_fact_the_lag_and_the_kind_of_a_measure(expression: Expr) -> None:
    assert digest((feature(expression),)) != digest((feature(Total("gross", 30)),))


def test_the_digest_changes_with_a_number_in_an_expression() -> None:
    gross = Total("gross", 30)
    assert digest((feature(gross * Number(1e-6)),)) != digest((feature(gross * Number(1e-5)),))


def test_the_digest_is_stable_and_names_its_algorithm() -> None:
    assert digest(CATALOGUE) == digest(tuple(replace(item) for item in CATALOGUE))
    kind, _, value = digest(CATALOGUE).partition(":")
    assert kind == "sha256"
    assert len(bytes.fromhex(value)) == 32

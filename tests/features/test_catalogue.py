"""The catalogue: complete texts, consistent definitions, and digests over meaning: tags and settings, no names."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from datetime import date
from inspect import isclass
from typing import Any

import ibis
import pytest

from features import expressions as ex
from features import facts
from features.catalogue import CATALOGUE, TENURE_AND_RECENCY, Feature, definition, digest
from features.catalogue.definition import measures_in, tile_digest
from features.catalogue.semantics import digest_of, to_json
from features.errors import CatalogueError
from features.expressions import AgeTotal, DaysSinceLast, Expr, Number, Root, Total, measures_of
from features.facts import Fact
from features.festivals import festivals
from features.measures import windows
from features.measures.scope import PairScope, column_name
from features.profile import series
from features.profile.series import Series
from tests.oracles.features_oracle import oracle
from tests.oracles.market import MIDNIGHTS, Shape, market

KINDS = [item for item in vars(ex).values() if isclass(item) and issubclass(item, Expr) and item is not Expr]
WORDING = {"label", "meaning", "sign_reason"}
UNITS = {"ratio", "pp", "USD", "days", "hours", "count", "stars"}
GROSS, VISITS = Total("gross", 30), Total("visits", 30)


def feature(expression: Expr, **other: Any) -> Feature:
    common = {"label": "L", "meaning": "M.", "sign_reason": "R.", "reason_group": "g"}
    return Feature(**{"name": "tested_30d", "expression": expression, "sign": 0, **common, **other})


def digests() -> dict[str, object]:
    columns = sorted(map(column_name, measures_in(CATALOGUE)))
    by_series = series.digest.__wrapped__()
    return {"catalogue": digest(CATALOGUE), "tiles": tile_digest(), "series": by_series, "columns": columns}


def test_every_feature_has_complete_texts_and_an_oracle() -> None:
    for item in CATALOGUE:
        assert item.name.isidentifier(), item
        assert item.name == item.name.lower(), item
        assert item.label, item
        assert not item.label.endswith("."), item
        assert item.meaning.endswith("."), item
        assert item.sign_reason.endswith("."), item
        assert item.unit in UNITS, item
        assert item.reason_group.isidentifier(), item
        measures = measures_of(item.expression)
        by_currency = any(getattr(measure, "key", None) == "currency" for measure in measures)
        assert item.structural == (by_currency or not measures.isdisjoint({ex.Stores(), ex.Marketplaces()})), item
    for attribute in ("name", "label", "meaning"):
        assert len({getattr(item, attribute) for item in CATALOGUE}) == len(CATALOGUE) >= 80
    names = {item.name for item in CATALOGUE}
    assert names == set(oracle(market(Shape(seed=0, sellers=1, events=1)), "S0", MIDNIGHTS[0]))
    assert names >= TENURE_AND_RECENCY


@pytest.mark.parametrize(
    ("expression", "window"),
    [
        (GROSS, 30),
        (Total("gross", 90, 30) / GROSS, 120),
        (ex.Least((Total("gross", 90), DaysSinceLast("purchases", 365))), 365),
        (Number(1.0) - ex.ReturningBuyers(90, before=90) / ex.Buyers(90), 180),
        (Total("gross", 90) * ex.DaysSinceFirst(), 90),
        (ex.DaysSinceFirst() - ex.Stores(), None),
    ],
)
def test_the_window_of_a_feature_is_how_far_its_expression_looks_back(expression: Expr, window: int | None) -> None:
    assert feature(expression).window == window


@pytest.mark.parametrize(
    ("expression", "tables"),
    [
        (GROSS, {"orders"}),
        (Total("gross", 30, net="refunded"), {"orders", "refunds"}),
        (ex.Spread("gross", 30, net="refunded"), {"orders", "refunds"}),
        (AgeTotal("purchased", 30), {"purchases"}),
        (ex.ProductTotal("gross", "visits", 30), {"orders", "traffic"}),
        (ex.MedianOf("hours", "shipped", 30), {"fulfilments"}),
        (Total("orders", 30) / VISITS, {"orders", "traffic"}),
        (Root(ex.Least((Total("purchased", 30), Number(1.0)))), {"purchases"}),
        (
            ex.Greatest((ex.ActiveDays("visits", 30), DaysSinceLast("disputes", 30))),
            {"traffic", "refunds"},
        ),
        (ex.PeakDay("gross", 30) / ex.Buyers(30), {"orders"}),
        (ex.DaysSinceFirst() * Number(1.0), {"orders"}),
        (ex.DaysOnPlatform() - ex.Stores(), set()),
        (ex.WorstPastDue(30) + ex.LoansRepaid(), {"loans", "instalments", "payments"}),
        (
            ex.PastDueDays(30) / (ex.Instalments(30) + ex.LateInstalments(30)),
            {"loans", "instalments", "payments"},
        ),
        (ex.Owed() / GROSS, {"loans", "payments", "orders"}),
    ],
)
def test_the_tables_of_a_feature_are_those_of_all_its_measures(expression: Expr, tables: set[str]) -> None:
    assert feature(expression).tables == tables


def test_measures_of_an_expression_are_found_at_every_depth() -> None:
    peak = ex.PeakDay("gross", 30)
    whole = Root(GROSS / VISITS) + ex.Least((peak, Number(1.0))) * ex.Greatest((GROSS, ex.Stores())) - ex.Buyers(30)
    assert measures_of(whole) == {GROSS, VISITS, peak, ex.Stores(), ex.Buyers(30)}


@pytest.mark.parametrize(
    "expression",
    [
        Total("profit", 30),
        Total("gross", 30, net="profit"),
        ex.Spread("profit", 30),
        ex.Spread("gross", 30, net="profit"),
        ex.ProductTotal("gross", "profit", 30),
        ex.PeakDay("profit", 30) / GROSS,
        Root(ex.ActiveDays("profit", 30)),
        ex.Least((Number(1.0), DaysSinceLast("profit", 30))),
        ex.Greatest((Number(1.0), Total("profit", 30))),
    ],
)
def test_an_unknown_fact_is_rejected_anywhere_in_an_expression(expression: Expr) -> None:
    with pytest.raises(CatalogueError, match=r"^tested_30d uses unknown facts: profit\."):
        feature(expression)


@pytest.mark.parametrize(
    ("expression", "other", "message"),
    [
        (ex.Groups("supplier_id", "gross", 30), {}, "which is not a key of its tiles"),
        (ex.HomeTotal("hours", "country", "gross", 30), {}, "which is not a key of its tiles"),
        *((GROSS, {"sign": sign}, r"Use -1, 0 or \+1") for sign in (-2, 2, 0.5)),
        (GROSS, {"gameable": "yes"}, r"Use one of no, up, down, both\."),
    ],
)
def test_an_invalid_definition_is_rejected(expression: Expr, other: dict[str, Any], message: str) -> None:
    with pytest.raises(CatalogueError, match=message):
        feature(expression, **other)


@pytest.mark.parametrize("name", [field.name for field in fields(Feature)])
def test_the_digest_covers_every_attribute_of_a_feature_except_its_texts(name: str) -> None:
    changed: dict[str, Any] = {"unit": "USD", "expression": Total("gross", 31), "sign": 1, "gameable": "up"}
    changed |= {"actionable": True, "structural": True}
    one = feature(GROSS)
    other = replace(one, **{name: changed.get(name, "other")})
    assert other != one
    assert (digest((other,)) == digest((one,))) == (name in WORDING)


def test_the_digest_depends_on_order_membership_and_every_setting_of_an_expression() -> None:
    assert digest(CATALOGUE) == digest(tuple(replace(item) for item in CATALOGUE))
    measures = (GROSS, Total("refunded", 30), Total("gross", 30, 1), AgeTotal("gross", 30), GROSS * Number(1e-6))
    catalogues = [(feature(expression),) for expression in (*measures, GROSS * Number(1e-5))]
    distinct = {digest(catalogue) for catalogue in (CATALOGUE, CATALOGUE[::-1], CATALOGUE[:-1], *catalogues)}
    assert len(distinct) == 3 + len(catalogues)
    kind, _, value = digest(CATALOGUE).partition(":")
    assert (kind, len(bytes.fromhex(value))) == ("sha256", 32)


@pytest.fixture
def rename_classes() -> Iterator[Callable[[], None]]:
    """Rename every class of definitions when called; monkeypatch cannot, since a `__qualname__` cannot be deleted."""
    classes = (*KINDS, Fact, Feature, Series)
    names = [(kind.__name__, kind.__qualname__) for kind in classes]

    def rename() -> None:
        for kind in classes:
            kind.__name__ = kind.__qualname__ = f"{kind.__name__}Renamed"

    yield rename
    for kind, (name, qualified) in zip(classes, names, strict=True):
        kind.__name__, kind.__qualname__ = name, qualified


def test_a_renamed_class_changes_no_digest_no_column_and_no_sql(rename_classes: Callable[[], None]) -> None:
    before, sql = digests(), sql_of_totals()
    assert "total(fact=gross, days=90, lag=0, net=None)" in sql
    rename_classes()
    assert repr(GROSS).startswith("TotalRenamed(")
    assert repr(facts.FACTS[0]).startswith("FactRenamed(")
    assert (digests(), sql_of_totals()) == (before, sql)


def sql_of_totals() -> str:
    day = {"store_id": "string", "day": "date", "visible_from": "date", "insider": "string", "gross": "int64"}
    pairs = ibis.table({"pair": "int32", "as_of": "date"}, name="pairs")
    held = ibis.table({"pair": "int32", "as_of": "date", "store_id": "string"}, name="held")
    own = ibis.table({"pair": "int32", "insider": "string"}, name="own")
    scope = PairScope(pairs, held, held, own, date(2024, 1, 1), date(2024, 3, 1), keep=lambda table: table)
    totals = (Total("gross", 90), AgeTotal("gross", 30), DaysSinceLast("gross", 365))
    (part,) = windows.tables({"orders": ibis.table(day, name="orders")}, scope, totals)
    return str(ibis.to_sql(part, dialect="duckdb"))


def test_rewording_a_series_changes_no_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    before = digests()
    monkeypatch.setattr(series, "SERIES", tuple(replace(item, label="L", meaning="M.") for item in series.SERIES))
    assert digests() == before


def test_each_kind_of_expression_has_its_own_tag_and_each_measure_its_own_column() -> None:
    tags = [kind.tag for kind in (*KINDS, Fact)]
    assert len(set(tags)) == len(tags) > 40
    assert all(tag.isidentifier() and tag == tag.lower() for tag in tags)
    measures = measures_in(CATALOGUE)
    assert {type(item) for item in measures} <= set(KINDS)
    assert len({column_name(item).lower() for item in measures}) == len(measures)
    assert column_name(Total("gross", 90, 30, net="refunded")) == "total(fact=gross, days=90, lag=30, net=refunded)"
    with pytest.raises(TypeError, match="tag"):
        type("Untagged", (Total,), {})


BOTH, LOANS, STEPS = {"catalogue", "tiles"}, {"catalogue"}, {"series"}


@pytest.mark.parametrize(
    ("module", "name", "value", "changed"),
    [
        (definition, "FACTS", (*facts.FACTS[:-1], replace(facts.FACTS[-1], own_store=True)), BOTH),
        (definition, "TILE_KEYS", {**facts.TILE_KEYS, "traffic": ("channel",)}, BOTH),
        (definition, "QUICK_REFUND_HOURS", 24, BOTH),
        (definition, "LATE_SHIPPING_HOURS", 24, BOTH),
        (definition, "LATE_DELIVERY_HOURS", 24, BOTH),
        (definition, "WEEKEND", (6,), BOTH),
        (definition, "LOAN_TABLES", ("loans",), BOTH),
        (definition, "festivals", lambda year: festivals(year)[1:], BOTH),
        (definition, "LATE_DAYS", 4, LOANS),
        (definition, "COVERED", (99, 100), LOANS),
        (series, "STEPS", 13, STEPS),
        (series, "STEP_DAYS", 28, STEPS),
        (series, "NEW_AFTER", 4, STEPS),
        (series, "SUMS", series.SUMS[1:], STEPS),
        (series, "BY_NAME", {**facts.BY_NAME, "gross": replace(facts.BY_NAME["gross"], own_store=True)}, STEPS),
    ],
)
def test_a_changed_definition_changes_the_digests_that_depend_on_it(
    module: Any, name: str, value: Any, changed: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = digests()
    monkeypatch.setattr(module, name, value)
    after = digests()
    assert {key for key in before if after[key] != before[key]} == changed


def test_definitions_as_json() -> None:
    total = {"total": {"fact": "gross", "days": 90, "lag": 0, "net": None}}
    assert to_json(Root(Total("gross", 90) / Number(2.0))) == {
        "root": {"of": {"arithmetic": {"operator": "/", "left": total, "right": {"number": {"value": 2.0}}}}}
    }
    assert to_json(festivals(2024)[0]) == ["2024-06-16", "2024-06-18"]
    for value in (object(), {1, 2}, b"90", CATALOGUE[0], series.SERIES[0]):
        with pytest.raises(TypeError, match="cannot be part of a definition"):
            digest_of({"inside": [value]})
    for number in (math.nan, math.inf):
        with pytest.raises(ValueError, match="not JSON compliant"):
            digest_of({"expression": Number(number)})

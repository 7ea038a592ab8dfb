"""Digests and column names depend on what definitions mean: on tags and settings, never on class names or labels."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from inspect import isclass
from typing import Any

import ibis
import pytest

from features import expressions, facts
from features.catalogue import CATALOGUE, Feature, definition, digest
from features.catalogue.definition import measures_in, tile_digest
from features.catalogue.semantics import digest_of, to_json
from features.expressions import AgeTotal, DaysSinceLast, Expr, Number, Root, Total
from features.facts import Fact
from features.festivals import festivals
from features.measures import windows
from features.measures.scope import PairScope, column_name
from features.profile import series
from features.profile.series import Series

KINDS = [item for item in vars(expressions).values() if isclass(item) and issubclass(item, Expr) and item is not Expr]


def series_digest() -> str:
    return series.digest.__wrapped__()


def everything() -> dict[str, object]:
    columns = sorted(map(column_name, measures_in(CATALOGUE)))
    return {"catalogue": digest(CATALOGUE), "tiles": tile_digest(), "series": series_digest(), "columns": columns}


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


def test_a_renamed_class_changes_no_digest_and_no_column(rename_classes: Callable[[], None]) -> None:
    before = everything()
    rename_classes()
    assert repr(Total("gross", 90)).startswith("TotalRenamed(")
    assert repr(facts.FACTS[0]).startswith("FactRenamed(")
    assert everything() == before


def test_renaming_a_class_changes_no_sql(rename_classes: Callable[[], None]) -> None:
    before = sql_of_totals()
    assert "total(fact=gross, days=90, lag=0, net=None)" in before
    rename_classes()
    assert sql_of_totals() == before


def sql_of_totals() -> str:
    day = {"store_id": "string", "day": "date", "visible_from": "date", "insider": "string", "gross": "int64"}
    pairs = ibis.table({"pair": "int32", "as_of": "date"}, name="pairs")
    held = ibis.table({"pair": "int32", "as_of": "date", "store_id": "string"}, name="held")
    own = ibis.table({"pair": "int32", "insider": "string"}, name="own")
    scope = PairScope(pairs, held, held, own, date(2024, 1, 1), date(2024, 3, 1), keep=lambda table: table)
    wanted = (Total("gross", 90), AgeTotal("gross", 30), DaysSinceLast("gross", 365))
    (part,) = windows.tables({"orders": ibis.table(day, name="orders")}, scope, wanted)
    return str(ibis.to_sql(part, dialect="duckdb"))


def test_rewording_changes_no_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    before = everything()
    reworded = tuple(replace(item, label="L", meaning="M.", sign_reason="R.") for item in CATALOGUE)
    monkeypatch.setattr(series, "SERIES", tuple(replace(item, label="L", meaning="M.") for item in series.SERIES))
    assert digest(reworded) == before["catalogue"]
    assert everything() == before


def test_each_kind_of_expression_has_its_own_tag() -> None:
    tags = [kind.tag for kind in (*KINDS, Fact)]
    assert len(set(tags)) == len(tags) > 40
    assert all(tag.isidentifier() and tag == tag.lower() for tag in tags)
    assert {type(item) for item in measures_in(CATALOGUE)} <= set(KINDS)


def test_a_kind_of_expression_without_a_tag_cannot_be_defined() -> None:
    with pytest.raises(TypeError, match="tag"):
        type("Untagged", (Total,), {})


def test_each_measure_has_its_own_column() -> None:
    measures = measures_in(CATALOGUE)
    assert len({column_name(item).lower() for item in measures}) == len(measures)
    assert column_name(Total("gross", 90, 30, net="refunded")) == "total(fact=gross, days=90, lag=30, net=refunded)"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FACTS", (*facts.FACTS[:-1], replace(facts.FACTS[-1], own_store=True))),
        ("TILE_KEYS", {**facts.TILE_KEYS, "traffic": ("channel",)}),
        ("QUICK_REFUND_HOURS", 24),
        ("LATE_SHIPPING_HOURS", 24),
        ("LATE_DELIVERY_HOURS", 24),
        ("WEEKEND", (6,)),
        ("LOAN_TABLES", ("loans",)),
        ("festivals", lambda year: festivals(year)[1:]),
    ],
)
def test_the_definition_of_tiles_is_in_both_digests(name: str, value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    tiles, catalogue = tile_digest(), digest(CATALOGUE)
    monkeypatch.setattr(definition, name, value)
    assert tile_digest() != tiles
    assert digest(CATALOGUE) != catalogue


@pytest.mark.parametrize(("name", "value"), [("LATE_DAYS", 4), ("COVERED", (99, 100))])
def test_the_definition_of_loans_is_only_in_the_catalogue_digest(
    name: str, value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiles, catalogue = tile_digest(), digest(CATALOGUE)
    monkeypatch.setattr(definition, name, value)
    assert tile_digest() == tiles
    assert digest(CATALOGUE) != catalogue


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("STEPS", 13),
        ("STEP_DAYS", 28),
        ("NEW_AFTER", 4),
        ("SUMS", series.SUMS[1:]),
        ("BY_NAME", {**facts.BY_NAME, "gross": replace(facts.BY_NAME["gross"], own_store=True)}),
    ],
)
def test_the_definition_of_stored_steps_is_in_the_digest_of_series(
    name: str, value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = series_digest()
    monkeypatch.setattr(series, name, value)
    assert series_digest() != before


def test_definitions_as_json() -> None:
    total = {"total": {"fact": "gross", "days": 90, "lag": 0, "net": None}}
    assert to_json(Root(Total("gross", 90) / Number(2.0))) == {
        "root": {"of": {"arithmetic": {"operator": "/", "left": total, "right": {"number": {"value": 2.0}}}}}
    }
    assert to_json(festivals(2024)[0]) == ["2024-06-16", "2024-06-18"]


@pytest.mark.parametrize("value", [object(), {1, 2}, b"90", CATALOGUE[0], series.SERIES[0]])
def test_a_value_of_an_unsupported_type_is_rejected(value: object) -> None:
    with pytest.raises(TypeError, match="cannot be part of a definition"):
        digest_of({"inside": [value]})


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_number_without_a_json_form_is_rejected(value: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        digest_of({"expression": Number(value)})

"""Allowed values of corrected figures follow from their definitions, and unusual values are recognised."""

from __future__ import annotations

import pytest

from api.reviews.ranges import RANGES, UNIT_RANGES, allowed_range, is_unusual
from features.catalogue import CATALOGUE
from scoring.sheet import FeatureEntry

SHARES = {
    *("recent_sales_hold", "recent_week_hold"),
    *("active_day_share_30d", "active_day_share_90d", "top_day_share_180d", "top_days_share_365d"),
    *("return_rate_30d", "return_rate_90d", "return_rate_365d", "livestream_return_rate_180d"),
    *("cancel_rate_180d", "dispute_rate_180d", "disputed_value_365d", "quick_refund_share_180d"),
    *("late_shipping_share_90d", "late_delivery_share_180d", "undelivered_share_180d", "lost_share_180d"),
    *("unmoved_parcel_share_180d", "buyer_concentration_180d", "top_buyer_share_180d", "repeat_buyer_share_180d"),
    *("repeat_sales_share_180d", "new_buyer_share_90d", "search_visit_share_90d", "paid_visit_share_90d"),
    *("country_concentration_180d", "top_country_share_180d", "home_share_180d", "foreign_currency_share_180d"),
    *("livestream_share_180d", "festival_share_365d", "weekend_share_180d"),
    *("supplier_concentration_365d", "top_supplier_share_365d", "late_instalment_share_365d"),
    *("own_store_share_180d", "rush_order_share_180d"),
}
ENTRIES = {
    each.name: FeatureEntry(
        each.name, each.label, each.unit, each.sign, each.actionable, each.structural, "g", 0.5, scored=False
    )
    for each in CATALOGUE
}


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("average_order_change", 1.05, True),
        ("owed_over_monthly_sales", 1.5, True),
        ("operating_margin_180d", -0.1, True),
        ("operating_margin_180d", 1.1, False),
        ("store_count", 3.0, True),
        ("store_count", -1.0, False),
        ("days_since_last_sale", 3.0, True),
        ("days_since_last_sale", 36_501.0, False),
        ("days_on_platform", 4_000.0, True),
        ("orders_90d", 250.0, True),
        ("rating_change", -0.5, True),
        ("rating_90d", 0.5, False),
        ("settled_net_sales_365d", 2e6, True),
        ("settled_net_sales_30d", -250.0, True),
        ("sales_trend_90d", 2e30, False),
        ("return_rate_90d", 0.04, True),
        ("return_rate_90d", 4.0, False),
        ("return_rate_change", -0.02, True),
        ("stock_replacement_180d", 0.5, True),
        # at most 0.6 by its definition
        ("stock_replacement_180d", 1.2, False),
    ],
)
def test_the_range_follows_from_the_definition_of_the_figure(name: str, value: float, allowed: bool) -> None:
    low, high = allowed_range(ENTRIES[name], None)
    assert (low <= value <= high) is allowed


def test_each_ratio_of_the_catalogue_is_a_share_or_has_a_range_of_its_own() -> None:
    """A new ratio belongs to one of the two."""
    assert {each.name for each in CATALOGUE if each.unit == "ratio"} - {*RANGES} == SHARES
    assert {*RANGES} <= {*ENTRIES}
    assert {each.unit for each in CATALOGUE} <= {*UNIT_RANGES}


def test_the_range_includes_the_delivered_value() -> None:
    assert allowed_range(ENTRIES["return_rate_90d"], 1.2) == (0.0, 1.2)
    assert allowed_range(ENTRIES["return_rate_90d"], -0.1) == (-0.1, 1.0)


@pytest.mark.parametrize(
    ("value", "found", "typical", "unusual"),
    [
        (0.04, 0.03, 0.02, False),
        (0.4, 0.03, 0.02, True),
        (0.002, 0.03, 0.02, True),
        (0.0, 0.03, 0.02, True),
        (-0.03, 0.03, 0.02, True),
        (-0.2, -0.03, 0.02, False),
        (0.5, None, 0.02, True),
        (0.5, 0.0, 0.02, True),
        (0.1, 0.0, 0.02, False),
        (3.0, 0.0, 0.0, False),
        (None, 0.03, 0.02, False),
    ],
)
def test_a_value_far_from_the_current_or_the_typical_one_is_unusual(
    value: float | None, found: float | None, typical: float | None, unusual: bool
) -> None:
    assert is_unusual(value, found, typical) is unusual

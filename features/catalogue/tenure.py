"""Tenure and breadth features: age of the business, number of stores and marketplaces."""

from functools import partial
from typing import Final

from features.catalogue.definition import Feature
from features.expressions import DaysOnPlatform, DaysSinceFirst, Marketplaces, OldestStore, Stores

_lowers_risk = partial(Feature, sign=-1, reason_group="tenure", unit="days")
_either_way = partial(Feature, sign=0, reason_group="tenure", unit="count", structural=True)

TENURE: Final = (
    _lowers_risk(
        name="days_on_platform",
        label="Days on the platform",
        meaning="Days from the seller's onboarding to the date of the score.",
        expression=DaysOnPlatform() * 1.0,
        sign_reason="Young businesses fail more often.",
    ),
    _lowers_risk(
        name="days_since_first_order",
        label="Days since the first order",
        meaning="Days from the first order to the date of the score.",
        expression=DaysSinceFirst() * 1.0,
        sign_reason="A long sales history shows that a business survives.",
    ),
    _lowers_risk(
        name="oldest_store_days",
        label="Age of the oldest store, days",
        meaning="Days from the opening of the seller's oldest store to the date of the score.",
        expression=OldestStore() * 1.0,
        sign_reason="An old store has survived bad years.",
    ),
    _either_way(
        name="store_count",
        label="Stores",
        meaning="Number of stores that the seller owns.",
        expression=Stores() * 1.0,
        sign_reason="A higher number of stores is neither better nor worse.",
    ),
    _either_way(
        name="marketplace_count",
        label="Marketplaces",
        meaning="Number of marketplaces on which the seller owns a store.",
        expression=Marketplaces() * 1.0,
        sign_reason="More marketplaces spread a risk and divide attention.",
    ),
)

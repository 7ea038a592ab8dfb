"""Tenure and breadth: how long and how widely a seller has been seen."""

from typing import Final

from features.catalogue.definition import Feature
from features.expressions import DaysOnPlatform, DaysSinceFirst, Marketplaces, Number, OldestStore, Stores

_ONE: Final = Number(1.0)

TENURE: Final = (
    Feature(
        "days_on_platform",
        "Days on the platform",
        "Days from the seller's onboarding to the score's date.",
        "days",
        None,
        DaysOnPlatform() * _ONE,
        -1,
        "The young fail more often.",
        "tenure",
    ),
    Feature(
        "days_since_first_order",
        "Days since the first order",
        "Days from the first order ever to the score's date.",
        "days",
        None,
        DaysSinceFirst() * _ONE,
        -1,
        "A long record of selling is a long record of surviving.",
        "tenure",
    ),
    Feature(
        "oldest_store_days",
        "Age of the oldest store",
        "Days from the opening of the oldest store that the seller owns to the score's date.",
        "days",
        None,
        OldestStore() * _ONE,
        -1,
        "A store that stood for years has seen bad ones.",
        "tenure",
    ),
    Feature(
        "store_count",
        "Stores",
        "Number of stores that the seller owns.",
        "count",
        None,
        Stores() * _ONE,
        0,
        "More stores are neither better nor worse by themselves.",
        "tenure",
        structural=True,
    ),
    Feature(
        "marketplace_count",
        "Marketplaces",
        "Number of marketplaces on which the seller owns a store.",
        "count",
        None,
        Marketplaces() * _ONE,
        0,
        "More marketplaces spread a risk and divide attention.",
        "tenure",
        structural=True,
    ),
)

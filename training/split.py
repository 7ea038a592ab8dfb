"""The split that a bank's reviewer asks for: test loans later in time, and of sellers never trained on."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from training.dataset import LEAST_OF_A_CLASS
from training.split_settings import SplitConfig, require_parts

if TYPE_CHECKING:
    import pandas as pd

    from training.dataset import Dataset


class Evidence(StrEnum):
    """How a model is measured: on later rows of unseen sellers, or out of fold where there are no later rows."""

    OUT_OF_TIME = "out_of_time"
    OUT_OF_FOLD = "out_of_fold"


@dataclass(frozen=True)
class Split:
    """Training and test part; loans in the embargo, or of unseen sellers before the test, are in neither."""

    evidence: Evidence
    train: Dataset
    test: Dataset
    train_before: date
    test_from: date


def whole(dataset: Dataset) -> Split:
    """Take every row for training and for testing alike; what is measured must then come out of fold.

    Raises:
        LabelError: too few rows of one kind to learn from.
    """
    dataset.require("training", LEAST_OF_A_CLASS)
    first, last = dataset.rows["as_of"].min().date(), dataset.rows["as_of"].max().date()
    return Split(Evidence.OUT_OF_FOLD, dataset, dataset, last + timedelta(days=1), first)


def out_of_time(dataset: Dataset, config: SplitConfig) -> Split:
    """Split by time and by seller.

    Example: with outcomes known up to 2026-01-01 and the defaults, test loans were paid out from 2024-09-03
    to the end of 2024, and training loans before 2023-09-03.

    Raises:
        LabelError: a part lacks good or bad loans; the span of the data is too short.
    """
    return hold_out(dataset, config, is_unseen(dataset.rows["seller_id"], config))


def hold_out(dataset: Dataset, config: SplitConfig, unseen: pd.Series) -> Split:
    """Split by time, and by seller as `unseen` says: True for the rows whose sellers are kept from training."""
    import pandas as pd

    rows = dataset.rows
    last = dataset.labels.matured_through
    test_from = last - timedelta(days=config.test_days - 1)
    train_before = test_from - timedelta(days=config.embargo_days)
    train = dataset.select((rows["as_of"] < pd.Timestamp(train_before)) & ~unseen)
    in_test = rows["as_of"].between(pd.Timestamp(test_from), pd.Timestamp(last))
    test = dataset.select(in_test & unseen)
    parts = ((f"training (before {train_before})", train), (f"test (from {test_from})", test))
    require_parts(dataset, config, unseen, *parts)
    return Split(Evidence.OUT_OF_TIME, train, test, train_before, test_from)


def longest_days(months: int) -> int:
    """Return how many days this many months take at most.

    Example:
        >>> longest_days(12), longest_days(1)
        (366, 31)
    """
    starts = range(4 * 12)  # of four years, one of them a leap year
    return max((_first_of(start + months) - _first_of(start)).days for start in starts)


def is_unseen(seller_ids: pd.Series, config: SplitConfig) -> pd.Series:
    """Return True for the sellers kept from training: by a hash of the id, so the same for ever and for any order."""
    limit = int(config.unseen_share * 2**32)
    return seller_ids.map(
        lambda seller: int.from_bytes(hashlib.sha256(f"{config.salt}:{seller}".encode()).digest()[:4], "big") < limit
    ).astype(bool)


def _first_of(month: int) -> date:
    """Return the first day of a month counted from January 2021."""
    return date(2021 + month // 12, month % 12 + 1, 1)

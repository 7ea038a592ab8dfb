"""Train/test split: test loans are later in time and of sellers that are never trained on.

If a part of the split has too few labels, the error names settings that work.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from training.dataset import MIN_PER_CLASS
from training.errors import LabelError
from training.labels import LOANS
from training.settings import STRICT

if TYPE_CHECKING:
    import pandas as pd

    from training.dataset import Dataset

MIN_IN_TEST: Final = 2
"""Minimum number of bad and of good test rows. With fewer, no metric can be computed."""

_DAY: Final = np.timedelta64(1, "D")


class Evidence(StrEnum):
    """How a model is tested: on later rows of other sellers, or out of fold if there are no later rows."""

    OUT_OF_TIME = "out_of_time"
    OUT_OF_FOLD = "out_of_fold"


@dataclass(frozen=True)
class SplitConfig:
    """The `[split]` section: the test period and the share of sellers that are never trained on.

    Attributes:
        test_days: length of the test period, which ends with the latest matured outcome.
        unseen_share: share of sellers that are kept from training.
        embargo_days: days between the last training loan and the first test loan. They cover the time that an outcome
            takes, so that every training outcome is known when the first test loan is paid out. `TrainConfig` rejects
            a shorter embargo.
        salt: input of the hash that assigns sellers to the test.
    """

    __pydantic_config__ = STRICT

    test_days: Annotated[int, Field(ge=1, le=36_525)] = 120
    unseen_share: Annotated[float, Field(gt=0, lt=1)] = 0.3
    embargo_days: Annotated[int, Field(ge=0, le=36_525)] = 366
    salt: str = "sellerscore"


@dataclass(frozen=True)
class Split:
    """Training and test part. Rows in the embargo, and rows of test sellers before the test, are in neither."""

    evidence: Evidence
    train: Dataset
    test: Dataset
    train_before: date
    test_from: date


@dataclass(frozen=True)
class SplitAdvice:
    """Settings of the split that give both parts enough labels, and the resulting counts of labels."""

    embargo_days: int
    test_days: int
    train: int
    train_bad: int
    test: int
    test_bad: int

    @property
    def balance(self) -> int:
        """The product of the counts of the rarer outcome in both parts; 0 if a part has too few of an outcome."""
        train_rarer = min(self.train_bad, self.train - self.train_bad)
        test_rarer = min(self.test_bad, self.test - self.test_bad)
        return train_rarer * test_rarer if train_rarer >= MIN_PER_CLASS and test_rarer >= MIN_IN_TEST else 0

    def __str__(self) -> str:
        """Return `training has 3,100 labels, 420 bad, and the test 510, 61 bad`."""
        return (
            f"training has {self.train:,} labels, {self.train_bad:,} bad, and the test {self.test:,}, "
            f"{self.test_bad:,} bad"
        )


def whole(dataset: Dataset) -> Split:
    """Return a split whose training and test part are both the whole dataset, for an out-of-fold test.

    Raises:
        LabelError: too few rows of one outcome to train on.
    """
    dataset.require("training", MIN_PER_CLASS)
    first, last = dataset.rows["as_of"].min().date(), dataset.rows["as_of"].max().date()
    return Split(Evidence.OUT_OF_FOLD, dataset, dataset, last + timedelta(days=1), first)


def out_of_time(dataset: Dataset, config: SplitConfig) -> Split:
    """Return the split by time and by seller.

    Example: with outcomes known up to 2026-01-01 and the defaults, test loans were paid out from 2024-09-03
    to the end of 2024, and training loans before 2023-09-03.

    Raises:
        LabelError: a part has too few good or bad loans, or the data cover too short a period.
    """
    return hold_out(dataset, config, is_unseen(dataset.rows["seller_id"], config))


def hold_out(dataset: Dataset, config: SplitConfig, unseen: pd.Series) -> Split:
    """Return the split by time and by `unseen`, which is True for the rows of sellers kept from training.

    Raises:
        LabelError: a part has too few labels. The message names settings that work, if there are any.
    """
    import pandas as pd

    rows = dataset.rows
    last = dataset.labels.matured_through
    test_from = last - timedelta(days=config.test_days - 1)
    train_before = test_from - timedelta(days=config.embargo_days)
    train = dataset.select((rows["as_of"] < pd.Timestamp(train_before)) & ~unseen)
    in_test = rows["as_of"].between(pd.Timestamp(test_from), pd.Timestamp(last))
    test = dataset.select(in_test & unseen)
    parts = (
        ("training", f"before {train_before}", train, MIN_PER_CLASS),
        ("the test", f"from {test_from}", test, MIN_IN_TEST),
    )
    for name, period, part, minimum in parts:
        bad = int(part.rows["bad"].sum())
        for kind, count in (("bad", bad), ("good", len(part.rows) - bad)):
            if count < minimum:
                raise LabelError(
                    f"Too few {kind} rows for {name}: {count} of the {len(part.rows):,} rows {period}; at least "
                    f"{minimum} are needed. {_advice_text(dataset, config, unseen)}"
                )
    return Split(Evidence.OUT_OF_TIME, train, test, train_before, test_from)


def is_unseen(seller_ids: pd.Series, config: SplitConfig) -> pd.Series:
    """Return True for the sellers kept from training. It depends on a hash of the id only, so it never changes."""
    limit = int(config.unseen_share * 2**32)
    return seller_ids.map(
        lambda seller: int.from_bytes(hashlib.sha256(f"{config.salt}:{seller}".encode()).digest()[:4], "big") < limit
    ).astype(bool)


def longest_days(months: int) -> int:
    """Return the largest number of days that this many months can have.

    Example:
        >>> longest_days(12), longest_days(1)
        (366, 31)
    """

    def first_day(month: int) -> date:
        return date(2021 + month // 12, month % 12 + 1, 1)

    starts = range(4 * 12)  # the months of four years, one of them a leap year
    return max((first_day(start + months) - first_day(start)).days for start in starts)


def find_advice(dataset: Dataset, embargo_days: int, preferred: int, unseen: pd.Series) -> SplitAdvice | None:
    """Return the best number of test days with this embargo; None if no number gives both parts enough labels.

    The preferred number is returned if it works. Otherwise the result maximizes `SplitAdvice.balance`, with the
    shortest test among equals.
    """
    counter = _Counter.of(dataset, unseen)
    options = {days: counter.count(embargo_days, days) for days in {preferred, *counter.spans()}}
    if options[preferred].balance:
        return options[preferred]
    best = min(options.values(), key=lambda option: (-option.balance, option.test_days))
    return best if best.balance else None


def _advice_text(dataset: Dataset, config: SplitConfig, unseen: pd.Series) -> str:
    """Return one or two sentences: the settings to use, and the labels that each part then has.

    Example: "Set split.embargo_days to 56 and split.test_days to 61: then training has 3,100 labels, 420 bad, and the
    test 510, 61 bad."
    """
    horizon, of_loans = dataset.labels.horizon_days, dataset.labels.source == LOANS
    shortest = config.embargo_days if horizon is None else horizon
    advice = find_advice(dataset, shortest, config.test_days, unseen)
    if advice is not None:
        names = ("embargo_days", "test_days")
        changes = [(name, getattr(advice, name)) for name in names if getattr(advice, name) != getattr(config, name)]
        return f"Set {' and '.join(f'split.{name} to {value}' for name, value in changes)}: then {advice}."
    if horizon is None and not of_loans and (longest := _longest_embargo(dataset, config, unseen)) is not None:
        return (
            f"If outcomes are observed within {longest.embargo_days} days of as_of, set labels.horizon_days to that "
            f"number of days (at most {longest.embargo_days}) and split.test_days to {longest.test_days}; "
            f"with {longest.embargo_days}, {longest}."
        )
    rows = dataset.rows
    sellers = min(rows.loc[rows["bad"] == outcome, "seller_id"].nunique() for outcome in (True, False))
    if of_loans:
        other = ", or define bad over a shorter time: lower labels.months, and split.embargo_days with it"
    elif sellers >= MIN_PER_CLASS:
        other = ", or give all labels one as_of, so that the model is tested out of fold"
    else:
        other = ""
    return (
        f"No split.test_days works: the {len(rows):,} labels, {int(rows['bad'].sum()):,} bad, are as of "
        f"{rows['as_of'].min().date()} to {rows['as_of'].max().date()}, outcomes take {shortest} days, and "
        f"{int(unseen.sum()):,} labels are of sellers kept from training. Add labels of a longer period or of more "
        f"sellers{other}."
    )


def _longest_embargo(dataset: Dataset, config: SplitConfig, unseen: pd.Series) -> SplitAdvice | None:
    """Return the advice with the longest embargo, below the configured one, that works."""
    low, high, longest = 0, config.embargo_days - 1, None
    while low <= high:  # binary search: a shorter embargo only adds training rows
        middle = (low + high) // 2
        advice = find_advice(dataset, middle, config.test_days, unseen)
        if advice is None:
            high = middle - 1
        else:
            low, longest = middle + 1, advice
    return longest


@dataclass(frozen=True)
class _Counter:
    """The labels as arrays, to count the parts of many splits."""

    days: NDArray[np.datetime64]
    bad: NDArray[np.bool_]
    unseen: NDArray[np.bool_]
    last: np.datetime64

    @classmethod
    def of(cls, dataset: Dataset, unseen: pd.Series) -> _Counter:
        rows = dataset.rows
        days = rows["as_of"].to_numpy().astype("datetime64[D]")
        last = np.datetime64(dataset.labels.matured_through)
        return cls(days, rows["bad"].to_numpy(dtype=bool), unseen.to_numpy(dtype=bool), last)

    def spans(self) -> Iterator[int]:
        """Yield each number of test days that begins the test at the date of a label, up to `last`."""
        for day in np.unique(self.days[self.days <= self.last]):
            yield int((self.last - day) / _DAY) + 1

    def count(self, embargo_days: int, test_days: int) -> SplitAdvice:
        test_from = self.last - (test_days - 1) * _DAY
        train = (self.days < test_from - embargo_days * _DAY) & ~self.unseen
        test = (self.days >= test_from) & (self.days <= self.last) & self.unseen
        counts = (int(train.sum()), int(self.bad[train].sum()), int(test.sum()), int(self.bad[test].sum()))
        return SplitAdvice(embargo_days, test_days, *counts)

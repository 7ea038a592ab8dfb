"""Settings of the split, and advice on settings that work if the configured ones leave a part too small."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from training.dataset import LEAST_OF_A_CLASS
from training.errors import LabelError
from training.settings import STRICT

if TYPE_CHECKING:
    import pandas as pd

    from training.dataset import Dataset

LEAST_IN_TEST: Final = 2
"""Bad and good test rows, each, without which no figure of merit can be computed."""

_DAY: Final = np.timedelta64(1, "D")


@dataclass(frozen=True)
class SplitConfig:
    """How many days of the latest loans make the test, and which share of sellers is kept from training.

    `embargo_days` lie between the last training loan and the first test loan: as long as an outcome takes, so that
    every training outcome was known when the first test loan was paid out. `TrainConfig` refuses a shorter one.
    """

    __pydantic_config__ = STRICT

    test_days: Annotated[int, Field(ge=1, le=36_525)] = 120
    unseen_share: Annotated[float, Field(gt=0, lt=1)] = 0.3
    embargo_days: Annotated[int, Field(ge=0, le=36_525)] = 366
    salt: str = "sellerscore"


@dataclass(frozen=True)
class Counts:
    """Labels of both parts of a split."""

    train: int
    train_bad: int
    test: int
    test_bad: int

    @property
    def is_enough(self) -> bool:
        """Whether both parts have enough bad and good labels."""
        return self._train_rarer >= LEAST_OF_A_CLASS and self._test_rarer >= LEAST_IN_TEST

    @property
    def balance(self) -> int:
        """How well both parts are filled: the product of the counts of their rarer outcomes."""
        return self._train_rarer * self._test_rarer

    @property
    def _train_rarer(self) -> int:
        return min(self.train_bad, self.train - self.train_bad)

    @property
    def _test_rarer(self) -> int:
        return min(self.test_bad, self.test - self.test_bad)

    def __str__(self) -> str:
        """Write it as `training has 3,100 labels, 420 bad, and the test 510, 61 bad`."""
        return (
            f"training has {self.train:,} labels, {self.train_bad:,} bad, and the test {self.test:,}, "
            f"{self.test_bad:,} bad"
        )


@dataclass(frozen=True)
class Advice:
    """A setting of the split that works, and the counts that it gives."""

    embargo_days: int
    test_days: int
    counts: Counts


def require_parts(
    dataset: Dataset, config: SplitConfig, unseen: pd.Series, train: tuple[str, Dataset], test: tuple[str, Dataset]
) -> None:
    """Check that both parts of a split have enough labels of both outcomes.

    Args:
        dataset: all labelled rows.
        config: the settings of the split.
        unseen: True for the rows whose sellers are kept from training.
        train: the name of the training part, and the part.
        test: the name of the test part, and the part.

    Raises:
        LabelError: a part has too few; the message names settings that work, if there are any.
    """
    for (name, part), least in ((train, LEAST_OF_A_CLASS), (test, LEAST_IN_TEST)):
        bad = int(part.rows["bad"].sum())
        for kind, count in (("bad", bad), ("good", len(part.rows) - bad)):
            if count < least:
                raise LabelError(
                    f"The {name} part has {count} {kind} of {len(part.rows)} labels and needs at least {least}. "
                    + advice_text(dataset, config, unseen)
                )


def advice_text(dataset: Dataset, config: SplitConfig, unseen: pd.Series) -> str:
    """Return one or two sentences: the settings to use, and the labels that each part then has.

    Example: "Set split.embargo_days to 56 and split.test_days to 61: then training has 3,100 labels, 420 bad, and the
    test 510, 61 bad."
    """
    labels = dataset.labels
    shortest = config.embargo_days if labels.horizon_days is None else labels.horizon_days
    found = find_advice(dataset, shortest, config.test_days, unseen)
    if found is not None:
        return _sentence(found, config)
    if labels.horizon_days is None and (longest := _longest_embargo(dataset, config, unseen)) is not None:
        return (
            f"If outcomes are observed within {longest.embargo_days} days of as_of, state it: set labels.horizon_days "
            f"to that number of days (at most {longest.embargo_days}) and split.test_days to {longest.test_days}; "
            f"with {longest.embargo_days}, {longest.counts}."
        )
    rows = dataset.rows
    return (
        f"No split.test_days works: the {len(rows):,} labels, {int(rows['bad'].sum()):,} bad, are as of "
        f"{rows['as_of'].min().date()} to {rows['as_of'].max().date()}, outcomes take {shortest} days, and "
        f"{int(unseen.sum()):,} labels are of sellers kept from training. Add labels of a longer period or of more "
        f"sellers{_instead(rows)}."
    )


def _instead(rows: pd.DataFrame) -> str:
    """Return the advice to measure out of fold if the labels of both outcomes are of enough sellers for that."""
    sellers = min(rows.loc[rows["bad"] == outcome, "seller_id"].nunique() for outcome in (True, False))
    if sellers < LEAST_OF_A_CLASS:
        return ""
    return ", or give all labels one as_of, so that the model is measured out of fold"


def find_advice(dataset: Dataset, embargo_days: int, preferred: int, unseen: pd.Series) -> Advice | None:
    """Return the best number of test days with this embargo; None if none gives both parts enough labels.

    The preferred number is returned if it works. Else both parts are filled as well as possible: the product of the
    counts of their rarer outcomes is the largest, and the test the shortest with that product.
    """
    counter = _Counter.of(dataset, unseen)
    options = {days: counter.count(embargo_days, days) for days in {preferred, *counter.spans()}}
    enough = {days: counts for days, counts in options.items() if counts.is_enough}
    if not enough:
        return None
    best = preferred if preferred in enough else min(enough, key=lambda days: (-enough[days].balance, days))
    return Advice(embargo_days, best, enough[best])


def _longest_embargo(dataset: Dataset, config: SplitConfig, unseen: pd.Series) -> Advice | None:
    """Return the advice with the longest embargo, below the configured one, that works."""
    low, high, found = 0, config.embargo_days - 1, None
    while low <= high:  # a shorter embargo only adds training rows
        middle = (low + high) // 2
        advice = find_advice(dataset, middle, config.test_days, unseen)
        if advice is None:
            high = middle - 1
        else:
            low, found = middle + 1, advice
    return found


def _sentence(found: Advice, config: SplitConfig) -> str:
    changes = [
        f"split.{name} to {value}"
        for name, value in (("embargo_days", found.embargo_days), ("test_days", found.test_days))
        if value != getattr(config, name)
    ]
    return f"Set {' and '.join(changes)}: then {found.counts}."


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

    def count(self, embargo_days: int, test_days: int) -> Counts:
        test_from = self.last - (test_days - 1) * _DAY
        train = (self.days < test_from - embargo_days * _DAY) & ~self.unseen
        test = (self.days >= test_from) & (self.days <= self.last) & self.unseen
        return Counts(int(train.sum()), int(self.bad[train].sum()), int(test.sum()), int(self.bad[test].sum()))

"""What a feature build costs: beside one scan of the same files, beside pandas, for a day more, and as data grow.

One simulated marketplace, everything measured side by side in one run, each step in a fresh process on two cores.
"""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.benchmarks.feature_builds import Built, Job, Runner, baseline, build, fresh, read_p99_ms, scan_seconds
from tests.benchmarks.feature_data import DAYS, END, SHORT_DAYS, Deliveries, Scale, make

if TYPE_CHECKING:
    import pandas as pd

Midnights = tuple[date, ...]

MONTHS: Final = tuple(date(2022 + month // 12, month % 12 + 1, 1) for month in range(1, 14))
"""13 midnights, the last at the end of the record."""

WEEKS: Final = tuple(END - timedelta(weeks=back) for back in range(12, -1, -1))
"""13 midnights within the last 100 days, so that two lengths of history are built for the same frames."""


@dataclass(frozen=True)
class Target:
    """The bound that a figure shall keep; `aim` is what is hoped for beyond it."""

    bound: float
    at_most: bool = True
    aim: str = ""

    def __str__(self) -> str:
        return f"{'<=' if self.at_most else '>='} {self.bound:g}{self.aim}"

    def met(self, value: float) -> bool:
        """Return whether a value keeps the bound."""
        return value <= self.bound if self.at_most else value >= self.bound


TARGETS: Final = {
    "features.full_over_scan": Target(60, aim=", aim 30"),
    "features.peak_gib": Target(6),
    "features.increment_over_full": Target(0.10),
    "features.pandas_over_full": Target(15, at_most=False),
    "features.online_p99_ms": Target(3),
}

RELATIVE: Final = 1e-9
_ROUNDING: Final = 1e-12
"""A difference of two rates may cancel down to the rounding of doubles, of which no digit is relative to anything."""


@dataclass(frozen=True)
class _Runs:
    """All that was measured of builds: seconds of the scan, and every build by name."""

    scan: float
    full: Built
    increment: Built
    tenth_intake: Built
    tenth: Built
    pandas: Built
    weekly: Built
    short: Built


def run(scale: Scale = Scale(), apart: Runner = fresh) -> dict[str, float]:  # noqa: B008 - frozen
    """Measure everything once, print it, and return the figures under the names of var/bench.json.

    `apart` runs each step: by default in a fresh process, without which seconds and memory mean nothing.
    """
    with tempfile.TemporaryDirectory(prefix="sellerscore-features-") as name:
        folder = Path(name)
        _say(f"simulating {scale.sellers:,} sellers over {DAYS} days, and cutting the parts")
        runs = _measure(apart(make, scale, folder), folder, MONTHS[:: scale.months_apart], apart)
        _say(f"reading {scale.reads:,} vectors")
        online = apart(read_p99_ms, folder / "full", folder / "full.parquet", scale.reads)
        wrong = _disagreements(folder / "tenth.parquet", folder / "pandas.parquet")
    figures = _figures(runs) | {"features.online_p99_ms": online} | _against_pandas(runs, wrong)
    _print(figures)
    return figures


def _measure(data: Deliveries, folder: Path, months: Midnights, apart: Runner) -> _Runs:
    full, grown, tenth, short = (folder / name for name in ("full", "grown", "tenth", "short_store"))
    _say("scanning the delivery")
    scan = apart(scan_seconds, data.whole)
    _say("building all of it")
    whole = apart(build, Job(full, data.whole, months, folder / "full.parquet"))
    _say("building all but the last day, then the last day")
    apart(build, Job(grown, data.before))
    increment = apart(build, Job(grown, data.day, (END,)))
    _say("building a tenth of the sellers")
    tenth_intake = apart(build, Job(tenth, data.tenth, fold=False))
    tenth_build = apart(build, Job(tenth, None, months, folder / "tenth.parquet"))
    _say("the same with pandas")
    pandas = apart(baseline, tenth, months, folder / "pandas.parquet")
    _say(f"building the last {SHORT_DAYS} days")
    short_build = apart(build, Job(short, data.short, WEEKS))
    weekly = apart(build, Job(full, None, WEEKS))
    return _Runs(scan, whole, increment, tenth_intake, tenth_build, pandas, weekly, short_build)


def _figures(runs: _Runs) -> dict[str, float]:
    full, tenth = runs.full, runs.tenth_intake.total + runs.tenth.total
    long = full.seconds["intake"] + full.seconds["tiles"] + runs.weekly.seconds["frames"]
    return {
        "features.scan_seconds": runs.scan,
        **{f"features.{stage}_seconds": seconds for stage, seconds in full.seconds.items()},
        "features.full_seconds": full.total,
        "features.increment_seconds": runs.increment.total,
        "features.orders": full.orders,
        "features.peak_gib": full.peak_gib,
        "features.full_over_scan": full.total / runs.scan,
        "features.tiles_and_frames_over_scan": (full.seconds["tiles"] + full.seconds["frames"]) / runs.scan,
        "features.increment_over_full": runs.increment.total / full.total,
        "features.tenth_orders": runs.tenth.orders,
        "features.tenth_seconds": tenth,
        "features.orders_exponent": math.log(full.total / tenth) / math.log(full.orders / runs.tenth.orders),
        f"features.history_{SHORT_DAYS}d_seconds": runs.short.total,
        f"features.history_{DAYS}d_seconds": long,
        "features.history_exponent": math.log(long / runs.short.total) / math.log(DAYS / SHORT_DAYS),
    }


def _against_pandas(runs: _Runs, wrong: dict[str, str]) -> dict[str, float]:
    """Return the ratio only where the baseline computes what we do; say which columns differ otherwise."""
    for column, example in wrong.items():
        _say(f"pandas and the pipeline disagree in {column}: {example}")
    figures = {
        "features.pandas_seconds": runs.pandas.total,
        "features.pandas_peak_gib": runs.pandas.peak_gib,
        "features.tenth_tiles_and_frames_seconds": runs.tenth.total,
        "features.pandas_differing_columns": float(len(wrong)),
    }
    ratio = {"features.pandas_over_full": runs.pandas.total / runs.tenth.total}
    return figures if wrong else figures | ratio


def _disagreements(ours: Path, theirs: Path) -> dict[str, str]:
    import pandas as pd

    return differing(*(pd.read_parquet(path) for path in (ours, theirs)))


def differing(ours: pd.DataFrame, theirs: pd.DataFrame) -> dict[str, str]:
    """Return the columns in which two frames differ by more than 1e-9 relative or in what is missing, each with a case.

    A column without any value is among them: it shows nothing.

    Raises:
        ValueError: they have not the same features, or not the same pairs.
    """
    import numpy as np

    ours, theirs = (each.rename(index=_as_day, level="as_of").sort_index() for each in (ours, theirs))
    if set(ours.columns) != set(theirs.columns) or not ours.index.equals(theirs.index):
        raise ValueError("The two frames have not the same features or not the same pairs of seller and midnight.")
    found = {}
    for column in ours.columns:
        left, right = ours[column].to_numpy(), theirs[column].to_numpy()
        equal = np.isclose(left, right, rtol=RELATIVE, atol=_ROUNDING, equal_nan=True)
        if np.isnan(left).all() and np.isnan(right).all():
            found[column] = "no value anywhere, so nothing is shown"
        elif not equal.all():
            first = int(np.argmin(equal))
            where = f"{(~equal).sum()} of {len(equal)}, first {ours.index[first]}"
            found[column] = f"{where}: {left[first]!r} is ours, {right[first]!r} is theirs"
    return found


def _as_day(moment: pd.Timestamp) -> str:
    return moment.date().isoformat()


def _say(sentence: str) -> None:
    print(f"features: {sentence}", flush=True)


def _print(figures: dict[str, float]) -> None:
    width = max(map(len, figures))
    for name, value in figures.items():
        shown = f"{name:<{width}}  {value:>12{',.0f' if value >= 10_000 else '.4g'}}"
        target = TARGETS.get(name)
        print(shown if target is None else f"{shown}  {'met' if target.met(value) else 'MISSED'}: {target}")

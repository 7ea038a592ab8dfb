"""Cost of a feature build compared with one scan of the same files and with pandas, for one more day, and by data size.

All steps use one simulated marketplace in one run; each step has a new process on two cores.
"""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.benchmarks.feature_builds import (
    Built,
    Job,
    Runner,
    baseline,
    build,
    read_p99_ms,
    run_in_new_process,
    scan_seconds,
)
from tests.benchmarks.feature_data import DAYS, END, SHORT_DAYS, Deliveries, Scale, make_deliveries
from tests.benchmarks.figures import Target, print_figures, print_step

if TYPE_CHECKING:
    import pandas as pd

Midnights = tuple[date, ...]

MONTHS: Final = tuple(date(2022 + month // 12, month % 12 + 1, 1) for month in range(1, 14))
"""13 midnights; the last one is the end of the data."""

WEEKS: Final = tuple(END - timedelta(weeks=back) for back in range(12, -1, -1))
"""13 midnights within the last 100 days, so that the same frames are built from two lengths of history."""


TARGETS: Final = {
    "features.full_over_scan": Target(60, aim=", aim 30"),
    "features.peak_gib": Target(6),
    "features.increment_over_full": Target(0.10),
    "features.pandas_over_full": Target(15, at_most=False),
    "features.online_p99_ms": Target(3),
}

_TOO_LONG: Final = {"sales_year_on_year"}
"""Features that are missing for a longer time than the data have; the oracle of `tests/properties` compares them."""

RELATIVE: Final = 1e-9
_ROUNDING: Final = 1e-12
"""The difference of two rates can be mere rounding of doubles, so a relative tolerance alone would fail."""


@dataclass(frozen=True)
class _Runs:
    """Seconds of the scan, and the results of every build."""

    scan: float
    full: Built
    increment: Built
    tenth_intake: Built
    tenth: Built
    pandas: Built
    weekly: Built
    short: Built


def run(scale: Scale = Scale(), run_task: Runner = run_in_new_process) -> dict[str, float]:  # noqa: B008 - frozen
    """Measure everything once, print it, and return the figures under the names of var/bench.json.

    `run_task` runs each step, by default in a new process. Seconds and memory are meaningful only there.
    """
    with tempfile.TemporaryDirectory(prefix="sellerscore-features-") as name:
        folder = Path(name)
        print_step(f"features: simulating {scale.sellers:,} sellers over {DAYS} days, and cutting it into parts")
        runs = _measure(run_task(make_deliveries, scale, folder), folder, MONTHS[:: scale.months_apart], run_task)
        print_step(f"features: reading {scale.reads:,} vectors")
        online = run_task(read_p99_ms, folder / "full", folder / "full.parquet", scale.reads)
        wrong = _compare_files(folder / "tenth.parquet", folder / "pandas.parquet")
    figures = _figures(runs) | {"features.online_p99_ms": online} | _compare_with_pandas(runs, wrong)
    print_figures(figures, TARGETS)
    return figures


def _measure(data: Deliveries, folder: Path, months: Midnights, run_task: Runner) -> _Runs:
    full, grown, tenth, short = (folder / name for name in ("full", "grown", "tenth", "short_store"))
    print_step("features: scanning the delivery")
    scan = run_task(scan_seconds, data.whole)
    print_step("features: building everything")
    whole = run_task(build, Job(full, data.whole, months, folder / "full.parquet"))
    print_step("features: building all but the last day, then the last day")
    run_task(build, Job(grown, data.before))
    increment = run_task(build, Job(grown, data.day, (END,)))
    print_step("features: building a tenth of the sellers")
    tenth_intake = run_task(build, Job(tenth, data.tenth, fold=False))
    tenth_build = run_task(build, Job(tenth, None, months, folder / "tenth.parquet"))
    print_step("features: the same with pandas")
    pandas = run_task(baseline, tenth, months, folder / "pandas.parquet")
    print_step(f"features: building the last {SHORT_DAYS} days")
    short_build = run_task(build, Job(short, data.short, WEEKS))
    weekly = run_task(build, Job(full, None, WEEKS))
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


def _compare_with_pandas(runs: _Runs, wrong: dict[str, str]) -> dict[str, float]:
    """Return the ratio only if both compute the same values; otherwise print the columns that differ."""
    for column, example in wrong.items():
        print_step(f"features: pandas and the pipeline differ in {column}: {example}")
    figures = {
        "features.pandas_seconds": runs.pandas.total,
        "features.pandas_peak_gib": runs.pandas.peak_gib,
        "features.tenth_tiles_and_frames_seconds": runs.tenth.total,
        "features.pandas_differing_columns": float(len(wrong)),
    }
    ratio = {"features.pandas_over_full": runs.pandas.total / runs.tenth.total}
    return figures if wrong else figures | ratio


def _compare_files(actual: Path, expected: Path) -> dict[str, str]:
    import pandas as pd

    return differing_columns(*(pd.read_parquet(path) for path in (actual, expected)))


def differing_columns(actual: pd.DataFrame, expected: pd.DataFrame) -> dict[str, str]:
    """Return an example for each column in which two frames differ by more than 1e-9 relative or in missing values.

    A column without any value is included, because it proves nothing.

    Raises:
        ValueError: the frames have different features or different pairs.
    """
    import numpy as np

    actual, expected = (frame.rename(index=_as_day, level="as_of").sort_index() for frame in (actual, expected))
    if set(actual.columns) != set(expected.columns) or not actual.index.equals(expected.index):
        raise ValueError("The frames have different features or different pairs of seller and midnight.")
    examples = {}
    for column in actual.columns:
        left, right = actual[column].to_numpy(), expected[column].to_numpy()
        equal = np.isclose(left, right, rtol=RELATIVE, atol=_ROUNDING, equal_nan=True)
        if np.isnan(left).all() and np.isnan(right).all():
            if column in _TOO_LONG:
                continue
            examples[column] = "all values are missing, so nothing is compared"
        elif not equal.all():
            first = int(np.argmin(equal))
            where = f"{(~equal).sum()} of {len(equal)}, first {actual.index[first]}"
            examples[column] = f"{where}: {left[first]!r}, but pandas has {right[first]!r}"
    return examples


def _as_day(moment: pd.Timestamp) -> str:
    return moment.date().isoformat()

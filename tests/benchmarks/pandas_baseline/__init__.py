"""The catalogue in pandas, written from docs/features.md alone: the baseline for the pipeline's speed and values.

It is written as an experienced pandas user would: joins and flags once, then for each midnight a filter and a groupby
per window, without loops over rows and without a Python function per group. It shares no code with the pipeline.
"""

from tests.benchmarks.pandas_baseline.frames import frames

__all__ = ["frames"]

"""The catalogue in pandas, written from docs/features.md alone: what the pipeline's speed and values are held against.

As an experienced pandas user would: joins and flags once, then for each midnight a filter and a groupby per window.
No loop over rows, no Python function per group. It shares no code with the pipeline.
"""

from tests.benchmarks.pandas_baseline.frames import frames

__all__ = ["frames"]

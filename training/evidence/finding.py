"""What one study of a model found, in the one form that MLflow, the model card and the gates read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from training.evidence.limits import LimitCheck


@dataclass(frozen=True)
class Finding:
    """A study's results.

    Attributes:
        name: a word in snake_case; figures are logged as `<name>.<figure>`.
        title: the heading in the model card.
        said: what was asked and what came out, in a few plain sentences that a reviewer can quote.
        figures: single numbers; those with an interval also as `<figure>_low` and `<figure>_high`.
        tables: by title, small enough to read.
        plots: by file name without ending.
        alarms: sentences on what must not go unseen; none where all is well.
        declined: True where nothing was measured though something could have been, since the settings asked for too
            little; a gate fails on it, as it does not where there is nothing to measure.
        checks: the published limits of its figures and the result of each; alarms are among them.
    """

    name: str
    title: str
    said: str
    figures: Mapping[str, float] = field(default_factory=dict)
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    plots: Mapping[str, Figure] = field(default_factory=dict)
    alarms: tuple[str, ...] = ()
    declined: bool = False
    checks: tuple[LimitCheck, ...] = ()

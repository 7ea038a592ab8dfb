"""One model under watch, with all that studies of it may look at."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING

from training.monitor.matching import matched
from training.monitor.reference import learnt_from, tells

if TYPE_CHECKING:
    import pandas as pd

    from training.monitor.config import MonitorConfig
    from training.monitor.models import Model
    from training.monitor.outcomes import Outcomes
    from training.monitor.reference import References


@dataclass(frozen=True)
class Watched:
    """A model and the scores that it gave until today.

    Attributes:
        model: its bundle and version.
        scores: a frame of `ledger.SCORES`, each seller and midnight once.
        outcomes: of loans, by the bundle's definition of bad.
        shadow: a frame of `ledger.SHADOW`, what challengers said to the same requests.
        references: of training populations.
        today: the midnight of monitoring.
        config: the limits.
        in_force: whether it is watched in any case, as the champion or because somebody asked for it.
    """

    model: Model
    scores: pd.DataFrame
    outcomes: Outcomes
    shadow: pd.DataFrame
    references: References
    today: date
    config: MonitorConfig
    in_force: bool = False

    @cached_property
    def loans(self) -> pd.DataFrame:
        """The loans that met one of the scores (`matching.matched`), without those that the model learnt from."""
        return self._matched[~self._learnt].reset_index(drop=True)

    @property
    def learnt(self) -> int:
        """How many loans met a score that the model learnt from: some do where scores are made for the past."""
        return int(self._learnt.sum())

    @cached_property
    def _matched(self) -> pd.DataFrame:
        return matched(self.scores, self.outcomes.loans)

    @cached_property
    def _learnt(self) -> pd.Series:
        import pandas as pd

        rows = self._matched
        if self.model.version is None or not tells(self.model.version):
            return pd.Series(False, index=rows.index, dtype=bool)
        return learnt_from(self.model.version, rows[["seller_id"]].assign(as_of=rows["day"]))

    @property
    def recent(self) -> pd.DataFrame:
        """The scores of the last days, as many as the limits say."""
        import pandas as pd

        first = pd.Timestamp(self.today) - pd.Timedelta(days=self.config.drift.days)
        return self.scores[self.scores["as_of"] > first]

    @property
    def in_use(self) -> bool:
        """Whether it is in force or gave any score in those days; alarms of others are shown and wake nobody."""
        return self.in_force or len(self.recent) > 0

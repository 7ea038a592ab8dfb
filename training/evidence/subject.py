"""The model under review, with all that studies of it may look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from features.ingest import OperatingStore
    from scoring.bundle import Bundle
    from training.dataset import Dataset
    from training.evidence.fake_orders import FakeOrdersConfig
    from training.scorecard import Scorecard
    from training.split import Evidence


@dataclass(frozen=True)
class Subject:
    """A trained model and the rows that it learnt from and is judged on.

    Attributes:
        bundle: the tested bundle: the one whose predictions are compared with outcomes.
        served: the bundle that would serve: the same recipe fitted on all matured loans, or the tested bundle itself.
            Studies of what a model does, whatever the outcomes, are of this one.
        train: the rows that it learnt from.
        test: the rows that it is judged on; where `evidence` is out of fold, the training rows.
        evidence: how the predictions on the test rows came about.
        probability: of default, shape (test rows,), by the model.
        scorecard: the same by the logistic scorecard trained beside.
        score: whole points that these probabilities are worth, shape (test rows,).
        train_score: the same for the training rows, by models that did not see the row's seller: what was seen is
            scored more extremely than what is new, so that only these compare with `score`.
        refits: bundles trained on bootstrap samples of the training sellers, with the same settings.
        card: the scorecard beside itself.
        card_refits: scorecards of the same bootstrap samples.
        store: the operating data, for studies that need more than the rows; None where a table was all there was.
        seed: of everything random.
        fake_orders: how many sellers are let buy fake orders.
    """

    bundle: Bundle
    served: Bundle
    train: Dataset
    test: Dataset
    evidence: Evidence
    probability: NDArray[np.float64]
    scorecard: NDArray[np.float64]
    score: NDArray[np.int64]
    train_score: NDArray[np.int64]
    refits: tuple[Bundle, ...]
    card: Scorecard
    card_refits: tuple[Scorecard, ...]
    store: OperatingStore | None
    seed: int
    fake_orders: FakeOrdersConfig

    @property
    def bad(self) -> NDArray[np.bool_]:
        """True for the test rows that went bad."""
        return self.test.rows["bad"].to_numpy()

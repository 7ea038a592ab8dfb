"""The public face of scoring: its names, its errors, its examples, and contributions that must add up."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from types import ModuleType

import numpy as np
import pytest

import scoring
from scoring.errors import ExplanationError
from scoring.explain import contributions
from scoring.model import Model
from tests.scoring import build

MODULES = [importlib.import_module(module.name) for module in pkgutil.walk_packages(scoring.__path__, "scoring.")]
WITH_EXAMPLES = {
    "scoring.bands",
    "scoring.canonical",
    "scoring.figures",
    "scoring.kernel.tables",
    "scoring.points",
    "scoring.reasons",
    "scoring.scale",
    "scoring.track_record",
}


def test_exported_names_are_the_public_face_sorted_and_there() -> None:
    assert scoring.__all__ == [
        "Advice",
        "Assessment",
        "Bundle",
        "BundleError",
        "BundleParts",
        "Changes",
        "Criterion",
        "Eligibility",
        "ExplanationError",
        "FeaturesError",
        "Grounds",
        "Outcome",
        "Policy",
        "Product",
        "ProductError",
        "Reference",
        "ScoringError",
        "TableTooLargeError",
        "TreeError",
        "Unmet",
        "Vector",
        "VectorError",
        "Verdict",
        "advise",
        "assess",
        "changes",
        "eligibility",
        "pack",
    ]
    modules = {module.__name__.removeprefix("scoring.") for module in MODULES}
    public = {name for name in vars(scoring) if not name.startswith("_")} - (
        modules - {"assess", "changes", "eligibility"}
    )
    assert public == set(scoring.__all__)


def test_all_errors_are_scoring_errors() -> None:
    for name in scoring.__all__:
        if name.endswith("Error"):
            assert issubclass(getattr(scoring, name), scoring.ScoringError)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_examples_of_docstrings_are_true(module: ModuleType) -> None:
    names = {"np": np}
    tried = doctest.testmod(module, extraglobs=names)
    assert tried.failed == 0
    assert (tried.attempted > 0) == (module.__name__ in WITH_EXAMPLES)


class _Lying:
    """A booster whose contributions are not its margin's."""

    def __init__(self, contributed: list[float], margin: float) -> None:
        self._contributed, self._margin = contributed, margin

    def predict(self, matrix: np.ndarray, *, pred_contrib: bool = False, raw_score: bool = False) -> np.ndarray:
        assert pred_contrib != raw_score
        return np.array([self._contributed] * len(matrix)) if pred_contrib else np.full(len(matrix), self._margin)


@pytest.mark.parametrize(
    ("contributed", "margin", "sentence"),
    [
        ([0.5, np.nan, -1.0], 0.0, "not a finite number"),
        ([0.5, np.inf, -1.0], 0.0, "not a finite number"),
        ([0.5, 0.5, -1.0], 1e-5, "miss the model's margin by 1e-05"),
    ],
)
def test_contributions_that_do_not_hold_give_no_score(contributed: list[float], margin: float, sentence: str) -> None:
    lying = Model("", ("a", "b"), _Lying(contributed, margin), (), None)
    with pytest.raises(ExplanationError, match=sentence):
        contributions(lying, np.zeros((2, 2)))


def test_rounding_noise_in_contributions_is_no_lie() -> None:
    honest = Model("", ("a", "b"), _Lying([0.5, 0.5, -1.0], 1e-12), (), None)
    assert contributions(honest, np.zeros((2, 2))).base == -1.0


def test_a_bundle_keeps_the_order_of_its_model() -> None:
    assert build.bundle().model.names == build.names(4)

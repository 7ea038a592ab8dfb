"""The public interface of scoring: names, errors, examples in docstrings, and contributions that must add up."""

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
    "scoring.formatting",
    "scoring.kernel.tables",
    "scoring.points",
    "scoring.policy",
    "scoring.reason_catalogue",
    "scoring.scale",
    "scoring.track_record",
}


def test_exported_names_are_the_public_interface() -> None:
    assert scoring.__all__ == [
        "Advice",
        "AdviceVerdict",
        "Assessment",
        "Bundle",
        "BundleError",
        "BundleParts",
        "Changes",
        "Criterion",
        "Eligibility",
        "EligibilityInputs",
        "ExplanationError",
        "FeatureSheetError",
        "Outcome",
        "Policy",
        "Product",
        "ProductError",
        "Reference",
        "ScoringError",
        "TableTooLargeError",
        "TreeError",
        "UnmetCriterion",
        "Vector",
        "VectorError",
        "advise",
        "assess",
        "changes",
        "eligibility",
        "pack",
        "serialize_assessment",
    ]
    modules = {module.__name__.removeprefix("scoring.") for module in MODULES}
    public = {name for name in vars(scoring) if not name.startswith("_")} - (
        modules - {"advise", "assess", "changes", "eligibility"}
    )
    assert public == set(scoring.__all__)


def test_all_errors_are_scoring_errors() -> None:
    for name in scoring.__all__:
        if name.endswith("Error"):
            assert issubclass(getattr(scoring, name), scoring.ScoringError)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_examples_in_docstrings_are_correct(module: ModuleType) -> None:
    names = {"np": np}
    results = doctest.testmod(module, extraglobs=names)
    assert results.failed == 0
    assert (results.attempted > 0) == (module.__name__ in WITH_EXAMPLES)


class _FakeBooster:
    """A booster with the given contributions and margin."""

    def __init__(self, contributions: list[float], margin: float) -> None:
        self._contributions, self._margin = contributions, margin

    def predict(self, matrix: np.ndarray, *, pred_contrib: bool = False, raw_score: bool = False) -> np.ndarray:
        assert pred_contrib != raw_score
        return np.array([self._contributions] * len(matrix)) if pred_contrib else np.full(len(matrix), self._margin)


@pytest.mark.parametrize(
    ("values", "margin", "message"),
    [
        ([0.5, np.nan, -1.0], 0.0, "not a finite number"),
        ([0.5, np.inf, -1.0], 0.0, "not a finite number"),
        ([0.5, 0.5, -1.0], 1e-5, "differ from the model's margin by 1e-05"),
    ],
)
def test_contributions_that_do_not_add_up_give_no_score(values: list[float], margin: float, message: str) -> None:
    model = Model("", ("a", "b"), _FakeBooster(values, margin), (), None)
    with pytest.raises(ExplanationError, match=message):
        contributions(model, np.zeros((2, 2)))


def test_rounding_noise_in_contributions_is_accepted() -> None:
    model = Model("", ("a", "b"), _FakeBooster([0.5, 0.5, -1.0], 1e-12), (), None)
    assert contributions(model, np.zeros((2, 2))).base == -1.0


def test_a_bundle_keeps_the_order_of_its_model() -> None:
    assert build.bundle().model.names == build.names(4)

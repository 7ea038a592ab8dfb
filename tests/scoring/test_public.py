"""The public interface of scoring: names, errors, examples in docstrings, and contributions that must add up."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest

import scoring
from scoring.errors import ExplanationError
from scoring.explain import contributions
from scoring.model import Model

MODULES = [importlib.import_module(module.name) for module in pkgutil.walk_packages(scoring.__path__, "scoring.")]
WITH_EXAMPLES = {"bands", "canonical", "formatting", "kernel.tables", "points", "policy", "reason_catalogue", "scale"}
WITH_EXAMPLES |= {"track_record"}


def test_exported_names_are_the_public_interface() -> None:
    names = """
        Advice AdviceVerdict Assessment Bundle BundleError BundleParts Changes Criterion Eligibility EligibilityInputs
        ExplanationError FeatureSheetError Outcome Policy Product ProductError Reference ScoringError TableTooLargeError
        TreeError UnmetCriterion Vector VectorError advise assess changes eligibility pack serialize_assessment
    """
    assert scoring.__all__ == names.split()
    modules = {module.__name__.removeprefix("scoring.") for module in MODULES}
    functions = {"advise", "assess", "changes", "eligibility"}
    public = {name for name in vars(scoring) if not name.startswith("_")} - (modules - functions)
    assert public == set(scoring.__all__)
    errors = [getattr(scoring, name) for name in scoring.__all__ if name.endswith("Error")]
    assert all(issubclass(error, scoring.ScoringError) for error in errors)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_examples_in_docstrings_are_correct(module: ModuleType) -> None:
    results = doctest.testmod(module, extraglobs={"np": np})
    assert results.failed == 0
    assert (results.attempted > 0) == (module.__name__.removeprefix("scoring.") in WITH_EXAMPLES)


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
    noise = replace(model, booster=_FakeBooster([0.5, 0.5, -1.0], 1e-12))
    assert contributions(noise, np.zeros((2, 2))).base == -1.0, "rounding noise is accepted"

"""Third-party warnings that the tests of training meet; each by name, none of them ours to change."""

from __future__ import annotations

import pytest

_FILTERS = (
    # shap sets up its colour maps in matplotlib's older way when it is imported
    "ignore:The (set_bad|set_over|set_under) function will be deprecated:PendingDeprecationWarning",
    # mlflow looks at the type hints of its own classes when its pyfunc is imported
    "ignore:.*Any type hint is inferred as AnyType:UserWarning",
    # mlflow compares a frame's columns with a range
    "ignore:Operation with range is deprecated",
    # mlflow's own tables use what SQLAlchemy 2.1 deprecates
    "ignore:The ``noload`` loader strategy is deprecated",
)


def pytest_configure(config: pytest.Config) -> None:
    for line in _FILTERS:
        config.addinivalue_line("filterwarnings", line)

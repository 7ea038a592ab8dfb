"""Third-party warnings that the tests of training meet; each by name, none of them ours to change."""

from __future__ import annotations

import pytest

_FILTERS = (
    # shap sets up its colour maps in matplotlib's older way when it is imported
    "ignore:The (set_bad|set_over|set_under) function will be deprecated:PendingDeprecationWarning",
    # mlflow's own tables use what SQLAlchemy 2.1 deprecates
    "ignore:The ``noload`` loader strategy is deprecated",
)


def pytest_configure(config: pytest.Config) -> None:
    for line in _FILTERS:
        config.addinivalue_line("filterwarnings", line)

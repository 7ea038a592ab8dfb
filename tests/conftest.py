"""What every test runs under, beside the settings of pyproject.toml."""

import pytest


def pytest_configure(config: pytest.Config) -> None:
    # Ibis 12 calls DuckDB's fetch_arrow_table, which DuckDB 2 deprecates; neither is ours to change.
    config.addinivalue_line("filterwarnings", r"ignore:fetch_arrow_table\(\) is deprecated:DeprecationWarning")

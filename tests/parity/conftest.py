"""One Spark session for all parity tests, on two local threads; without Java the tests are skipped."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from features.engines.spark import expect_java, open_engine
from features.errors import EngineError

if TYPE_CHECKING:
    from ibis.backends.pyspark import Backend


def pytest_configure(config: pytest.Config) -> None:
    # PySpark warns about pandas 3 in general; only a few plain values pass through pandas here
    config.addinivalue_line("filterwarnings", "ignore:PySpark does not yet fully support pandas:FutureWarning")


@pytest.fixture(scope="session")
def spark() -> Iterator[Backend]:
    pytest.importorskip("pyspark", reason="PySpark is not installed: the extra `spark` has it")
    try:
        expect_java()
    except EngineError as error:
        pytest.skip(str(error))
    with pytest.MonkeyPatch.context() as patch:
        # the queries are many and small: light compilation halves their time
        patch.setenv("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")
        with open_engine("local[2]") as engine:
            yield engine

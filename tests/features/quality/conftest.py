"""Two deliveries and their analyses, computed once."""

import pytest

from features.quality.analysis import Quality
from tests.features.quality.deliveries import Deliveries, make


@pytest.fixture(scope="session")
def deliveries(tmp_path_factory: pytest.TempPathFactory) -> Deliveries:
    return make(tmp_path_factory.mktemp("quality"))


@pytest.fixture(scope="session")
def first(deliveries: Deliveries) -> Quality:
    return deliveries.quality(0)


@pytest.fixture(scope="session")
def second(deliveries: Deliveries) -> Quality:
    return deliveries.quality(1)

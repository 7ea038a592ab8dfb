"""The two deliveries and what the page says of them, made once."""

import pytest

from features.quality.analysis import Quality
from tests.features.quality.made import Made, make


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make(tmp_path_factory.mktemp("quality"))


@pytest.fixture(scope="session")
def first(made: Made) -> Quality:
    return made.quality(0)


@pytest.fixture(scope="session")
def second(made: Made) -> Quality:
    return made.quality(1)

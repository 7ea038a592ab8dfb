from pathlib import Path

import pytest

from tests.training.simulation.delivery import Delivery
from training.simulation import SimulationConfig, simulate


@pytest.fixture(scope="session")
def delivery(tmp_path_factory: pytest.TempPathFactory) -> Delivery:
    """One simulation that most tests read: large enough for some forty defaults."""
    config = SimulationConfig(sellers=240, seed=3, orders_per_seller=400)
    folder: Path = tmp_path_factory.mktemp("simulation") / "delivery"
    return Delivery(folder, config, simulate(config, folder))

"""A simulated marketplace: operating data whose causes are known, delivered as the contract says.

Hidden state causes demand, cash and defaults; the delivery shows only what a platform would see.
"""

from training.errors import SimulationError
from training.simulation.config import SimulationConfig, SimulationSummary
from training.simulation.run import simulate

__all__ = ["SimulationConfig", "SimulationError", "SimulationSummary", "simulate"]

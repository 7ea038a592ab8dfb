"""Simulated marketplace: operating data with known causes, as a delivery that follows the data contract.

A hidden state causes demand, cash and defaults. The delivery contains only what a platform can observe.
"""

from training.errors import SimulationError
from training.simulation.config import SimulationConfig, SimulationSummary
from training.simulation.run import simulate

__all__ = ["SimulationConfig", "SimulationError", "SimulationSummary", "simulate"]

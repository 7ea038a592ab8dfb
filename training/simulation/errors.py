"""What the simulation refuses."""

from training.errors import TrainingError


class SimulationError(TrainingError):
    """A simulation that cannot be run as asked; its message is one sentence for the person at the command line."""

"""What the simulation refuses."""


class SimulationError(Exception):
    """A simulation that cannot be run as asked; its message is one sentence for the person at the command line."""

"""What monitoring refuses; see `training.errors` for the tree that it belongs to."""

from training.errors import TrainingError


class MonitorError(TrainingError):
    """The scores to monitor cannot be read as such: a portfolio of another model, without a day, or no portfolio."""

"""Errors of this package.

TrainingError
├── ClusterError       the Dask cluster cannot be reached, or a worker failed
├── ComparisonError    two models that cannot be compared on the same rows
├── ConfigError        an invalid settings file
├── LabelError         no usable labels: no loans, one outcome only, or too few defaults
├── MonitorError       scores that monitoring cannot read
├── PromotionError     a model that may not become the champion, or no version to roll back to
├── RegistryError      the registry cannot be reached, or does not have the version
├── SimulationError    an invalid configuration or output folder of a simulation
└── TableError         a table that cannot be used for training

The message of every error is one plain sentence or a few, ready to be printed.
"""


class TrainingError(Exception):
    """Base class of all errors of this package."""


class ClusterError(TrainingError):
    """Dask is not installed, its scheduler does not answer, or a worker failed or cannot open the rows."""


class ComparisonError(TrainingError):
    """Two models cannot be compared: other catalogues, other definitions of bad, or no rows outside their training."""


class ConfigError(TrainingError):
    """A settings file cannot be read, has an unknown setting, or has a value that is not allowed."""


class LabelError(TrainingError):
    """There are no usable labels: no rows, one outcome only, or too few defaults."""


class MonitorError(TrainingError):
    """The scores to monitor cannot be read: no portfolio, a portfolio of another model, or one without a day."""


class PromotionError(TrainingError):
    """The champion was not changed: a gate failed, the approver trained the model, or someone else changed it."""


class RegistryError(TrainingError):
    """The MLflow registry cannot be reached, or does not have the version."""


class SimulationError(TrainingError):
    """The configuration or the output folder of a simulation is invalid."""


class TableError(TrainingError):
    """A table has no label, no rows, or columns that are neither numbers nor categories."""

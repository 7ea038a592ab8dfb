"""Everything that training refuses, as one tree.

TrainingError
├── ClusterError       the Dask cluster cannot be reached, or lost a worker
├── ComparisonError    two models that cannot be judged on the same rows
├── ConfigError        a settings file that cannot be used
├── LabelError         no usable labels: no loans, one class only, too few defaults
├── MonitorError       scores to monitor that cannot be read as such (in `training.errors`)
├── PromotionError     a model that may not become the champion, or nothing to go back to
├── RegistryError      the registry cannot be reached, or lacks the version asked for
├── SimulationError    a simulation that cannot be run as asked (in `training.errors`)
└── TableError         a table that others made cannot be trained on

What monitoring refuses; see `training.errors` for the tree that it belongs to.

What the simulation refuses.
"""


class TrainingError(Exception):
    """Base of all errors of this package; its message is one plain sentence."""


class ClusterError(TrainingError):
    """Dask is not installed, its scheduler does not answer, or a worker cannot open the rows or was lost."""


class ComparisonError(TrainingError):
    """Two models cannot be judged on the same rows: other catalogues, other definitions of bad, no rows unseen."""


class ConfigError(TrainingError):
    """A settings file cannot be read, names an unknown setting, or gives one a value that it cannot have."""


class LabelError(TrainingError):
    """There is nothing to learn from: no labels, one class only, or too few defaults."""


class PromotionError(TrainingError):
    """The champion was not moved: a gate failed, the approver trained the model, or another moved it meanwhile."""


class RegistryError(TrainingError):
    """The MLflow registry cannot be reached, or does not hold the version asked for."""


class TableError(TrainingError):
    """A table that others made has no label, no rows, or columns that are neither numbers nor categories."""


class MonitorError(TrainingError):
    """The scores to monitor cannot be read as such: a portfolio of another model, without a day, or no portfolio."""


class SimulationError(TrainingError):
    """A simulation that cannot be run as asked; its message is one sentence for the person at the command line."""

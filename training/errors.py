"""Everything that training refuses, as one tree.

TrainingError
├── ConfigError        a settings file that cannot be used
├── LabelError         no usable labels: no loans, one class only, too few defaults
├── RegistryError      the registry cannot be reached, or lacks the version asked for
└── SimulationError    a simulation that cannot be run as asked (in `training.simulation.errors`)
"""


class TrainingError(Exception):
    """Base of all errors of this package; its message is one plain sentence."""


class ConfigError(TrainingError):
    """A settings file cannot be read, names an unknown setting, or gives one a value that it cannot have."""


class LabelError(TrainingError):
    """There is nothing to learn from: no labels, one class only, or too few defaults."""


class RegistryError(TrainingError):
    """The MLflow registry cannot be reached, or does not hold the version asked for."""

"""The names of what can learn, for commands that must not load it."""

from enum import StrEnum


class Engine(StrEnum):
    """What learns: this process from memory, this process from disk, or the workers of a Dask cluster."""

    MEMORY = "memory"
    BATCHES = "batches"
    DASK = "dask"

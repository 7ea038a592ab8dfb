"""The error tree of `features`.

FeaturesError
├── DeliveryError      a delivery that cannot be ingested
├── MappingError       an unknown importer, or an invalid mapping folder
├── StoreError         operating data or vectors that are missing or cannot be read or written
├── EngineError        an engine that cannot be started
└── CatalogueError     an invalid definition or frame request
"""


class FeaturesError(Exception):
    """Base of all errors of this package. The message is for the user of the command."""


class DeliveryError(FeaturesError):
    """A delivery cannot be ingested or an export cannot be imported. Nothing was stored."""


class MappingError(FeaturesError):
    """An importer does not exist, a mapping folder is invalid, or its SQL fails. Nothing was written."""


class StoreError(FeaturesError):
    """A store has no data yet, or cannot be read or written."""


class EngineError(FeaturesError):
    """An engine is not installed, or cannot be started here."""


class CatalogueError(FeaturesError):
    """A feature definition or a requested frame is invalid."""

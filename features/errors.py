"""Everything that features refuses, as one tree.

FeaturesError
├── DeliveryError      a delivery that cannot be read as the contract says
├── MappingError       an importer that does not exist, or a mapping folder that cannot be used
├── StoreError         the operating data or vectors asked for are not there
├── EngineError        an engine that this machine cannot start
└── CatalogueError     a definition or a frame request that cannot hold
"""


class FeaturesError(Exception):
    """Base of all errors of this package; its message is one sentence for the person at the command line."""


class DeliveryError(FeaturesError):
    """A delivery as a whole cannot be taken: a required file or column is missing or unreadable. Nothing was stored."""


class MappingError(FeaturesError):
    """An importer does not exist, a mapping folder breaks a rule, or its SQL fails. Nothing was written."""


class StoreError(FeaturesError):
    """The store does not hold what was asked for, such as a seller's vector before any delivery."""


class EngineError(FeaturesError):
    """An engine is not installed, or cannot be started here."""


class CatalogueError(FeaturesError):
    """A feature definition contradicts itself or the tables it names."""

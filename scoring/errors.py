"""Errors of the scoring package, as one tree.

ScoringError
├── BundleError              the bundle's files do not verify or contradict each other
│   ├── FeatureSheetError    the model's features are not those of the bundle's feature sheet
│   ├── TreeError            the trees cannot be explained: altered, or not a plain sum of trees
│   └── TableTooLargeError   the trees are so deep that the tables of contributions take too much memory
├── VectorError              the vector does not fit the bundle, or a value is not a number
├── ExplanationError         the contributions are not finite or do not add up, so there is no score
└── ProductError             the criteria of a financing product contradict each other or cannot be met
"""


class ScoringError(Exception):
    """Base class of all errors of this package. The message is one plain sentence."""


class BundleError(ScoringError):
    """The files are not a valid bundle: altered, incomplete or contradictory."""


class FeatureSheetError(BundleError):
    """The model's features or their order differ from the feature sheet."""


class TreeError(BundleError):
    """The model's trees are not in LightGBM's format, or of a kind whose margin cannot be attributed to features."""


class TableTooLargeError(BundleError):
    """The bundle requires contribution tables, but they would exceed the memory limit."""


class VectorError(ScoringError):
    """The vector does not fit the bundle: another catalogue, a wrong length or an infinite value."""


class ExplanationError(ScoringError):
    """The model's contributions cannot be converted to points, so there is no score."""


class ProductError(ScoringError):
    """The criteria of a financing product contradict each other or cannot be met."""

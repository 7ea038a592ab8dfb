"""Everything that scoring refuses, as one tree.

ScoringError
├── BundleError              files that do not verify, or contradict each other
│   ├── FeaturesError        a model of other features than the bundle's sheet
│   ├── TreeError            trees that cannot be explained: altered, or of a kind that is no sum of plain trees
│   └── TableTooLargeError   trees so deep that a table of their contributions takes too much memory
├── VectorError              a vector that the bundle was not trained for, or a value that is no number
├── ExplanationError         contributions that are not finite or do not add up; no score is given then
└── ProductError             a financing product whose criteria make no sense
"""


class ScoringError(Exception):
    """Base of all errors of this package; its message is one plain sentence."""


class BundleError(ScoringError):
    """The files are not a bundle that may be trusted: altered, incomplete or contradictory."""


class FeaturesError(BundleError):
    """The model lacks a feature of the sheet, has another, or has them in another order."""


class TreeError(BundleError):
    """The model's trees are not what LightGBM writes, or not of a kind whose margin can be shared out."""


class TableTooLargeError(BundleError):
    """The bundle says that tables explain the model, but they would take more memory than a service should give."""


class VectorError(ScoringError):
    """The vector does not meet the bundle: another catalogue, a wrong length, an infinite value."""


class ExplanationError(ScoringError):
    """The model's contributions cannot be turned into points, so there is no score either."""


class ProductError(ScoringError):
    """A financing product asks for what nobody can meet, or says two things at once."""

"""Everything that scoring refuses, as one tree.

ScoringError
├── BundleError        files that do not verify, or contradict each other
├── VectorError        a vector that the bundle was not trained for, or a value that is no number
└── ExplanationError   contributions that are not finite or do not add up; no score is given then
"""


class ScoringError(Exception):
    """Base of all errors of this package; its message is one plain sentence."""


class BundleError(ScoringError):
    """The files are not a bundle that may be trusted: altered, incomplete or contradictory."""


class VectorError(ScoringError):
    """The vector does not meet the bundle: another catalogue, a wrong length, an infinite value."""


class ExplanationError(ScoringError):
    """The model's contributions cannot be turned into points, so there is no score either."""

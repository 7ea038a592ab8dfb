"""Credit scoring: a feature vector and a model bundle in, an assessment out.

The package is pure: it accesses no file, clock, network, database or environment variable. Its public functions:

- `assess(bundle, vectors)` scores and explains vectors
- `serialize_assessment(assessment)` returns the canonical JSON of an assessment
- `advise(bundle, vector)` finds changes that raise a seller's score
- `changes(before, now, restated)` explains the difference between two scores
- `Bundle.from_files(files)` and `pack(parts)` read and write a bundle
- `eligibility(product, inputs, bands)` checks whether a seller can have a financing product

All errors are subclasses of `ScoringError`.
"""

from scoring.advice import Advice, AdviceVerdict
from scoring.advise import advise
from scoring.assess import assess
from scoring.assessment import Assessment
from scoring.bundle import Bundle, BundleParts, Reference, pack
from scoring.changes import Changes, changes
from scoring.eligibility import Criterion, Eligibility, EligibilityInputs, Product, UnmetCriterion, eligibility
from scoring.errors import (
    BundleError,
    ExplanationError,
    FeatureSheetError,
    ProductError,
    ScoringError,
    TableTooLargeError,
    TreeError,
    VectorError,
)
from scoring.outcome import Outcome
from scoring.policy import Policy
from scoring.serialization import serialize_assessment
from scoring.vector import Vector

__all__ = [
    "Advice",
    "AdviceVerdict",
    "Assessment",
    "Bundle",
    "BundleError",
    "BundleParts",
    "Changes",
    "Criterion",
    "Eligibility",
    "EligibilityInputs",
    "ExplanationError",
    "FeatureSheetError",
    "Outcome",
    "Policy",
    "Product",
    "ProductError",
    "Reference",
    "ScoringError",
    "TableTooLargeError",
    "TreeError",
    "UnmetCriterion",
    "Vector",
    "VectorError",
    "advise",
    "assess",
    "changes",
    "eligibility",
    "pack",
    "serialize_assessment",
]

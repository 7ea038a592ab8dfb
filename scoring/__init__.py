"""Vector and bundle in, assessment out: pure functions, no input or output.

Nothing here reads a file, a clock, a network, a database or the environment. The public face:

- `assess(bundle, vectors)`, the one call that everyone makes
- `advise(bundle, vector)`, what would move a seller up a band
- `changes(before, now, restated)`, why a score is not what it was
- `Bundle.from_files(files)` and `pack(parts)`, the one place that knows the bundle's format
- `eligibility(product, grounds, bands)`, whether a financing product is open to a seller, and what is lacking
- the errors, all `ScoringError`
"""

from scoring.advice import Advice, Verdict, advise
from scoring.assess import Assessment, Outcome, assess
from scoring.bundle import Bundle, BundleParts, Policy, Reference, pack
from scoring.changes import Changes, changes
from scoring.eligibility import Criterion, Eligibility, Grounds, Product, Unmet, eligibility
from scoring.errors import (
    BundleError,
    ExplanationError,
    FeaturesError,
    ProductError,
    ScoringError,
    TableTooLargeError,
    TreeError,
    VectorError,
)
from scoring.vector import Vector

__all__ = [
    "Advice",
    "Assessment",
    "Bundle",
    "BundleError",
    "BundleParts",
    "Changes",
    "Criterion",
    "Eligibility",
    "ExplanationError",
    "FeaturesError",
    "Grounds",
    "Outcome",
    "Policy",
    "Product",
    "ProductError",
    "Reference",
    "ScoringError",
    "TableTooLargeError",
    "TreeError",
    "Unmet",
    "Vector",
    "VectorError",
    "Verdict",
    "advise",
    "assess",
    "changes",
    "eligibility",
    "pack",
]

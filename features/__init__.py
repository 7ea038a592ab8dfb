"""Operating data in, feature vectors out: table contracts, intake, catalogue, as-of computation.

Knows nothing of scoring, training or the API.
"""

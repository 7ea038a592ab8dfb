"""Naive oracles of the features by family, from docs/features.md: loops and fractions."""

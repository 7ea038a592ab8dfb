"""The features by hand, family by family, from docs/features.md: loops and fractions."""

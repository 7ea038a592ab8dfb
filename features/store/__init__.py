"""Stores of operating data, tiles, feature vectors, profiles and seller contexts."""

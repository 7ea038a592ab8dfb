"""Shared fixtures of the property tests."""

from tests.oracles.festivals import few_festivals

__all__ = ["few_festivals"]

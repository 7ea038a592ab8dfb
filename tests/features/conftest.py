"""What all tests of features share."""

from tests.oracles.festivals import few_festivals

__all__ = ["few_festivals"]

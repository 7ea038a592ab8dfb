"""What all properties share."""

from tests.oracles.festivals import few_festivals

__all__ = ["few_festivals"]

"""Reviews that sellers request of a disputed figure or of their score, decided by operators."""

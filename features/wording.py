"""Wording of messages: numbers with their nouns."""


def count_of(number: int, noun: str) -> str:
    """Return a number with its noun.

    Example: `count_of(1, "row")` is "1 row", and `count_of(2000, "row")` is "2,000 rows".
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"

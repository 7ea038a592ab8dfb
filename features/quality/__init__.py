"""The page about one delivery: what came in, what became of it, how full, how late, how different from before.

Reads what intake stored and its report; decides nothing and writes nothing but the page.
"""

from features.quality.page import write_page

__all__ = ["write_page"]

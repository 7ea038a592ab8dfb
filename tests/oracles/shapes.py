"""Market shapes for property tests: few examples with many sellers each, because one frame takes seconds."""

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from tests.counts import SOAKING
from tests.oracles.market import Shape
from tests.oracles.seller_view import LOAN_TABLES, OF_STORES

MAY_BE_ABSENT = (*OF_STORES, *LOAN_TABLES)

SHAPES = st.builds(
    Shape,
    seed=st.integers(0, 2**32),
    sellers=st.sampled_from((6, 20, 1)),
    events=st.sampled_from((30, 90, 3, 0)),
    absent=st.frozensets(st.sampled_from(MAY_BE_ABSENT), max_size=2),
    largest=st.sampled_from((10**9, 10**14, 3)),
)

# Shapes are small already; shrinking one would take minutes without benefit.
_PHASES = (Phase.explicit, Phase.generate)


def examples(count: int) -> settings:
    """Return settings for `count` examples, different ones in each soak; with 0, only the explicit examples run."""
    return settings(
        max_examples=max(count, 1),
        deadline=None,
        derandomize=not SOAKING,
        database=None,
        phases=_PHASES if count else _PHASES[:1],
        suppress_health_check=[HealthCheck.too_slow],
    )

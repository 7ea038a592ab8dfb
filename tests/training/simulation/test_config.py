from datetime import date

import pytest

from training.simulation import SimulationConfig, SimulationError


def test_end_is_the_day_after_the_last() -> None:
    assert SimulationConfig(start=date(2023, 1, 1), days=366).end == date(2024, 1, 2)


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("sellers", 0, "from 1 to 999999"),
        ("days", 365, "from 366 to 3660"),
        ("seed", -1, "from 0 to"),
        ("orders_per_seller", 3, "from 20 to"),
        ("faker_share", 1.5, "from 0.0 to 1.0"),
        ("faker_share", float("nan"), "from 0.0 to 1.0"),
    ],
)
def test_a_value_out_of_range_is_named_with_what_is_allowed(name: str, value: float, allowed: str) -> None:
    with pytest.raises(SimulationError, match=f"{name} is {value}. Use a value {allowed}"):
        SimulationConfig(**{name: value})  # type: ignore[arg-type]


def test_a_start_outside_the_contract_is_rejected() -> None:
    with pytest.raises(SimulationError, match="The first day 1950-01-01 is not allowed"):
        SimulationConfig(start=date(1950, 1, 1))

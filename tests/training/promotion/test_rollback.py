"""The way back: to the champion before, never forward."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.training.promotion.acts import lenient, wei
from tests.training.promotion.conftest import Promoted
from training.errors import PromotionError, RegistryError
from training.promotion import Approval, promote, rollback
from training.registry import CHAMPION, PREVIOUS, WITHDRAWN, Registry, aliases, find_version

if TYPE_CHECKING:
    pass

pytestmark = pytest.mark.slow


def test_a_rollback_goes_back_and_withdraws_what_it_leaves(promoted: Promoted) -> None:
    registry = promoted("1", "2", "3")
    assert aliases(registry) == {CHAMPION: 3, PREVIOUS: 2}
    change = rollback(registry, Approval.now("Ana Silva", "refunds read too high"))
    assert (change.champion, change.replaced) == (2, 3)
    assert aliases(registry) == {CHAMPION: 2, PREVIOUS: 1}
    record = find_version(registry, "2").record
    assert (record["rolled_back_by"], record["rolled_back_because"]) == ("Ana Silva", "refunds read too high")
    assert (record["approved_by"], record["gates"]) == ("Wei Zhang", "passed: sums: all add up")
    assert len([name for name in record if name.startswith("history.")]) == 2
    assert find_version(registry, "3").record[WITHDRAWN] == (
        f"by Ana Silva at {record['rolled_back_at']}: refunds read too high"
    )
    assert rollback(registry, wei()).champion == 1
    assert aliases(registry) == {CHAMPION: 1}
    with pytest.raises(PromotionError, match="Version 1 replaced no champion"):
        rollback(registry, wei())


def test_what_was_withdrawn_comes_back_by_a_promotion_only(promoted: Promoted) -> None:
    """Two rollbacks would else be a promotion by one person, without gates."""
    ana = Approval.now("Ana Silva", "my model")
    registry = promoted("1", "2")
    promote(registry, "1", wei("the old one is better"), lenient)
    assert rollback(registry, ana).champion == 2
    with pytest.raises(PromotionError, match=r"Version 1, which version 2 replaced, was withdrawn \(by Ana Silva at"):
        rollback(registry, ana)
    assert aliases(registry)[CHAMPION] == 2
    with pytest.raises(PromotionError, match="cannot approve it as well"):
        promote(registry, "1", ana, lenient)
    assert promote(registry, "1", wei(), lenient).champion == 1
    assert WITHDRAWN not in find_version(registry, "1").record
    promote(registry, "3", wei(), lenient)
    assert rollback(registry, ana).champion == 1


def test_a_first_champion_has_nothing_to_go_back_to(registry: Registry) -> None:
    with pytest.raises(RegistryError, match="has the alias champion"):
        rollback(registry, wei())
    promote(registry, "1", wei(), lenient)
    with pytest.raises(PromotionError, match="Version 1 replaced no champion"):
        rollback(registry, wei())
    assert aliases(registry) == {CHAMPION: 1}

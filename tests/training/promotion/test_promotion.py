"""Promotion with gates and a second person, rollback, and challenge."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.training.promotion.conftest import PASSED, Promoted, lenient, strict, wei
from training.errors import PromotionError, RegistryError
from training.promotion import Approval, challenge, promote, rollback
from training.registry import (
    CHALLENGER,
    CHAMPION,
    INTENDED,
    MODEL_NAME,
    PREVIOUS,
    WITHDRAWN,
    Registry,
    aliases,
    find_version,
)
from training.registry.connection import connected

pytestmark = pytest.mark.slow


def test_a_promotion_records_approval_and_gates(registry: Registry) -> None:
    change = promote(registry, "1", wei("the first one"), lenient)
    assert (change.champion, change.replaced, change.checks) == (1, None, (PASSED,))
    assert aliases(registry) == {CHAMPION: 1}
    record = find_version(registry, "1").record
    assert (record["approved_by"], record["approved_because"]) == ("Wei Zhang", "the first one")
    assert record["gates"] == "passed: sums: all add up"
    moment = record["approved_at"]
    assert not [name for name in record if name.startswith(INTENDED)]
    assert json.loads(record[f"history.{moment}"])["gates"] == [
        {"gate": "sums", "verdict": "passed", "said": "all add up"}
    ]


def test_a_promotion_records_the_accepted_alarms(registry: Registry) -> None:
    with connected(registry) as client:
        run_id = client.get_model_version(MODEL_NAME, "2").run_id
        for study in ("drift", "bands"):
            client.set_tag(run_id, f"alarm.{study}", "It is above the limit.")
    assert promote(registry, "2", wei(), lenient).accepted == ("bands", "drift")
    assert find_version(registry, "2").record["accepted_alarms"] == "bands, drift"
    assert promote(registry, "3", wei(), lenient).accepted == ()
    assert find_version(registry, "3").record["accepted_alarms"] == "none"


def test_a_failure_to_write_the_card_does_not_undo_the_promotion(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*_: object) -> None:
        raise RegistryError("The MLflow registry does not answer.")

    monkeypatch.setattr("training.promotion.write_approval", unreachable)
    change = promote(registry, "latest", wei(), lenient)
    assert change.card == "The MLflow registry does not answer."
    assert aliases(registry) == {CHAMPION: 3}


def test_a_failed_gate_or_a_champion_stops_the_promotion(promoted: Promoted) -> None:
    registry = promoted("1")
    before = dict(find_version(registry, "2").record)
    with pytest.raises(PromotionError, match=r"Version 2 is not promoted; 1 of 2 gates failed:\n  - drift: PSI"):
        promote(registry, "2", wei(), strict)
    with pytest.raises(PromotionError, match=r"Version 1 is already the champion\. Nothing was moved"):
        promote(registry, "1", wei(), lenient)
    assert aliases(registry) == {CHAMPION: 1}
    assert find_version(registry, "2").record == before


def test_the_trainer_cannot_approve(registry: Registry) -> None:
    for name in ("Ana Silva", "ana silva", "  Ana   SILVA ", "Ａｎａ Silva"):
        with pytest.raises(PromotionError, match=r"trained version 2\. The approver must not be the trainer"):
            promote(registry, "2", Approval.now(name, "mine"), lenient)
    assert aliases(registry) == {}


@pytest.mark.parametrize(
    ("by", "reason"),
    [("", "good"), ("  ", "good"), ("Wei", ""), ("Wei", " ")],
)
def test_an_approval_needs_a_name_and_a_reason(by: str, reason: str) -> None:
    with pytest.raises(PromotionError, match=r"Give --approved-by and --reason"):
        Approval.now(by, reason)


def test_another_name_can_approve(registry: Registry) -> None:
    names = ("Ana Silveira", "\u5f20\u4f1f", "Silva", "\u0915\u093f\u0930\u0923")
    for version, name in zip((2, 3, 1, 2), names, strict=True):
        assert promote(registry, str(version), Approval.now(name, "good"), lenient).champion == version


def test_a_run_without_a_trainer_cannot_be_approved(registry: Registry) -> None:
    with connected(registry) as client:
        client.delete_tag(find_version(registry, "2").run_id, "trained_by")
    with pytest.raises(PromotionError, match="does not name its trainer"):
        promote(registry, "2", wei(), lenient)


def test_a_promoted_challenger_loses_its_alias(promoted: Promoted) -> None:
    registry = promoted("1")
    assert challenge(registry, "latest") == 3
    assert aliases(registry) == {CHAMPION: 1, CHALLENGER: 3}
    assert promote(registry, CHALLENGER, wei(), lenient).champion == 3
    assert aliases(registry) == {CHAMPION: 3, PREVIOUS: 1}
    with pytest.raises(PromotionError, match="cannot be the challenger"):
        challenge(registry, "3")


def test_a_folder_that_cannot_be_locked_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RegistryError, match=r"folder .* cannot be used"):
        promote(Registry(f"sqlite:///{tmp_path}/file/mlflow.db", tmp_path), "1", wei(), lenient)


def test_a_rollback_withdraws_the_champion(promoted: Promoted) -> None:
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
    with pytest.raises(PromotionError, match="Version 1 has no predecessor"):
        rollback(registry, wei())


def test_only_a_promotion_restores_a_withdrawn_version(promoted: Promoted) -> None:
    """Otherwise two rollbacks would be a promotion by one person without gates."""
    ana = Approval.now("Ana Silva", "my model")
    registry = promoted("1", "2")
    promote(registry, "1", wei("the old one is better"), lenient)
    assert rollback(registry, ana).champion == 2
    with pytest.raises(
        PromotionError, match=r"Version 1, the predecessor of version 2, was withdrawn \(by Ana Silva at"
    ):
        rollback(registry, ana)
    assert aliases(registry)[CHAMPION] == 2
    with pytest.raises(PromotionError, match="must not be the trainer"):
        promote(registry, "1", ana, lenient)
    assert promote(registry, "1", wei(), lenient).champion == 1
    assert WITHDRAWN not in find_version(registry, "1").record
    promote(registry, "3", wei(), lenient)
    assert rollback(registry, ana).champion == 1


def test_without_a_champion_there_is_no_rollback(registry: Registry) -> None:
    with pytest.raises(RegistryError, match="Unknown alias champion"):
        rollback(registry, wei())

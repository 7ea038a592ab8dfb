"""Who becomes champion: gates and a second person first."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.training.promotion.acts import PASSED, lenient, strict, wei
from tests.training.promotion.conftest import Promoted
from training.errors import PromotionError, RegistryError
from training.promotion import Approval, challenge, promote, rollback
from training.registry import CHALLENGER, CHAMPION, INTENDED, MODEL_NAME, PREVIOUS, Registry, aliases, find_version
from training.registry.connection import connected

if TYPE_CHECKING:
    pass

pytestmark = pytest.mark.slow


def test_a_promotion_records_who_why_when_and_what_the_gates_said(registry: Registry) -> None:
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


def test_a_promotion_records_which_alarms_it_accepted(registry: Registry) -> None:
    with connected(registry) as client:
        run_id = client.get_model_version(MODEL_NAME, "2").run_id
        for study in ("drift", "bands"):
            client.set_tag(run_id, f"alarm.{study}", "It is above the limit.")
    assert promote(registry, "2", wei(), lenient).accepted == ("bands", "drift")
    assert find_version(registry, "2").record["accepted_alarms"] == "bands, drift"
    assert promote(registry, "3", wei(), lenient).accepted == ()
    assert find_version(registry, "3").record["accepted_alarms"] == "none"


def test_a_card_that_cannot_be_written_does_not_undo_the_promotion(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise RegistryError("The MLflow registry does not answer.")

    monkeypatch.setattr("training.promotion.write_approval", away)
    change = promote(registry, "1", wei(), lenient)
    assert change.card == "The MLflow registry does not answer."
    assert aliases(registry) == {CHAMPION: 1}


def test_the_latest_version_is_promoted_where_none_is_named(registry: Registry) -> None:
    assert promote(registry, "latest", wei(), lenient).champion == 3


def test_a_gate_that_fails_stops_it_and_is_listed(promoted: Promoted) -> None:
    registry = promoted("1")
    before = dict(find_version(registry, "2").record)
    with pytest.raises(PromotionError, match=r"Version 2 is not promoted; 1 of 2 gates failed:\n  - drift: the PSI"):
        promote(registry, "2", wei(), strict)
    assert aliases(registry) == {CHAMPION: 1}
    assert find_version(registry, "2").record == before


def test_the_trainer_is_no_second_person_however_the_name_is_written(registry: Registry) -> None:
    for name in (
        "Ana Silva",
        "ana silva",
        "  Ana   SILVA ",
        "Ａｎａ Silva",
        "Ana\u200b Silva",
        "A\u200dna \u2060Silva\ufeff",
        "Ana\u00ad \u3164Silva\ufe0f",
        "Ana\u200bSilva",
        "AnaSilva",
        "Silva, Ana",
        "ana.silva",
        "\u00c1na S\u00edlva",
    ):
        with pytest.raises(PromotionError, match="trained version 2 and cannot approve it as well"):
            promote(registry, "2", Approval.now(name, "mine"), lenient)
    assert aliases(registry) == {}


@pytest.mark.parametrize(
    ("by", "reason"),
    [("", "good"), ("  ", "good"), ("Wei", ""), ("Wei", " "), ("\u200b", "good"), ("...", "good"), ("Wei", ".")],
)
def test_an_approval_has_a_name_and_a_reason(by: str, reason: str) -> None:
    with pytest.raises(PromotionError, match=r"give --approved-by and --reason"):
        Approval.now(by, reason)


def test_whoever_has_another_name_is_another_person(registry: Registry) -> None:
    names = ("Wei Zhang", "Ana Silveira", "\u5f20\u4f1f", "Silva", "\u0915\u093f\u0930\u0923")
    for version, name in zip((2, 3, 1, 2, 3), names, strict=True):
        assert promote(registry, str(version), Approval.now(name, "good"), lenient).champion == version


def test_a_run_that_does_not_say_who_trained_can_have_no_second_person(registry: Registry) -> None:
    with connected(registry) as client:
        client.delete_tag(find_version(registry, "2").run_id, "trained_by")
    with pytest.raises(PromotionError, match="does not say who trained it"):
        promote(registry, "2", wei(), lenient)


def test_the_champion_is_not_promoted_twice(promoted: Promoted) -> None:
    registry = promoted("1")
    with pytest.raises(PromotionError, match="Version 1 is the champion already; nothing was moved"):
        promote(registry, "1", wei(), lenient)


def test_a_challenger_that_is_promoted_challenges_no_more(promoted: Promoted) -> None:
    registry = promoted("1")
    assert challenge(registry, "latest") == 3
    assert aliases(registry) == {CHAMPION: 1, CHALLENGER: 3}
    assert promote(registry, CHALLENGER, wei(), lenient).champion == 3
    assert aliases(registry) == {CHAMPION: 3, PREVIOUS: 1}
    with pytest.raises(PromotionError, match="it has nobody to challenge"):
        challenge(registry, "3")


def test_a_registry_that_is_down_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    away = Registry("http://127.0.0.1:9", tmp_path / "artifacts")
    for act in (
        lambda: promote(away, "1", wei(), lenient),
        lambda: rollback(away, wei()),
        lambda: challenge(away, "1"),
    ):
        with pytest.raises(RegistryError, match="registry") as refusal:
            act()
        assert "\n" not in str(refusal.value)


def test_a_folder_that_cannot_be_locked_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RegistryError, match=r"folder .* cannot be used"):
        promote(Registry(f"sqlite:///{tmp_path}/file/mlflow.db", tmp_path), "1", wei(), lenient)

"""Who becomes champion: gates and a second person first, one promotion at a time, and a way back."""

from __future__ import annotations

import fcntl
import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from training.errors import PromotionError, RegistryError
from training.gates import Check, Verdict
from training.promotion import Approval, challenge, promote, rollback
from training.registry import (
    CHALLENGER,
    CHAMPION,
    INTENDED,
    MODEL_NAME,
    PREVIOUS,
    WITHDRAWN,
    Registry,
    Version,
    aliases,
    find,
    set_champion,
)
from training.registry.connection import connected

if TYPE_CHECKING:
    from mlflow import MlflowClient

PASSED = Check("sums", Verdict.PASSED, "all add up")
FAILED = Check("drift", Verdict.FAILED, "the PSI of the score is 0.4; allowed is 0.25 at most")


def lenient(_candidate: Version, _champion: Version | None) -> tuple[Check, ...]:
    return (PASSED,)


def strict(_candidate: Version, _champion: Version | None) -> tuple[Check, ...]:
    return (PASSED, FAILED)


def wei(reason: str = "better on new sellers") -> Approval:
    return Approval.now("Wei Zhang", reason)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry of three versions, each of a run of its own by Ana, without any model files."""
    folder: Path = tmp_path_factory.mktemp("template")
    with connected(Registry.on_sqlite(folder)) as client:
        experiment = client.create_experiment("sellerscore")
        client.create_registered_model(MODEL_NAME)
        for _ in range(3):
            run = client.create_run(experiment, tags={"trained_by": "Ana Silva"}).info.run_id
            client.create_model_version(MODEL_NAME, f"{folder}/nothing", run)
    return folder


@pytest.fixture
def registry(template: Path, tmp_path: Path) -> Registry:
    shutil.copy(template / "mlflow.db", tmp_path / "mlflow.db")
    return Registry.on_sqlite(tmp_path)


def test_a_promotion_records_who_why_when_and_what_the_gates_said(registry: Registry) -> None:
    change = promote(registry, "1", wei("the first one"), lenient)
    assert (change.champion, change.replaced, change.checks) == (1, None, (PASSED,))
    assert aliases(registry) == {CHAMPION: 1}
    record = find(registry, "1").record
    assert (record["approved_by"], record["approved_because"]) == ("Wei Zhang", "the first one")
    assert record["gates"] == "passed: sums: all add up"
    moment = record["approved_at"]
    assert not [name for name in record if name.startswith(INTENDED)]
    assert json.loads(record[f"history.{moment}"])["gates"] == [
        {"gate": "sums", "verdict": "passed", "said": "all add up"}
    ]


def test_the_latest_version_is_promoted_where_none_is_named(registry: Registry) -> None:
    assert promote(registry, "latest", wei(), lenient).champion == 3


def test_a_gate_that_fails_stops_it_and_is_listed(registry: Registry) -> None:
    promote(registry, "1", wei(), lenient)
    before = dict(find(registry, "2").record)
    with pytest.raises(PromotionError, match=r"Version 2 is not promoted; 1 of 2 gates failed:\n  - drift: the PSI"):
        promote(registry, "2", wei(), strict)
    assert aliases(registry) == {CHAMPION: 1}
    assert find(registry, "2").record == before


@pytest.mark.parametrize(
    "name",
    [
        "Ana Silva",
        "ana silva",
        "  Ana   SILVA ",
        "Ａｎａ Silva",
        "Ana\u200b Silva",
        "A\u200dna \u2060Silva\ufeff",
        "Ana\u00ad \u3164Silva\ufe0f",
    ],
)
def test_the_trainer_is_no_second_person_however_the_name_is_written(registry: Registry, name: str) -> None:
    with pytest.raises(PromotionError, match="trained version 2 and cannot approve it as well"):
        promote(registry, "2", Approval.now(name, "mine"), lenient)
    assert aliases(registry) == {}


@pytest.mark.parametrize(
    ("by", "reason"), [("", "good"), ("  ", "good"), ("Wei", ""), ("Wei", " "), ("\u200b", "good")]
)
def test_an_approval_has_a_name_and_a_reason(by: str, reason: str) -> None:
    with pytest.raises(PromotionError, match=r"give --approved-by and --reason"):
        Approval.now(by, reason)


def test_a_run_that_does_not_say_who_trained_can_have_no_second_person(registry: Registry) -> None:
    with connected(registry) as client:
        client.delete_tag(find(registry, "2").run_id, "trained_by")
    with pytest.raises(PromotionError, match="does not say who trained it"):
        promote(registry, "2", wei(), lenient)


def test_the_champion_is_not_promoted_twice(registry: Registry) -> None:
    promote(registry, "1", wei(), lenient)
    with pytest.raises(PromotionError, match="Version 1 is the champion already; nothing was moved"):
        promote(registry, "1", wei(), lenient)


def test_a_rollback_goes_back_and_withdraws_what_it_leaves(registry: Registry) -> None:
    for wanted in ("1", "2", "3"):
        promote(registry, wanted, wei(), lenient)
    assert aliases(registry) == {CHAMPION: 3, PREVIOUS: 2}
    change = rollback(registry, Approval.now("Ana Silva", "refunds read too high"))
    assert (change.champion, change.replaced) == (2, 3)
    assert aliases(registry) == {CHAMPION: 2, PREVIOUS: 1}
    record = find(registry, "2").record
    assert (record["rolled_back_by"], record["rolled_back_because"]) == ("Ana Silva", "refunds read too high")
    assert (record["approved_by"], record["gates"]) == ("Wei Zhang", "passed: sums: all add up")
    assert len([name for name in record if name.startswith("history.")]) == 2
    assert find(registry, "3").record[WITHDRAWN] == (
        f"by Ana Silva at {record['rolled_back_at']}: refunds read too high"
    )
    assert rollback(registry, wei()).champion == 1
    assert aliases(registry) == {CHAMPION: 1}
    with pytest.raises(PromotionError, match="Version 1 replaced no champion"):
        rollback(registry, wei())


def test_what_was_withdrawn_comes_back_by_a_promotion_only(registry: Registry) -> None:
    """Two rollbacks would else be a promotion by one person, without gates."""
    ana = Approval.now("Ana Silva", "my model")
    promote(registry, "1", wei(), lenient)
    promote(registry, "2", wei(), lenient)
    promote(registry, "1", wei("the old one is better"), lenient)
    assert rollback(registry, ana).champion == 2
    with pytest.raises(PromotionError, match=r"Version 1, which version 2 replaced, was withdrawn \(by Ana Silva at"):
        rollback(registry, ana)
    assert aliases(registry)[CHAMPION] == 2
    with pytest.raises(PromotionError, match="cannot approve it as well"):
        promote(registry, "1", ana, lenient)
    assert promote(registry, "1", wei(), lenient).champion == 1
    assert WITHDRAWN not in find(registry, "1").record
    promote(registry, "3", wei(), lenient)
    assert rollback(registry, ana).champion == 1


def test_a_first_champion_has_nothing_to_go_back_to(registry: Registry) -> None:
    with pytest.raises(RegistryError, match="has the alias champion"):
        rollback(registry, wei())
    promote(registry, "1", wei(), lenient)
    with pytest.raises(PromotionError, match="Version 1 replaced no champion"):
        rollback(registry, wei())
    assert aliases(registry) == {CHAMPION: 1}


def test_a_challenger_that_is_promoted_challenges_no_more(registry: Registry) -> None:
    promote(registry, "1", wei(), lenient)
    assert challenge(registry, "latest") == 3
    assert aliases(registry) == {CHAMPION: 1, CHALLENGER: 3}
    assert promote(registry, CHALLENGER, wei(), lenient).champion == 3
    assert aliases(registry) == {CHAMPION: 3, PREVIOUS: 1}
    with pytest.raises(PromotionError, match="it has nobody to challenge"):
        challenge(registry, "3")


def test_a_promotion_waits_for_another_and_then_sees_its_champion(registry: Registry, tmp_path: Path) -> None:
    """Two at once: the second one's gates are asked about the first one's champion."""
    met: list[int | None] = []

    def watched(_: Version, champion: Version | None) -> tuple[Check, ...]:
        met.append(None if champion is None else champion.number)
        return (PASSED,)

    with (tmp_path / "promotion.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        second = threading.Thread(target=promote, args=(registry, "3", wei(), watched))
        second.start()
        second.join(0.5)
        assert second.is_alive()
        assert met == []
        set_champion(registry, 1, None, {})
    second.join(60)
    assert met == [1]
    assert aliases(registry) == {CHAMPION: 3, PREVIOUS: 1}


def test_a_champion_moved_elsewhere_in_the_middle_stops_it(registry: Registry) -> None:
    """Another machine shares the server and not the lock."""
    promote(registry, "1", wei(), lenient)

    def overtaken(_candidate: Version, _champion: Version | None) -> tuple[Check, ...]:
        set_champion(registry, 2, 1, {})
        return (PASSED,)

    with pytest.raises(PromotionError, match="Version 2 became the champion in the middle of this; nothing was moved"):
        promote(registry, "3", wei(), overtaken)
    assert aliases(registry) == {CHAMPION: 2, PREVIOUS: 1}


def test_a_champion_moved_elsewhere_right_after_is_told(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    def overtaking(client: MlflowClient, number: str) -> None:
        client.set_registered_model_alias(MODEL_NAME, CHAMPION, number)
        client.set_registered_model_alias(MODEL_NAME, CHAMPION, "2")

    _alias_moves(monkeypatch, overtaking)
    with pytest.raises(PromotionError, match="Another process made version 2 the champion right after version 3"):
        promote(registry, "3", wei(), lenient)


@pytest.mark.parametrize("moved", [False, True], ids=["before the move", "right after the move"])
def test_a_failure_in_the_middle_leaves_a_champion_with_a_way_back(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, moved: bool
) -> None:
    promote(registry, "1", wei(), lenient)
    promote(registry, "2", wei(), lenient)

    def failing(client: MlflowClient, number: str) -> None:
        if moved:
            client.set_registered_model_alias(MODEL_NAME, CHAMPION, number)
        raise OSError("the network is gone")

    with monkeypatch.context() as patch:
        _alias_moves(patch, failing)
        with pytest.raises(RegistryError, match="failed: the network is gone"):
            promote(registry, "3", wei(), lenient)
    assert aliases(registry)[CHAMPION] == (3 if moved else 2)
    record = find(registry, "3").record
    assert record[f"{INTENDED}approved_by"] == "Wei Zhang"
    assert not {"approved_by", "gates", "replaced"} & set(record), "what was not done does not read as done"
    assert rollback(registry, wei()).champion == (2 if moved else 1)
    assert ("approved_by" in find(registry, "3").record) == moved, "what a kill left is finished by the next act"


def test_a_rollback_killed_after_the_move_withdraws_in_the_end(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    for wanted in ("1", "2", "1"):
        promote(registry, wanted, wei(), lenient)

    def failing(client: MlflowClient, number: str) -> None:
        client.set_registered_model_alias(MODEL_NAME, CHAMPION, number)
        raise OSError("the network is gone")

    with monkeypatch.context() as patch:
        _alias_moves(patch, failing)
        with pytest.raises(RegistryError, match="failed: the network is gone"):
            rollback(registry, wei())
    assert aliases(registry)[CHAMPION] == 2
    with pytest.raises(PromotionError, match="Version 1, which version 2 replaced, was withdrawn"):
        rollback(registry, wei())


def test_an_attempt_that_never_was_loses_no_way_back(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    for wanted in ("1", "2", "3"):
        promote(registry, wanted, wei(), lenient)

    def failing(_: MlflowClient, __: str) -> None:
        raise OSError("the network is gone")

    with monkeypatch.context() as patch:
        _alias_moves(patch, failing)
        with pytest.raises(RegistryError, match="failed: the network is gone"):
            promote(registry, "2", wei("once more"), lenient)
    assert rollback(registry, wei()).champion == 2
    assert find(registry, "2").record["approved_because"] == "better on new sellers"
    assert rollback(registry, wei()).champion == 1


def _alias_moves(monkeypatch: pytest.MonkeyPatch, move: Callable[[MlflowClient, str], None]) -> None:
    """Let `move(client, number)` stand for how the registry moves the champion; other aliases move as ever."""
    from mlflow import MlflowClient

    real = MlflowClient.set_registered_model_alias

    def moved(client: MlflowClient, name: str, alias: str, number: str) -> None:
        if alias == CHAMPION:
            with monkeypatch.context() as patch:
                patch.setattr(MlflowClient, "set_registered_model_alias", real)
                move(client, number)
        else:
            real(client, name, alias, number)

    monkeypatch.setattr(MlflowClient, "set_registered_model_alias", moved)


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

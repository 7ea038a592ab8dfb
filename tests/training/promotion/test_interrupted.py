"""Promotions at once, and those that fail or are killed in the middle: a champion, a way back, nothing half done."""

from __future__ import annotations

import fcntl
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.training.promotion.acts import PASSED, alias_moves, lenient, wei
from tests.training.promotion.conftest import Promoted
from training.errors import PromotionError, RegistryError
from training.gates import Check
from training.promotion import challenge, promote, rollback
from training.registry import (
    CHAMPION,
    INTENDED,
    MODEL_NAME,
    PREVIOUS,
    Registry,
    Version,
    aliases,
    find_version,
    set_champion,
)
from training.registry.connection import connected
from training.registry.run_lifecycle import PROCESS, Process

if TYPE_CHECKING:
    from mlflow import MlflowClient

pytestmark = pytest.mark.slow


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


def test_a_champion_moved_elsewhere_in_the_middle_stops_it(promoted: Promoted) -> None:
    """Another machine shares the server and not the lock."""
    registry = promoted("1")

    def overtaken(_candidate: Version, _champion: Version | None) -> tuple[Check, ...]:
        set_champion(registry, 2, 1, {})
        return (PASSED,)

    with pytest.raises(PromotionError, match="Version 2 became the champion in the middle of this; nothing was moved"):
        promote(registry, "3", wei(), overtaken)
    assert aliases(registry) == {CHAMPION: 2, PREVIOUS: 1}
    assert intended(registry, "3") == set()


def test_a_champion_moved_elsewhere_right_after_is_told(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    def overtaking(client: MlflowClient, number: str) -> None:
        client.set_registered_model_alias(MODEL_NAME, CHAMPION, number)
        client.set_registered_model_alias(MODEL_NAME, CHAMPION, "2")

    alias_moves(monkeypatch, overtaking)
    with pytest.raises(PromotionError, match="Another process made version 2 the champion right after version 3"):
        promote(registry, "3", wei(), lenient)


@pytest.mark.parametrize("moved", [False, True], ids=["before the move", "right after the move"])
def test_a_failure_in_the_middle_leaves_a_champion_with_a_way_back(
    promoted: Promoted, monkeypatch: pytest.MonkeyPatch, moved: bool
) -> None:
    registry = promoted("1", "2")

    def failing(client: MlflowClient, number: str) -> None:
        if moved:
            client.set_registered_model_alias(MODEL_NAME, CHAMPION, number)
        raise OSError("the network is gone")

    with monkeypatch.context() as patch:
        alias_moves(patch, failing)
        with pytest.raises(RegistryError, match="failed: the network is gone"):
            promote(registry, "3", wei(), lenient)
    assert aliases(registry)[CHAMPION] == (3 if moved else 2)
    record = find_version(registry, "3").record
    assert (f"{INTENDED}approved_by" in record) == moved, "what did not come about is taken off, the rest is to finish"
    assert bool(intended(registry, "3")) == moved
    assert not {"approved_by", "gates", "replaced"} & set(record), "what was not done does not read as done"
    assert rollback(registry, wei()).champion == (2 if moved else 1)
    assert ("approved_by" in find_version(registry, "3").record) == moved, (
        "what a kill left is finished by the next act"
    )


def test_a_rollback_killed_after_the_move_withdraws_in_the_end(
    promoted: Promoted, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = promoted("1", "2", "1")

    def failing(client: MlflowClient, number: str) -> None:
        client.set_registered_model_alias(MODEL_NAME, CHAMPION, number)
        raise OSError("the network is gone")

    with monkeypatch.context() as patch:
        alias_moves(patch, failing)
        with pytest.raises(RegistryError, match="failed: the network is gone"):
            rollback(registry, wei())
    assert aliases(registry)[CHAMPION] == 2
    with pytest.raises(PromotionError, match="Version 1, which version 2 replaced, was withdrawn"):
        rollback(registry, wei())


def test_an_attempt_that_never_was_loses_no_way_back(promoted: Promoted, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = promoted("1", "2", "3")

    def failing(_: MlflowClient, __: str) -> None:
        raise OSError("the network is gone")

    with monkeypatch.context() as patch:
        alias_moves(patch, failing)
        with pytest.raises(RegistryError, match="failed: the network is gone"):
            promote(registry, "2", wei("once more"), lenient)
    assert rollback(registry, wei()).champion == 2
    assert find_version(registry, "2").record["approved_because"] == "better on new sellers"
    assert rollback(registry, wei()).champion == 1


def left_behind(registry: Registry, version: str, process: str | None) -> None:
    """Leave what an attempt that was killed before the move leaves, of a process or of an older program."""
    tags = {"approved_by": "Wei Zhang"} | ({} if process is None else {PROCESS: process})
    with connected(registry) as client:
        for name, text in tags.items():
            client.set_model_version_tag(MODEL_NAME, version, INTENDED + name, text)


def intended(registry: Registry, version: str) -> set[str]:
    return {name for name in find_version(registry, version).record if name.startswith(INTENDED)}


def test_what_cannot_be_undone_is_swept_by_the_next_command(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    promote(registry, "1", wei(), lenient)

    def gone(*_: object) -> None:
        raise OSError("the network is gone")

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "delete_model_version_tag", gone)
        alias_moves(patch, gone)
        with pytest.raises(RegistryError, match="failed: the network is gone"):
            promote(registry, "3", wei(), lenient)
    assert intended(registry, "3")
    challenge(registry, "2")
    assert intended(registry, "3") == set()


def test_what_a_process_intended_that_is_gone_is_swept(promoted: Promoted) -> None:
    registry = promoted("1")
    left_behind(registry, "3", str(replace(Process.own(), started="0d1f2c7e 1")))
    assert promote(registry, "2", wei(), lenient).champion == 2
    assert intended(registry, "3") == set()
    assert "approved_by" not in find_version(registry, "3").record


def test_what_another_process_may_still_intend_is_left_alone(registry: Registry) -> None:
    own = Process.own()
    left_behind(registry, "2", str(replace(own, pid=1, started="")))
    left_behind(registry, "3", str(replace(own, host="elsewhere/00000000")))
    promote(registry, "1", wei(), lenient)
    for version in ("2", "3"):
        assert intended(registry, version) == {f"{INTENDED}approved_by", f"{INTENDED}{PROCESS}"}


def test_what_an_older_program_left_goes_with_the_versions_next_promotion(registry: Registry) -> None:
    left_behind(registry, "3", None)
    promote(registry, "1", wei(), lenient)
    assert intended(registry, "3")
    promote(registry, "3", wei(), lenient)
    assert intended(registry, "3") == set()
    assert not [name for name in find_version(registry, "3").record if name == PROCESS]

"""Concurrent, failed and killed promotions: there is always a champion and a rollback target."""

from __future__ import annotations

import fcntl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.training.promotion.conftest import PASSED, Promoted, alias_moves, lenient, wei
from training.errors import PromotionError, RegistryError
from training.gates import Check
from training.promotion import promote, rollback
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
from training.registry.run_lifecycle import PROCESS, current_process

if TYPE_CHECKING:
    from mlflow import MlflowClient

pytestmark = pytest.mark.slow


def test_a_promotion_waits_for_a_concurrent_one(registry: Registry, tmp_path: Path) -> None:
    """The gates of the second promotion compare with the champion of the first."""
    champions: list[int | None] = []

    def evaluate(_: Version, champion: Version | None) -> tuple[Check, ...]:
        champions.append(None if champion is None else champion.number)
        return (PASSED,)

    with (tmp_path / "promotion.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        second = threading.Thread(target=promote, args=(registry, "3", wei(), evaluate))
        second.start()
        second.join(0.5)
        assert second.is_alive()
        assert champions == []
        set_champion(registry, 1, None, {})
    second.join(60)
    assert champions == [1]
    assert aliases(registry) == {CHAMPION: 3, PREVIOUS: 1}


def test_a_champion_moved_by_another_machine_stops_the_promotion(promoted: Promoted) -> None:
    """Another machine shares the server but not the lock."""
    registry = promoted("1")

    def overtaken(_candidate: Version, _champion: Version | None) -> tuple[Check, ...]:
        set_champion(registry, 2, 1, {})
        return (PASSED,)

    with pytest.raises(PromotionError, match=r"Another process made version 2 the champion\. Nothing was moved"):
        promote(registry, "3", wei(), overtaken)
    assert aliases(registry) == {CHAMPION: 2, PREVIOUS: 1}
    assert intended_tags(registry, "3") == set()


def test_a_champion_moved_right_after_a_promotion_is_reported(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def overtaking(client: MlflowClient, number: str) -> None:
        client.set_registered_model_alias(MODEL_NAME, CHAMPION, number)
        client.set_registered_model_alias(MODEL_NAME, CHAMPION, "2")

    alias_moves(monkeypatch, overtaking)
    with pytest.raises(PromotionError, match="Another process made version 2 the champion right after version 3"):
        promote(registry, "3", wei(), lenient)


@contextmanager
def without_network(monkeypatch: pytest.MonkeyPatch, *, is_moved: bool) -> Iterator[None]:
    """Lose the network when the champion's alias moves: before the move, or right after."""

    def failing(client: MlflowClient, number: str) -> None:
        if is_moved:
            client.set_registered_model_alias(MODEL_NAME, CHAMPION, number)
        raise OSError("the network is gone")

    with monkeypatch.context() as patch:
        alias_moves(patch, failing)
        with pytest.raises(RegistryError, match="failed: the network is gone"):
            yield


@pytest.mark.parametrize("is_moved", [False, True], ids=["before the move", "right after the move"])
def test_a_failed_promotion_leaves_a_champion_and_a_rollback_target(
    promoted: Promoted, monkeypatch: pytest.MonkeyPatch, is_moved: bool
) -> None:
    registry = promoted("1", "2")
    with without_network(monkeypatch, is_moved=is_moved):
        promote(registry, "3", wei(), lenient)
    assert aliases(registry)[CHAMPION] == (3 if is_moved else 2)
    record = find_version(registry, "3").record
    assert f"{INTENDED}approved_by" in record
    assert not {"approved_by", "gates", "replaced"} & set(record), "an interrupted promotion has no approval"
    assert rollback(registry, wei()).champion == (2 if is_moved else 1)
    assert ("approved_by" in find_version(registry, "3").record) == is_moved, "the next command completes or removes it"
    assert intended_tags(registry, "3") == set()


def test_an_interrupted_rollback_is_completed(promoted: Promoted, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = promoted("1", "2", "1")
    with without_network(monkeypatch, is_moved=True):
        rollback(registry, wei())
    assert aliases(registry)[CHAMPION] == 2
    with pytest.raises(PromotionError, match="Version 1, the predecessor of version 2, was withdrawn"):
        rollback(registry, wei())


def test_a_failed_promotion_keeps_the_rollback_target(promoted: Promoted, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = promoted("1", "2", "3")
    with without_network(monkeypatch, is_moved=False):
        promote(registry, "2", wei("once more"), lenient)
    assert rollback(registry, wei()).champion == 2
    assert find_version(registry, "2").record["approved_because"] == "better on new sellers"
    assert rollback(registry, wei()).champion == 1


def leave_intended(registry: Registry, version: str, process: str | None) -> None:
    """Write the tags that a promotion killed before the move leaves, with its process or without."""
    tags = {"approved_by": "Wei Zhang"} | ({} if process is None else {PROCESS: process})
    with connected(registry) as client:
        for name, text in tags.items():
            client.set_model_version_tag(MODEL_NAME, version, INTENDED + name, text)


def intended_tags(registry: Registry, version: str) -> set[str]:
    return {name for name in find_version(registry, version).record if name.startswith(INTENDED)}


def test_intended_tags_of_an_ended_process_are_removed(promoted: Promoted) -> None:
    registry = promoted("1")
    host, pid, _ = current_process().split()
    leave_intended(registry, "3", f"{host} {pid} 1")  # an earlier process with the same ID
    assert promote(registry, "2", wei(), lenient).champion == 2
    assert intended_tags(registry, "3") == set()
    assert "approved_by" not in find_version(registry, "3").record


def test_intended_tags_of_other_processes_stay(registry: Registry) -> None:
    host, _, rest = current_process().partition(" ")
    leave_intended(registry, "2", f"{host} 1")
    leave_intended(registry, "3", f"another-{host} {rest}")
    promote(registry, "1", wei(), lenient)
    for version in ("2", "3"):
        assert intended_tags(registry, version) == {f"{INTENDED}approved_by", f"{INTENDED}{PROCESS}"}


def test_intended_tags_without_a_process_are_removed_by_the_next_promotion(registry: Registry) -> None:
    leave_intended(registry, "3", None)
    promote(registry, "1", wei(), lenient)
    assert intended_tags(registry, "3")
    promote(registry, "3", wei(), lenient)
    assert intended_tags(registry, "3") == set()
    assert not [name for name in find_version(registry, "3").record if name == PROCESS]

"""Bundles and versions of the models that gave scores, from what is kept and from the registry."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from scoring import Bundle
from tests.training.monitor.made import small_bundle
from tests.world import World, shared_world
from training.monitor.score_log import ScoreSource, known_models
from training.registry import Registry, find_version


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    world: World = shared_world(tmp_path_factory).copy(tmp_path_factory.mktemp("models"))
    return Registry.on_sqlite(world.home)


def keeping(*bundles: Bundle) -> ScoreSource:
    kept = {bundle.digest: bundle for bundle in bundles}
    return ScoreSource(pd.DataFrame, pd.DataFrame, kept.get, lambda: None)


def test_a_bundle_is_taken_where_it_is_kept_else_from_the_registry_else_lost(registry: Registry) -> None:
    registered = find_version(registry, "1").tags["bundle"]
    own, lost = small_bundle().digest, "sha256:" + "0" * 64
    found = known_models([registered, own, lost, own], keeping(small_bundle()), registry)
    assert {digest: model.name for digest, model in found.known.items()} == {
        registered: "version 1",
        own: f"bundle {own[:19]}",
    }
    assert found.known[registered].bundle.digest == registered
    assert found.lost == (lost,)
    assert found.registry_away == ""


def test_a_registry_that_is_away_takes_the_versions_and_leaves_what_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    own, other = small_bundle().digest, "sha256:" + "0" * 64
    found = known_models([own, other], keeping(small_bundle()), Registry("http://127.0.0.1:9", tmp_path))
    assert (list(found.known), found.lost) == ([own], (other,))
    assert found.known[own].version is None
    assert found.registry_away.startswith("The MLflow registry at http://127.0.0.1:9 does not answer; ")


def test_a_registry_that_holds_what_is_no_bundle_of_its_word_gives_none(registry: Registry) -> None:
    digest = find_version(registry, "1").tags["bundle"]
    folder = registry.artifacts.parent / "elsewhere"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mlflow.artifacts.download_artifacts", lambda *_, **__: str(folder))
        assert known_models([digest], keeping(), registry).lost == (digest,)

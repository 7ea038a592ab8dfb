"""References: the training population, computed from the operating data and stored."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.ingest import open_store
from tests.world import World, shared_world
from training.dataset import build, loan_labels
from training.errors import ComparisonError
from training.evidence.drift import SCORE
from training.evidence.study import scorable_rows, scores
from training.holdout import LabelSource
from training.monitor.score_log import KnownModel
from training.monitor.subject import References
from training.registry import Registry, find_version, load_bundle
from training.split import SplitConfig, is_unseen


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return shared_world(tmp_path_factory).copy(tmp_path_factory.mktemp("reference"))


@pytest.fixture(scope="module")
def model(world: World) -> KnownModel:
    registry = Registry.on_sqlite(world.home)
    version = find_version(registry, "1")
    return KnownModel(load_bundle(registry, version), version)


@pytest.fixture(scope="module")
def stored(world: World, model: KnownModel, tmp_path_factory: pytest.TempPathFactory) -> References:
    """References with one stored population; computing it takes seconds."""
    references = References(LabelSource(open_store(world.home / "operating")), tmp_path_factory.mktemp("stored"))
    references.load(model)
    return references


@pytest.fixture
def references(stored: References, tmp_path: Path) -> References:
    """References with an empty folder."""
    return References(stored.source, tmp_path)


def test_a_reference_contains_the_training_rows(world: World, model: KnownModel, stored: References) -> None:
    store = open_store(world.home / "operating")
    known = loan_labels(store)
    before = known.rows["as_of"] < model.version.params["train_before"]
    dataset = build(store, replace(known, rows=known.rows[before].reset_index(drop=True)))
    train = dataset.select(~is_unseen(dataset.rows["seller_id"], SplitConfig()))
    assert len(train.rows) == int(model.version.params["train_rows"])
    enough = scorable_rows(model.bundle, train.features)
    expected = train.features[enough].assign(seller_id=train.rows["seller_id"][enough])
    found, order = stored.load(model), list(expected.columns)
    frames = (found.features.values.assign(seller_id=found.features.sellers)[order], expected)
    pd.testing.assert_frame_equal(*(frame.sort_values(order, ignore_index=True) for frame in frames))
    assert not set(found.score.sellers) & set(found.features.sellers)
    others = dataset.select(~dataset.rows["seller_id"].isin(train.rows["seller_id"]))
    unseen = scores(model.bundle, others.features[scorable_rows(model.bundle, others.features)].to_numpy())
    assert sorted(found.score.values[SCORE]) == sorted(unseen.tolist())


def test_a_stored_reference_does_not_need_the_version(model: KnownModel, stored: References) -> None:
    (path,) = stored.folder.iterdir()
    assert path.name == f"reference-{model.bundle.digest[7:23]}.parquet"
    first, second = stored.load(model), stored.load(replace(model, version=None))
    pd.testing.assert_frame_equal(first.features.values, second.features.values)
    assert np.array_equal(first.score.values[SCORE], second.score.values[SCORE])


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"train_rows": "9999"}, "The model was trained on 9999 rows, but the operating data contain"),
        ({"default_definition": "60+ days past due"}, 'Version 1 predicts "60'),
        (None, "No registered version of this model records the rows it was trained on"),
        ({"train_before": None}, "No registered version of this model"),
    ],
)
def test_another_or_an_unknown_population_is_rejected(
    model: KnownModel, references: References, params: dict[str, str | None] | None, message: str
) -> None:
    changed = {**model.version.params, **(params or {})}
    known = {name: value for name, value in changed.items() if value is not None}
    version = None if params is None else replace(model.version, params=known)
    with pytest.raises(ComparisonError, match=message):
        references.load(replace(model, version=version))
    assert not list(references.folder.iterdir())


def test_a_model_of_another_catalogue_has_no_reference(model: KnownModel, references: References) -> None:
    retired = replace(model.bundle, sheet=replace(model.bundle.sheet, catalogue="sha256:retired"))
    with pytest.raises(ComparisonError, match="trained with the catalogue sha256:retired, but this program"):
        references.load(replace(model, bundle=retired))


def test_a_model_trained_on_all_rows_has_no_reference_scores(
    model: KnownModel, stored: References, references: References
) -> None:
    params = {**model.version.params, "evidence": "out_of_fold"}
    trained_on = (loan_labels(references.source.store).rows["as_of"] < params["train_before"]).sum()
    version = replace(model.version, params={**params, "train_rows": str(trained_on)})
    (path,) = stored.folder.iterdir()
    damaged = references.folder / path.name
    damaged.write_bytes(b"PAR1 damaged")
    found, both = references.load(replace(model, version=version)), stored.load(model)
    assert found.score is None
    assert len(found.features.values) == len(both.features.values) + len(both.score.values)
    assert damaged.stat().st_size > 10_000, "a damaged reference is computed again"

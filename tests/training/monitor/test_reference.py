"""The training population made again from the operating data, and kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.intake import open_store
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
def made(world: World, model: KnownModel, tmp_path_factory: pytest.TempPathFactory) -> References:
    """References that have been asked once; the features of a population take seconds."""
    references = References(LabelSource(open_store(world.home / "operating")), tmp_path_factory.mktemp("kept"))
    references.of(model)
    return references


@pytest.fixture
def references(made: References, tmp_path: Path) -> References:
    """References that have not been asked yet."""
    return References(made.source, tmp_path)


def test_it_is_the_rows_that_the_model_learnt_from(world: World, model: KnownModel, made: References) -> None:
    store = open_store(world.home / "operating")
    known = loan_labels(store)
    before = known.rows["as_of"] < model.version.params["train_before"]
    dataset = build(store, replace(known, rows=known.rows[before].reset_index(drop=True)))
    train = dataset.select(~is_unseen(dataset.rows["seller_id"], SplitConfig()))
    assert len(train.rows) == int(model.version.params["train_rows"])
    enough = scorable_rows(model.bundle, train.features)
    expected = train.features[enough].assign(seller_id=train.rows["seller_id"][enough])
    found = made.of(model)
    ours = found.features.values.assign(seller_id=found.features.sellers)
    order = list(expected.columns)
    pd.testing.assert_frame_equal(
        ours[order].sort_values(order, ignore_index=True), expected.sort_values(order, ignore_index=True)
    )
    assert not set(found.score.sellers) & set(found.features.sellers)
    others = dataset.select(~dataset.rows["seller_id"].isin(train.rows["seller_id"]))
    unseen = scores(model.bundle, others.features[scorable_rows(model.bundle, others.features)].to_numpy())
    assert sorted(found.score.values[SCORE]) == sorted(unseen.tolist())


def test_what_is_kept_serves_where_the_version_is_not_known(model: KnownModel, made: References) -> None:
    first = made.of(model)
    (kept,) = made.folder.iterdir()
    assert kept.name == f"reference-{model.bundle.digest[7:23]}.parquet"
    again = made.of(replace(model, version=None))
    pd.testing.assert_frame_equal(first.features.values, again.features.values)
    assert np.array_equal(first.score.values[SCORE], again.score.values[SCORE])


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"train_rows": "9999"}, "It was trained on 9999 rows, and the operating data hold"),
        ({"default_definition": "60+ days past due"}, 'Version 1 predicts "60'),
    ],
)
def test_another_population_is_refused(
    model: KnownModel, references: References, params: dict[str, str], words: str
) -> None:
    version = replace(model.version, params={**model.version.params, **params})
    with pytest.raises(ComparisonError, match=words):
        references.of(replace(model, version=version))
    assert not list(references.folder.iterdir())


def test_what_cannot_be_made_says_why(model: KnownModel, references: References) -> None:
    with pytest.raises(ComparisonError, match="No registered version is known that says what it was trained on"):
        references.of(replace(model, version=None))
    silent = replace(model.version, params={"evidence": "out_of_time"})
    with pytest.raises(ComparisonError, match="No registered version is known"):
        references.of(replace(model, version=silent))
    retired = replace(model.bundle, sheet=replace(model.bundle.sheet, catalogue="sha256:retired"))
    with pytest.raises(ComparisonError, match="trained with the catalogue sha256:retired, and this program"):
        references.of(replace(model, bundle=retired))


def test_a_model_that_learnt_from_every_row_has_no_scores_to_compare(
    model: KnownModel, made: References, references: References
) -> None:
    params = {**model.version.params, "evidence": "out_of_fold"}
    learnt = loan_labels(references.source.store).rows["as_of"] < params["train_before"]
    version = replace(model.version, params={**params, "train_rows": str(int(learnt.sum()))})
    (kept,) = made.folder.iterdir()
    broken = references.folder / kept.name
    broken.write_bytes(b"PAR1 no more")
    found = references.of(replace(model, version=version))
    assert found.score is None
    both = made.of(model)
    assert len(found.features.values) == len(both.features.values) + len(both.score.values)
    assert broken.stat().st_size > 10_000, "what was broken is made again"

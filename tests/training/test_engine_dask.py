"""Training on a Dask cluster of two workers: same signs, rounds and missing values, and an equally good model."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lightgbm.basic import LightGBMError
from lightgbm.dask import DaskLGBMRegressor

import training.engine_dask
import training.sample
from tests.counts import repeat
from tests.training.datasets import INFORMATIVE, SIGNS, assert_obeys, dataset, opposed_outcomes
from training.config import FeatureConfig, TrainConfig
from training.dataset import Dataset
from training.engine_dask import SCHEDULER, boost_on, cluster
from training.engines import Engine, open_engine
from training.errors import ClusterError
from training.evidence.metrics import Estimate, auc, resampled
from training.fit import FitConfig, FittedModel, fit_sample
from training.refits import RefitConfig
from training.run import train
from training.sample import Sample, stored_sample

if TYPE_CHECKING:
    from distributed import Client

pytestmark = pytest.mark.slow

CONFIG = FitConfig(model="lightgbm", learning_rate=0.1, lambda_l2=10.0, max_rounds=60, patience=10, folds=2, threads=1)


@pytest.fixture(scope="module", autouse=True)
def small_groups() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training.sample, "ROWS_AT_ONCE", 100)
        yield


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(SCHEDULER, raising=False)
        with cluster() as started:
            yield started


@pytest.fixture(scope="module")
def loans() -> Dataset:
    return dataset(1500, 500)


@pytest.fixture(scope="module")
def stored(loans: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return stored_sample(loans, tmp_path_factory.mktemp("rows") / "rows.parquet")


@pytest.fixture(scope="module")
def fitted(stored: Sample, client: Client) -> FittedModel:
    return fit_sample(stored, CONFIG, partial(boost_on, client))


@pytest.fixture(scope="module")
def alone(loans: Dataset) -> FittedModel:
    return fit_sample(Sample.of_dataset(loans), CONFIG)


@pytest.mark.soak
def test_both_workers_train_with_the_settings_of_one_machine(
    client: Client, fitted: FittedModel, alone: FittedModel
) -> None:
    assert len(client.ncores()) == 2
    assert fitted.recipe == alone.recipe
    assert fitted.recipe.rounds == fitted.booster.num_trees()
    ours, theirs = (set(each.booster.model_to_string().splitlines()) for each in (fitted, alone))
    named = {line.partition(":")[0].strip("[") for line in ours ^ theirs if line.startswith("[")}
    where = {"tree_learner", "num_machines", "machines", "local_listen_port"}
    assert named == {*where, "monotone_constraints_method"}
    assert {"[tree_learner: data]", "[monotone_constraints_method: basic]", "[num_machines: 2]"} <= ours
    assert not [line for line in ours if "127.0.0.1" in line or "listen_port" in line]


@pytest.mark.soak
def test_it_ranks_other_loans_as_well_as_one_machine(
    fitted: FittedModel, alone: FittedModel, stored: Sample, loans: Dataset
) -> None:
    """The difference, with its bootstrap interval on the same resamples, is within the noise of the figure itself."""
    unseen = dataset(3000, 1000, seed=2)
    bad = unseen.rows["bad"].to_numpy()
    (ours, drawn), (theirs, beside) = (
        resampled(bad, each.booster.predict(unseen.features.to_numpy()), 7, ("auc", "log_loss"))
        for each in (fitted, alone)
    )
    for name in ours:
        difference = Estimate.of(ours[name] - theirs[name], drawn[name] - beside[name])
        noise = Estimate.of(theirs[name], beside[name])
        half = (noise.high - noise.low) / 2
        assert max(abs(difference.low), abs(difference.high)) < half, (name, difference, noise)
    assert theirs["auc"] > 0.7
    margins = fitted.booster.predict(loans.features.to_numpy(), raw_score=True)
    assert np.isfinite(fitted.out_of_fold).all()
    assert auc(stored.bad == 1, fitted.out_of_fold) < auc(stored.bad == 1, margins) - 0.03


def test_signs_and_missing_values_hold_even_if_outcomes_contradict_them(
    client: Client, tmp_path: Path, loans: Dataset
) -> None:
    bad = opposed_outcomes(loans.features)
    turned = Dataset(loans.rows.assign(bad=bad), loans.features, loans.about, loans.labels, "", "", ())
    sample = stored_sample(turned, tmp_path / "rows.parquet")
    booster = sample.columns.merge(boost_on(client, sample, CONFIG, 40))
    assert_obeys(booster, SIGNS, loans.features.head(150))


def test_a_configured_cluster_is_used_and_keeps_running(
    client: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(SCHEDULER, client.scheduler.address)
    loans = dataset(300, 100)
    with open_engine(Engine.DASK, tmp_path) as dask:
        sample = dask.sample(loans)
        assert dask.boost(sample, CONFIG, 2).num_trees() == 2
    assert len(client.ncores()) == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.soak
def test_a_whole_run_on_a_cluster_ranks_as_one_from_memory(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SCHEDULER, client.scheduler.address)
    monkeypatch.setattr("training.run.STUDIES", {})
    monkeypatch.setattr(training.sample, "ROWS_AT_ONCE", 1_000)
    loans = dataset(8_000, 2_500)
    config = TrainConfig(features=FeatureConfig(tuple(INFORMATIVE)), fit=CONFIG, refits=RefitConfig(0))
    with open_engine(Engine.DASK, tmp_path) as dask:
        ours = train(loans, config, engine=dask)
    theirs = train(loans, config)
    assert ours.files != theirs.files, "workers find bins of their own"
    for name in ("auc", "brier"):
        assert theirs.figures[name].low < ours.figures[name].value < theirs.figures[name].high


def test_an_unreachable_scheduler_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training.engine_dask, "_TIMEOUT", 0.2)
    for address in ("tcp://127.0.0.1:9", "nowhere:at all"):
        monkeypatch.setenv(SCHEDULER, address)
        with (
            pytest.raises(ClusterError, match=f"^No Dask scheduler answers at {address}. Set {SCHEDULER}"),
            cluster(),
        ):
            pass


def test_workers_that_are_missing_or_cannot_open_the_rows_are_an_error(client: Client, tmp_path: Path) -> None:
    class Empty:
        def run(self, _: object) -> dict[str, bool]:
            return {}

    sample = stored_sample(dataset(300, 100), tmp_path / "rows.parquet")
    (tmp_path / "rows.parquet").unlink()
    with pytest.raises(ClusterError, match=r"^2 of 2 Dask workers cannot open .*rows.parquet. The first is tcp://"):
        boost_on(client, sample, CONFIG, 1)
    with pytest.raises(ClusterError, match=r"has no workers\. Start workers"):
        boost_on(Empty(), sample, CONFIG, 1)


def test_a_failed_worker_is_an_error(client: Client, stored: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(*_: object) -> None:
        raise LightGBMError("Socket recv error, Connection reset by peer (code: 104)\nand more")

    monkeypatch.setattr(DaskLGBMRegressor, "fit", lost)
    with pytest.raises(ClusterError, match=r"^A worker of the Dask cluster failed \(Socket .*104\)\)\. Check its log"):
        boost_on(client, stored, CONFIG, 1)


@pytest.mark.repeated
@settings(max_examples=repeat(8, 15), deadline=None)
@given(places=st.sets(st.integers(0, 1499), min_size=1), count=st.integers(1, 40))
def test_shares_have_every_row_once_and_in_order(stored: Sample, places: set[int], count: int) -> None:
    chosen = stored.take(np.array(sorted(places)))
    shares = list(training.engine_dask._shares(chosen.matrix, chosen.bad, count))
    assert 1 <= len(shares) <= count
    assert np.concatenate([share.matrix() for share in shares]).tobytes() == chosen.matrix[0 : len(places)].tobytes()
    assert np.concatenate([share.outcomes() for share in shares]).tolist() == chosen.bad.tolist()
    assert all(len(share.bad) == len(share.matrix()) for share in shares)

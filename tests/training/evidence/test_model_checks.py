"""Target leakage is found in every disguise, and every move against a declared sign is counted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.training.datasets import INFORMATIVE, NAMES, SIGNS, dataset
from tests.training.evidence.subjects import boosted, bundle, reviewed, subject, with_test
from training.evidence.model_checks import _probe_values, audit_signs, study_leaks, study_monotonicity
from training.evidence.study import Finding, ReviewedModel

pytestmark = pytest.mark.slow

DISGUISED = ["items_per_order_180d", "rating_90d", "payment_gap_180d", "weekend_share_180d", "refund_size_180d"]
EXAMINED = list(dict.fromkeys((*INFORMATIVE, *DISGUISED, "return_rate_90d", "visits_90d", "store_count")))
"""Each feature is a model of its own, so that all take seconds."""


@pytest.fixture(scope="module")
def honest() -> ReviewedModel:
    train = dataset(600, 300, seed=1)
    return reviewed(bundle(train, boosted(train, trees=5)), train, dataset(60, 30, seed=2))


def examined(model: ReviewedModel, most: int = 8_000) -> Finding:
    train = replace(model.train, features=model.train.features[EXAMINED])
    return study_leaks(replace(model, train=train), most)


def planted(honest: ReviewedModel, **columns: np.ndarray) -> Finding:
    """Examine the small model, retrained with some features replaced."""
    train = replace(honest.train, features=honest.train.features.assign(**columns))
    return examined(reviewed(bundle(train, boosted(train, trees=5)), train, honest.test))


def test_honest_features_raise_no_alarm(honest: ReviewedModel) -> None:
    finding = examined(honest)
    assert finding.alarms == ()
    assert 0.55 < finding.figures["best_alone_auc"] < 0.8
    names = finding.tables["Features alone"]["feature"].tolist()
    assert set(names) == set(EXAMINED)
    assert names[0] in finding.summary


def test_copies_of_the_label_are_named_in_every_disguise(honest: ReviewedModel) -> None:
    bad, rng = honest.train.rows["bad"].to_numpy(), np.random.default_rng(1)
    rows = len(bad)
    copies = (
        bad.astype(float),
        5.0 - bad + rng.normal(0, 0.1, rows),
        np.where(bad, np.nan, rng.normal(size=rows)),
        np.where(bad, rng.normal(0, 0.01, rows), rng.choice([-1.0, 1.0], rows)),
        np.where(rng.random(rows) < 0.4, bad, np.nan),
    )
    finding = planted(honest, **dict(zip(DISGUISED, copies, strict=True)))
    assert {alarm.split()[0] for alarm in finding.alarms} == set(DISGUISED)
    assert all("alone ranks outcomes with an AUC of" in alarm for alarm in finding.alarms)
    assert set(finding.tables["Features alone"]["feature"].head(5)) == set(DISGUISED)
    assert finding.figures["best_alone_auc"] > 0.99


def test_a_copy_among_honest_values_is_found_by_what_it_adds(honest: ReviewedModel) -> None:
    """The outcome for a part of the rows, the usual values for the others: alone it is not perfect anywhere."""
    bad, rng = honest.train.rows["bad"].to_numpy(), np.random.default_rng(1)
    values = np.where(rng.random(len(bad)) < 0.7, 3.0 * bad, rng.choice([0.0, 3.0], len(bad)))
    finding = planted(honest, return_rate_90d=values)
    assert finding.figures["best_alone_auc"] < 0.95
    (alarm,) = finding.alarms
    assert alarm.startswith("return_rate_90d alone adds 0.")


def test_a_plausible_feature_on_which_the_model_depends_is_noted(
    honest: ReviewedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.evidence.model_checks.TOO_MUCH", 0.05)
    bad, rng = honest.train.rows["bad"].to_numpy(), np.random.default_rng(1)
    finding = planted(honest, return_rate_90d=1.3 * bad + rng.normal(size=len(bad)))
    assert finding.alarms == ()
    assert any("which is plausible. The model depends mostly on it" in check.note for check in finding.checks)


def test_a_model_that_ranks_too_well_is_an_alarm_whatever_each_feature_tells(honest: ReviewedModel) -> None:
    """Blurred copies of the outcome are weak alone and perfect together."""
    knowing = np.where(honest.bad, 0.6, 0.4) + np.random.default_rng(1).normal(0, 0.03, len(honest.bad))
    finding = examined(replace(honest, probability=knowing))
    assert finding.figures["model_auc"] > 0.95
    (alarm,) = finding.alarms
    assert alarm.startswith("The model ranks the outcomes of the test rows with an AUC of ")
    assert all(f"{name} (0." in alarm for name in finding.tables["Features alone"]["feature"].head(3))
    assert f"The AUC of the model itself is {finding.figures['model_auc']:.3f}" in finding.summary


def test_many_rows_are_sampled_by_the_seed(honest: ReviewedModel) -> None:
    first, second = examined(honest, 300), examined(honest, 300)
    assert "of 300 training loans" in first.summary
    assert first.figures == second.figures


MOVES = 300
SIGNED = [name for name in NAMES if SIGNS[name]]


@pytest.fixture(scope="module")
def disobedient() -> ReviewedModel:
    """A model trained against the sign of one feature, which its rows give it good cause to use."""
    train = dataset(1_500, 500, seed=1)
    turned = train.features.assign(return_rate_90d=-3 * (train.rows["bad"] + 0.3 * train.features["return_rate_90d"]))
    train = replace(train, features=turned)
    return reviewed(bundle(train, boosted(train, {**SIGNS, "return_rate_90d": -1})), train, train)


def test_a_monotone_model_has_no_violation_in_moves_that_change_it() -> None:
    finding = study_monotonicity(subject(), MOVES)
    table = finding.tables["Moves by feature"].set_index("feature")
    assert table["sign"].to_dict() == {name: SIGNS[name] for name in SIGNED}
    assert (table["moves"] == MOVES).all()
    assert finding.figures["violations"] == finding.figures["largest_violation"] == 0.0
    assert finding.figures["moves"] == MOVES * len(SIGNED)
    assert finding.alarms == ()
    used = dict(zip(NAMES, subject().bundle.model.booster.feature_importance("split"), strict=True))
    assert set(table.index[table["felt"] > 0]) == {name for name in SIGNED if used[name]}


def test_a_broken_sign_is_found_with_every_move_that_was_felt(disobedient: ReviewedModel) -> None:
    finding = study_monotonicity(disobedient, MOVES)
    table = finding.tables["Moves by feature"].set_index("feature")
    broken = table.loc["return_rate_90d"]
    assert finding.figures["violations"] == broken["violations"] == broken["felt"] > MOVES / 10
    assert table.drop("return_rate_90d")["violations"].sum() == 0
    assert 0.05 < broken["largest_violation"] <= 1
    assert finding.figures["largest_violation"] == broken["largest_violation"]
    assert "breaks the declared sign of return_rate_90d." in finding.alarms[0]


def test_the_largest_violation_is_no_larger_than_any_move_can_be(disobedient: ReviewedModel) -> None:
    """With a brute force over all pairs of rows that differ in this feature alone."""
    rows = disobedient.test.features.to_numpy()[:40]
    found = {each.feature: each for each in audit_signs(disobedient.bundle, rows, 4_000, 1)}["return_rate_90d"]
    column = NAMES.index("return_rate_90d")
    known = rows[~np.isnan(rows[:, column])]
    values, beyond = known[:, column], 0.1 * np.ptp(known[:, column])
    moved = np.repeat(known[:, None], 401, axis=1)
    moved[:, 1:, column] = np.linspace(values.min() - beyond, values.max() + beyond, 400)
    margins = disobedient.bundle.model.booster.predict(moved.reshape(-1, len(NAMES)), raw_score=True)
    chance = (1 / (1 + np.exp(-margins))).reshape(len(known), 401)
    assert found.largest_violation == pytest.approx(np.abs(chance[:, 1:] - chance[:, :1]).max(), rel=0.05)


def test_a_feature_without_values_cannot_be_moved() -> None:
    model = with_test(subject(), return_rate_90d=np.nan)
    moves = study_monotonicity(model, 20).tables["Moves by feature"].set_index("feature")["moves"]
    assert moves.to_dict() == dict.fromkeys(SIGNED, 20) | {"return_rate_90d": 0}


def test_moves_are_those_of_the_seed() -> None:
    rows = subject().test.features.to_numpy()[:50]
    first, second, other = (list(audit_signs(subject().bundle, rows, 50, seed)) for seed in (1, 1, 2))
    assert first == second != other


def test_every_move_moves_also_where_all_rows_hold_one_value() -> None:
    rng = np.random.default_rng(1)
    for seen in (np.zeros(5), np.full(5, 3.0), np.array([0.0, 0.0, 0.0, 1.0])):
        start = rng.choice(seen, 2_000)
        moved = _probe_values(seen, start, rng)
        assert (moved != start).all()
        assert moved.min() < seen.min()
        assert moved.max() > seen.max()

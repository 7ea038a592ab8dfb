"""The audit finds what it must: nothing in a model that obeys, every crossing in one that does not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.training.datasets import NAMES, SIGNS, dataset
from tests.training.evidence.subjects import boosted, bundle, reviewed, subject, with_test
from training.evidence.model_checks import _probe_values, audit_signs, monotone
from training.evidence.study import ReviewedModel

MOVES = 300
SIGNED = [name for name in NAMES if SIGNS[name]]


@pytest.fixture(scope="module")
def disobedient() -> ReviewedModel:
    """A model trained against the sign of one feature, which its rows give it good cause to use."""
    train = dataset(1_500, 500, seed=1)
    turned = train.features.assign(return_rate_90d=-3 * (train.rows["bad"] + 0.3 * train.features["return_rate_90d"]))
    train = replace(train, features=turned)
    signs = {**SIGNS, "return_rate_90d": -1}
    return reviewed(bundle(train, boosted(train, signs)), train, train)


def test_a_model_that_obeys_has_no_violation_and_was_really_moved() -> None:
    finding = monotone(subject(), MOVES)
    table = finding.tables["Moves by feature"]
    assert table["feature"].tolist() == SIGNED
    assert table["sign"].tolist() == [SIGNS[name] for name in SIGNED]
    assert (table["moves"] == MOVES).all()
    assert finding.figures["violations"] == finding.figures["largest_violation"] == 0.0
    assert finding.figures["moves"] == MOVES * len(SIGNED)
    assert finding.alarms == ()
    used = dict(zip(NAMES, subject().bundle.model.booster.feature_importance("split"), strict=True))
    assert {name for name, felt in zip(table["feature"], table["felt"], strict=True) if felt} == {
        name for name in SIGNED if used[name]
    }


def test_a_broken_sign_is_found_with_every_move_that_was_felt(disobedient: ReviewedModel) -> None:
    finding = monotone(disobedient, MOVES)
    table = finding.tables["Moves by feature"].set_index("feature")
    broken = table.loc["return_rate_90d"]
    assert broken["violations"] == broken["felt"] > MOVES / 10
    assert finding.figures["violations"] == broken["violations"]
    assert table.drop("return_rate_90d")["violations"].sum() == 0
    assert 0.05 < broken["largest_violation"] <= 1
    assert finding.figures["largest_violation"] == broken["largest_violation"]
    assert "breaks the declared sign of return_rate_90d;" in finding.alarms[0]


def test_the_largest_violation_is_no_larger_than_any_move_can_be(disobedient: ReviewedModel) -> None:
    """With a brute force over all pairs of rows that differ in this feature alone."""
    rows = disobedient.test.features.to_numpy()[:40]
    found = {each.feature: each for each in audit_signs(disobedient.bundle, rows, 4_000, 1)}["return_rate_90d"]
    column = NAMES.index("return_rate_90d")
    values = rows[~np.isnan(rows[:, column]), column]
    span = np.linspace(values.min() - 0.1 * np.ptp(values), values.max() + 0.1 * np.ptp(values), 400)
    reached = []
    for row in rows[~np.isnan(rows[:, column])]:
        moved = np.tile(row, (len(span) + 1, 1))
        moved[1:, column] = span
        chance = 1 / (1 + np.exp(-disobedient.bundle.model.booster.predict(moved, raw_score=True)))
        reached.append(np.abs(chance[1:] - chance[0]).max())
    assert found.largest == pytest.approx(max(reached), rel=0.05)


def test_a_feature_that_nobody_knows_cannot_be_moved() -> None:
    found = with_test(subject(), return_rate_90d=np.nan)
    table = monotone(found, MOVES).tables["Moves by feature"].set_index("feature")
    assert table.loc["return_rate_90d", "moves"] == 0
    assert table.drop("return_rate_90d")["moves"].eq(MOVES).all()


def test_moves_are_those_of_the_seed() -> None:
    rows = subject().test.features.to_numpy()
    first, again, other = (list(audit_signs(subject().bundle, rows, 50, seed)) for seed in (1, 1, 2))
    assert first == again != other


def test_every_move_moves_also_where_all_rows_hold_one_value() -> None:
    rng = np.random.default_rng(1)
    for seen in (np.zeros(5), np.full(5, 3.0), np.array([0.0, 0.0, 0.0, 1.0])):
        start = rng.choice(seen, 2_000)
        moved = _probe_values(seen, start, rng)
        assert (moved != start).all()
        assert moved.min() < seen.min()
        assert moved.max() > seen.max()

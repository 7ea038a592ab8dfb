"""Test predictions: what they hold, and keys by which the same loan is found in the table of another run."""

from __future__ import annotations

import numpy as np
import pandas as pd

from scoring import assess
from tests.training.datasets import COVERED, OBSERVED, dataset
from tests.training.evidence.subjects import subject
from training.dataset import to_vectors
from training.predictions import COLUMNS, loan_keys, predict, shared_loans
from training.predictions import test_predictions as of_subject


def test_predictions_are_those_of_the_service_and_hold_no_seller() -> None:
    found = predict(subject().bundle, subject().test)
    rows = subject().test
    indexed = rows.features.set_index(pd.MultiIndex.from_frame(rows.rows[["seller_id", "as_of"]]))
    answers = assess(subject().bundle, to_vectors(indexed, dict.fromkeys(COVERED, OBSERVED)))
    assert tuple(found.columns) == COLUMNS
    assert found["score"].tolist() == [each.score for each in answers]
    assert found["band"].tolist() == [each.band for each in answers]
    np.testing.assert_allclose(found["probability"], [each.probability_of_default for each in answers], atol=1e-6)
    assert found["bad"].tolist() == rows.rows["bad"].tolist()
    assert not found.astype(str).apply(lambda column: column.str.contains("S-0")).any(axis=None)


def test_those_of_a_run_are_what_it_measured_with_the_benchmark() -> None:
    found = of_subject(subject())
    np.testing.assert_array_equal(found["probability"], subject().probability)
    np.testing.assert_array_equal(found["scorecard"], subject().scorecard)
    np.testing.assert_array_equal(found["score"], subject().score)


def named(rows: pd.DataFrame) -> set[tuple[object, ...]]:
    return set(zip(rows["seller_id"], rows["as_of"], rows["bad"], loan_keys(rows), strict=True))


def test_a_loan_has_one_key_in_any_order_of_rows() -> None:
    rows = dataset(300, 20, days=40).rows
    keys = loan_keys(rows)
    assert keys.is_unique
    assert rows.duplicated(["seller_id", "as_of"]).any()
    mixed = rows.sample(frac=1.0, random_state=1)
    assert named(mixed) == named(rows)
    as_text = rows.assign(as_of=rows["as_of"].dt.strftime("%Y-%m-%d"))
    assert loan_keys(as_text).tolist() == keys.tolist()
    alone = loan_keys(rows.head(1))
    assert loan_keys(rows.head(1).assign(as_of=rows["as_of"].iloc[0] + pd.Timedelta(days=1))).iloc[0] != alone.iloc[0]


def test_shared_loans_are_in_one_order() -> None:
    whole = predict(subject().bundle, subject().test)
    ours, theirs = whole.iloc[:500], whole.iloc[300:].sample(frac=1.0, random_state=2)
    one, other = shared_loans(ours, theirs)
    assert len(one) == 200
    pd.testing.assert_frame_equal(one, other[one.columns])

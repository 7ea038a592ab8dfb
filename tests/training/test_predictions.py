"""Test predictions: their content, and the keys that identify a loan in the tables of all runs."""

from __future__ import annotations

import numpy as np
import pandas as pd

from scoring import assess
from tests.training.datasets import COVERED, OBSERVED, dataset
from tests.training.evidence.subjects import subject
from training.dataset import to_vectors
from training.predictions import COLUMNS, loan_keys, predict, shared_loans
from training.predictions import test_predictions as predictions_of


def test_predictions_equal_assessments_and_contain_no_seller_id() -> None:
    found = predict(subject().bundle, subject().test)
    rows = subject().test
    indexed = rows.features.set_index(pd.MultiIndex.from_frame(rows.rows[["seller_id", "as_of"]]))
    assessments = assess(subject().bundle, to_vectors(indexed, dict.fromkeys(COVERED, OBSERVED)))
    assert tuple(found.columns) == COLUMNS
    assert found["score"].tolist() == [each.score for each in assessments]
    assert found["band"].tolist() == [each.band for each in assessments]
    np.testing.assert_allclose(found["probability"], [each.probability_of_default for each in assessments], atol=1e-6)
    assert found["bad"].tolist() == rows.rows["bad"].tolist()
    assert not found.astype(str).apply(lambda column: column.str.contains("S-0")).any(axis=None)


def test_predictions_of_a_run_include_the_benchmark() -> None:
    found = predictions_of(subject())
    np.testing.assert_array_equal(found["probability"], subject().probability)
    np.testing.assert_array_equal(found["scorecard"], subject().scorecard)
    np.testing.assert_array_equal(found["score"], subject().score)


def keyed_rows(rows: pd.DataFrame) -> set[tuple[object, ...]]:
    return set(zip(rows["seller_id"], rows["as_of"], rows["bad"], loan_keys(rows), strict=True))


def test_keys_do_not_depend_on_the_order_of_rows() -> None:
    rows = dataset(300, 20, days=40).rows
    keys = loan_keys(rows)
    assert keys.is_unique
    assert rows.duplicated(["seller_id", "as_of"]).any()
    mixed = rows.sample(frac=1.0, random_state=1)
    assert keyed_rows(mixed) == keyed_rows(rows)
    as_text = rows.assign(as_of=rows["as_of"].dt.strftime("%Y-%m-%d"))
    assert loan_keys(as_text).tolist() == keys.tolist()
    alone = loan_keys(rows.head(1))
    assert loan_keys(rows.head(1).assign(as_of=rows["as_of"].iloc[0] + pd.Timedelta(days=1))).iloc[0] != alone.iloc[0]


def test_shared_loans_are_in_the_same_order() -> None:
    whole = predict(subject().bundle, subject().test)
    ours, theirs = whole.iloc[:500], whole.iloc[300:].sample(frac=1.0, random_state=2)
    one, other = shared_loans(ours, theirs)
    assert len(one) == 200
    pd.testing.assert_frame_equal(one, other[one.columns])

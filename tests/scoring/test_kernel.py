"""Contribution tables: rejected models, checks against LightGBM, and models that LightGBM explains instead."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import lightgbm
import numpy as np
import pytest

from scoring import (
    Bundle,
    BundleError,
    ExplanationError,
    FeatureSheetError,
    TableTooLargeError,
    TreeError,
    VectorError,
    assess,
    pack,
)
from scoring.explain import contributions, verify_tables
from scoring.kernel.compiled import change_margins, explain_rows
from scoring.kernel.groups import MAX_MIB, plan
from scoring.kernel.tables import Tables, leaf_table
from scoring.kernel.trees import read_trees
from scoring.model import Model, choose_explainer
from tests.scoring import build, forests
from tests.scoring.forests import Forest

ROOT = Path(__file__).parents[2]
MODEL = Model.from_text(build.booster(build.Recipe()).model_to_string())
ROWS = build.rows(build.Recipe(), 400, seed=5)


def altered(model: Model, **parts: np.ndarray) -> Model:
    for part in parts.values():
        if isinstance(part, np.ndarray):
            part.flags.writeable = False  # otherwise numba would compile again for the other type
    return replace(model, tables=tables_of(model)._replace(**parts))


def tables_of(model: Model) -> Tables:
    assert model.tables is not None
    return model.tables


def numbers(line: str, change: Callable[[list[str]], object], text: str = MODEL.text) -> str:
    """Return the model text with the numbers of the last line of this name changed."""
    match = list(re.finditer(rf"^{line}=(.*)$", text, re.MULTILINE))[-1]
    entries = match[1].split()
    change(entries)
    return text[: match.start(1)] + " ".join(entries) + text[match.end(1) :]


LEAVES = int(re.findall(r"^num_leaves=(\d+)$", MODEL.text, re.MULTILINE)[-1])
"""Number of leaves of the tree that `numbers` changes."""


def put(index: int, entry: str) -> Callable[[list[str]], object]:
    return lambda entries: entries.__setitem__(index, entry)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (numbers("leaf_value", put(0, "nan")), "value of a leaf is not a finite number"),
        (numbers("leaf_value", put(0, "inf")), "value of a leaf is not a finite number"),
        (numbers("leaf_value", put(0, "x")), "could not convert"),
        (numbers("leaf_value", list.pop), f"of {LEAVES} leaves it has {LEAVES - 1} values and {LEAVES} counts"),
        (numbers("leaf_count", list.pop), f"{LEAVES} values and {LEAVES - 1} counts"),
        (numbers("leaf_count", put(0, "1000000")), "training rows"),
        (numbers("leaf_count", put(0, "-1")), "training rows"),
        (numbers("internal_count", put(0, "399")), "of 399 training rows"),
        (numbers("internal_count", put(-1, "0")), "training rows"),
        (numbers("split_feature", put(0, "4")), "splits on feature 4, but the last feature is 3"),
        (numbers("split_feature", put(0, "-1")), "splits on feature -1"),
        (numbers("split_feature", list.pop), "its splits have lines of different length"),
        (numbers("threshold", put(0, "nan")), "splits at nan"),
        (numbers("threshold", put(0, "-inf")), "splits at -inf"),
        (numbers("decision_type", put(0, "12")), "decision type 12"),
        (numbers("decision_type", put(0, "-4")), "decision type -4"),
        (numbers("decision_type", put(0, "1")), "range"),
        (numbers("left_child", put(0, "0")), "exactly one parent"),
        (numbers("left_child", put(0, "99")), "exactly one parent"),
        (numbers("num_leaves", put(0, "9")), f"of 9 leaves it has {LEAVES} values"),
        (numbers("num_leaves", put(0, "1")), f"of 1 leaves it has {LEAVES} values"),
        (numbers("max_feature_idx", put(0, "1")), "the last feature is 1"),
        (numbers("is_linear", put(0, "1")), "linear models"),
        (numbers("num_tree_per_iteration", put(0, "2")), "num_tree_per_iteration=2"),
        (MODEL.text.replace("\nlabel_index", "\naverage_output\nlabel_index"), "average_output=1"),
        (MODEL.text.replace("leaf_value=", "leaf_values="), "the line 'leaf_value' is absent"),
        (MODEL.text.replace("internal_count=", "count="), "the line 'internal_count' is absent"),
        (MODEL.text.partition("\nTree=0")[0], "0 trees"),
        (MODEL.text.replace("max_feature_idx", "feature_idx"), "not a sum"),
        ("", "0 trees"),
    ],
)
def test_altered_or_unsupported_trees_are_rejected(text: str, sentence: str) -> None:
    with pytest.raises(TreeError, match=re.escape(sentence)):
        Model.from_text(text)
    with pytest.raises(TreeError):
        choose_explainer(text)
    with pytest.raises(TreeError):
        pack(replace(build.parts(), model_text=text))


def test_a_cycle_of_splits_is_rejected_before_lightgbm_follows_it() -> None:
    chain = "left_child=-1 -2\nright_child=1 -3"
    text = (
        "tree\nmax_feature_idx=0\n\nTree=0\nnum_leaves=3\nnum_cat=0\nsplit_feature=0 0\nthreshold=0 1\n"
        f"decision_type=2 2\n{chain}\nleaf_value=1 2 3\nleaf_count=1 1 0\ninternal_count=2 1\n\nend of trees\n"
    )
    assert len(read_trees(text)[0].splits) == 2
    with pytest.raises(TreeError, match="its own ancestor"):
        # no training row leaves the cycle, so the counts are consistent
        read_trees(text.replace(chain, "left_child=-1 1\nright_child=-2 -3"))


def test_a_table_with_nan_gives_no_score() -> None:
    wrong = altered(MODEL, table=np.full_like(tables_of(MODEL).table, np.nan))
    for rows in (ROWS[:1], ROWS):
        with pytest.raises(ExplanationError, match="not a finite number"):
            contributions(wrong, rows)


def test_an_altered_table_gives_no_score_to_the_affected_rows() -> None:
    originals = [contributions(MODEL, ROWS[[row]]).values.tobytes() for row in range(50)]
    affected = 0
    for index in range(0, len(tables_of(MODEL).table), 7):
        table = tables_of(MODEL).table.copy()
        table[index] += 1e-5
        wrong = altered(MODEL, table=table)
        for row, expected in enumerate(originals):
            try:
                values = contributions(wrong, ROWS[[row]]).values
            except ExplanationError as error:
                assert "differ from the model's margin by 1e-05" in str(error)  # noqa: PT017 - other rows pass
                affected += 1
            else:
                assert values.tobytes() == expected
    assert affected > len(originals)


@pytest.mark.parametrize(
    "change",
    [
        lambda tables: {"high": tables.high + 0.5},
        lambda tables: {"low": np.where(tables.low > -1e300, tables.low - 0.5, tables.low)},
        lambda tables: {"fill": np.full_like(tables.fill, -1.0)},
        lambda tables: {"missing": np.zeros_like(tables.missing)},
        lambda tables: {"slots": tables.slots[::-1].copy()},
        lambda tables: {"base": tables.base + 1e-5},
    ],
)
def test_tables_that_differ_from_lightgbm_are_rejected(change: Callable) -> None:
    """Their sums may be consistent, so they are compared with LightGBM."""
    wrong = altered(MODEL, **change(tables_of(MODEL)))
    with pytest.raises((TreeError, ExplanationError)):
        verify_tables(wrong)
    verify_tables(MODEL)


def test_a_bundle_verifies_its_tables_when_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    files = pack(build.parts())
    wrong = build.booster(build.Recipe(seed=2))
    monkeypatch.setattr(lightgbm, "Booster", lambda **_: wrong)
    with pytest.raises(TreeError, match="differ from LightGBM"):
        Bundle.from_files(files)


@lru_cache(maxsize=1)
def _deep() -> str:
    """Return a valid model whose tables would be too large."""
    forest = Forest(3, features=24, trees=3, depth=14)
    assert len(read_trees(forests.text(forest))) == 3
    return forests.text(forest)


def test_for_too_large_tables_lightgbm_explains_instead() -> None:
    with pytest.raises(TableTooLargeError, match=f"more than {MAX_MIB} MiB"):
        Model.from_text(_deep())
    assert choose_explainer(_deep()) == "pred_contrib"
    deep = Model.from_text(_deep(), "pred_contrib")
    assert deep.tables is None
    rows = forests.rows(Forest(3, features=24), 3, seed=1)
    expected = np.asarray(deep.booster.predict(rows, pred_contrib=True))
    assert contributions(deep, rows).values.tobytes() == np.ascontiguousarray(expected[:, :-1]).tobytes()


def test_a_tree_too_deep_to_traverse_is_rejected() -> None:
    leaves = 3_000
    inner = range(leaves - 1)
    constant = {"split_feature": 0, "decision_type": 2}
    lines: dict[str, list[object]] = {name: [value] * (leaves - 1) for name, value in constant.items()}
    lines |= {"num_leaves": [leaves], "num_cat": [0], "leaf_value": [0.5] * leaves, "leaf_count": [1] * leaves}
    lines |= {"threshold": [float(node) for node in inner], "left_child": [~node for node in inner]}
    lines |= {"right_child": [*inner[1:], ~(leaves - 1)], "internal_count": [leaves - node for node in inner]}
    block = "\n".join(f"{name}={' '.join(map(str, entries))}" for name, entries in lines.items())
    with pytest.raises(TableTooLargeError, match="hundreds of splits deep"):
        plan(read_trees(f"tree\nmax_feature_idx=0\n\nTree=0\n{block}\n\nend of trees\n"))


def test_a_bundle_states_how_it_is_explained() -> None:
    parts = build.parts()
    for explained_by in ("tables", "pred_contrib"):
        bundle = Bundle.from_files(pack(replace(parts, reference=replace(parts.reference, explained_by=explained_by))))
        assert bundle.reference.explained_by == explained_by
        assert (bundle.model.tables is not None) == (explained_by == "tables")
    with pytest.raises(BundleError, match="explained by 'guess'; allowed are: tables, pred_contrib"):
        pack(replace(parts, reference=replace(parts.reference, explained_by="guess")))  # type: ignore[arg-type]
    with pytest.raises(TableTooLargeError):
        pack(replace(parts, model_text=_deep()))


def test_tables_and_lightgbm_give_the_same_points() -> None:
    parts, vectors = build.parts(), build.vectors(ROWS)
    reference = replace(parts.reference, explained_by="pred_contrib")
    by_lightgbm = assess(Bundle.from_files(pack(replace(parts, reference=reference))), vectors)
    for actual, expected in zip(assess(build.bundle(), vectors), by_lightgbm, strict=True):
        assert actual.explanation == expected.explanation
        assert actual.probability_of_default == expected.probability_of_default


def test_a_model_without_a_feature_of_the_sheet_is_rejected() -> None:
    with pytest.raises(FeatureSheetError, match="only in one of them: visits"):
        pack(replace(build.parts(), model_text=build.booster(build.Recipe(features=3)).model_to_string()))


def test_rows_need_all_columns_and_no_rows_give_the_base_only() -> None:
    for columns in (0, 3, 5):
        with pytest.raises(VectorError, match=f"has {columns} values; the model needs 4"):
            contributions(MODEL, np.zeros((2, columns)))
    explained = contributions(MODEL, np.empty((0, 4)))
    assert explained.values.shape == (0, 4)
    assert explained.base == contributions(MODEL, ROWS).base


def test_many_threads_get_equal_results() -> None:
    expected = contributions(MODEL, ROWS).values.tobytes()
    with ThreadPoolExecutor(8) as pool:
        results = pool.map(lambda _: contributions(MODEL, ROWS, threads=2).values.tobytes(), range(40))
    assert set(results) == {expected}


def test_worked_numbers_of_two_features_on_one_path() -> None:
    """A leaf of value 1 has two splits, met by half and by a quarter of the rows; the row meets the first only."""
    table = leaf_table(np.array([[0.5, 0.25]]), np.array([1.0]))[0]
    # the first feature adds 0.25 - 0.125 if it comes first and 0 if it comes second; the mean is half of that
    assert table[0b01].tolist() == [0.0625, -0.1875, 0.0]
    assert table[0b11].sum() - 1.0 == 1.0 - 0.125
    for pattern, line in enumerate(table[:, :2].sum(axis=1)):
        assert line == (pattern == 0b11) - 0.125


def test_leaves_share_tables_that_are_read_only() -> None:
    trees = read_trees(forests.text(Forest(5, features=9, trees=20, depth=4)))
    groups = plan(trees).groups
    leaves = sum(len(tree.values) for tree in trees)
    assert len(groups) < leaves / 3
    assert not any(array.flags.writeable for array in tables_of(MODEL)[1:])
    separate_size = sum((len(leaf.shares) + 1) << len(leaf.shares) for group in groups for leaf in group.leaves)
    assert sum(group.table_size for group in groups) < separate_size


def test_reading_a_bundle_compiles_all_that_requests_need() -> None:
    bundle = build.bundle()
    compiled = explain_rows.signatures, change_margins.signatures
    vectors = build.vectors(build.rows(build.Recipe(), 20, seed=1))
    assess(bundle, vectors[:1])
    assess(bundle, vectors)
    assert (explain_rows.signatures, change_margins.signatures) == compiled
    assert all(compiled)


@pytest.mark.soak
@pytest.mark.parametrize("is_kept", [True, False])
def test_a_new_process_compiles_before_the_first_request(is_kept: bool) -> None:
    """A service reads its bundle before it reports that it is ready, also where compiled code cannot be kept."""
    code = """
import sys
from tests.scoring import build
assert "numba" not in sys.modules
if len(sys.argv) > 1:
    import numba
    njit = numba.njit
    def without_cache(*functions, cache=False, **options):
        if cache:
            raise RuntimeError("cannot cache function")
        return njit(*functions, **options)
    numba.njit = without_cache
bundle = build.bundle()
from scoring import assess
from scoring.kernel import compiled
ready = compiled.explain_rows.signatures, compiled.change_margins.signatures
assert list(map(len, ready)) == [1, 1]
vectors = build.vectors(build.rows(build.Recipe(), 20, seed=1))
assess(bundle, vectors[:1]), assess(bundle, vectors)
assert (compiled.explain_rows.signatures, compiled.change_margins.signatures) == ready
"""
    command = [sys.executable, "-c", code, *([] if is_kept else ["nowhere"])]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr

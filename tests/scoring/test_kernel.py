"""What the tables refuse, what they are held to, and when LightGBM explains instead."""

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
    FeaturesError,
    TableTooLargeError,
    TreeError,
    VectorError,
    assess,
    pack,
)
from scoring.explain import contributions, prove
from scoring.kernel.compiled import row_by_row
from scoring.kernel.groups import MOST_MIB, plan
from scoring.kernel.tables import Tables, leaf_table
from scoring.kernel.trees import read_trees
from scoring.model import Model, how_to_explain
from tests.scoring import build, forests
from tests.scoring.forests import Forest

ROOT = Path(__file__).parents[2]
MODEL = Model.from_text(build.booster(build.Recipe()).model_to_string())
ROWS = build.rows(build.Recipe(), 400, seed=5)


def altered(model: Model, **parts: np.ndarray) -> Model:
    for part in parts.values():
        if isinstance(part, np.ndarray):
            part.flags.writeable = False  # or the compiler would begin anew
    return replace(model, tables=tables_of(model)._replace(**parts))


def tables_of(model: Model) -> Tables:
    assert model.tables is not None
    return model.tables


def numbers(line: str, change: Callable[[list[str]], object], text: str = MODEL.text) -> str:
    """The model text with the numbers of the last such line changed."""
    found = list(re.finditer(rf"^{line}=(.*)$", text, re.MULTILINE))[-1]
    entries = found[1].split()
    change(entries)
    return text[: found.start(1)] + " ".join(entries) + text[found.end(1) :]


LEAVES = int(re.findall(r"^num_leaves=(\d+)$", MODEL.text, re.MULTILINE)[-1])
"""Of the tree that `numbers` changes."""


def put(place: int, entry: str) -> Callable[[list[str]], object]:
    return lambda entries: entries.__setitem__(place, entry)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (numbers("leaf_value", put(0, "nan")), "value of a leaf is no finite number"),
        (numbers("leaf_value", put(0, "inf")), "value of a leaf is no finite number"),
        (numbers("leaf_value", put(0, "x")), "could not convert"),
        (numbers("leaf_value", list.pop), f"of {LEAVES} leaves it has {LEAVES - 1} values and {LEAVES} counts"),
        (numbers("leaf_count", list.pop), f"{LEAVES} values and {LEAVES - 1} counts"),
        (numbers("leaf_count", put(0, "1000000")), "training rows"),
        (numbers("leaf_count", put(0, "-1")), "training rows"),
        (numbers("internal_count", put(0, "399")), "of 399 training rows"),
        (numbers("internal_count", put(-1, "0")), "training rows"),
        (numbers("split_feature", put(0, "4")), "splits on feature 4, and the last one is 3"),
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
        (numbers("max_feature_idx", put(0, "1")), "the last one is 1"),
        (numbers("is_linear", put(0, "1")), "linear models"),
        (numbers("num_tree_per_iteration", put(0, "2")), "num_tree_per_iteration=2"),
        (MODEL.text.replace("\nlabel_index", "\naverage_output\nlabel_index"), "average_output=1"),
        (MODEL.text.replace("leaf_value=", "leaf_values="), "has no line 'leaf_value'"),
        (MODEL.text.replace("internal_count=", "count="), "has no line 'internal_count'"),
        (MODEL.text.partition("\nTree=0")[0], "0 trees"),
        (MODEL.text.replace("max_feature_idx", "feature_idx"), "not a sum"),
        ("", "0 trees"),
    ],
)
def test_trees_that_were_altered_or_are_no_sum_have_no_explanation(text: str, sentence: str) -> None:
    with pytest.raises(TreeError, match=re.escape(sentence)):
        Model.from_text(text)
    with pytest.raises(TreeError):
        how_to_explain(text)
    with pytest.raises(TreeError):
        pack(replace(build.parts(), model_text=text))


def test_a_circle_of_splits_is_found_before_lightgbm_walks_it() -> None:
    chain = "left_child=-1 -2\nright_child=1 -3"
    text = (
        "tree\nmax_feature_idx=0\n\nTree=0\nnum_leaves=3\nnum_cat=0\nsplit_feature=0 0\nthreshold=0 1\n"
        f"decision_type=2 2\n{chain}\nleaf_value=1 2 3\nleaf_count=1 1 0\ninternal_count=2 1\n\nend of trees\n"
    )
    assert len(read_trees(text)[0].splits) == 2
    with pytest.raises(TreeError, match="its own ancestor"):
        # no training row leaves the circle, so that the counts are right
        read_trees(text.replace(chain, "left_child=-1 1\nright_child=-2 -3"))


def test_a_table_with_a_hole_gives_no_score() -> None:
    holed = np.full_like(tables_of(MODEL).table, np.nan)
    for rows in (ROWS[:1], ROWS):
        with pytest.raises(ExplanationError, match="not a finite number"):
            contributions(altered(MODEL, table=holed), rows)


def test_a_table_altered_anywhere_gives_no_score_to_the_rows_that_it_touches() -> None:
    honest = [contributions(MODEL, ROWS[[row]]).values.tobytes() for row in range(50)]
    touched = 0
    for place in range(0, len(tables_of(MODEL).table), 7):
        table = tables_of(MODEL).table.copy()
        table[place] += 1e-5
        wrong = altered(MODEL, table=table)
        for row, expected in enumerate(honest):
            try:
                found = contributions(wrong, ROWS[[row]]).values
            except ExplanationError as error:
                assert "miss the model's margin by 1e-05" in str(error)  # noqa: PT017 - other rows pass
                touched += 1
            else:
                assert found.tobytes() == expected
    assert touched > len(honest)


def test_tables_may_not_be_written_to() -> None:
    for array in tables_of(MODEL)[1:]:
        assert not array.flags.writeable


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
def test_tables_that_take_rows_otherwise_than_lightgbm_are_not_taken_into_use(change: Callable) -> None:
    """Their sums may be right, so only LightGBM's own answers can tell."""
    wrong = altered(MODEL, **change(tables_of(MODEL)))
    with pytest.raises((TreeError, ExplanationError)):
        prove(wrong)
    prove(MODEL)


def test_a_bundle_proves_its_model_when_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    files = pack(build.parts())
    wrong = build.booster(build.Recipe(seed=2))
    monkeypatch.setattr(lightgbm, "Booster", lambda **_: wrong)
    with pytest.raises(TreeError, match="miss what LightGBM says"):
        Bundle.from_files(files)


@lru_cache(maxsize=1)
def _deep() -> str:
    """A model on which LightGBM agrees, whose tables would be as large as they are useless."""
    forest = Forest(3, features=24, trees=3, depth=14)
    assert len(read_trees(forests.text(forest))) == 3
    return forests.text(forest)


def test_tables_too_large_are_refused_and_lightgbm_explains_instead() -> None:
    with pytest.raises(TableTooLargeError, match=f"more than {MOST_MIB} MiB"):
        Model.from_text(_deep())
    assert how_to_explain(_deep()) == "pred_contrib"
    deep = Model.from_text(_deep(), "pred_contrib")
    assert deep.tables is None
    rows = forests.rows(Forest(3, features=24), 3, seed=1)
    theirs = np.asarray(deep.booster.predict(rows, pred_contrib=True))
    assert contributions(deep, rows).values.tobytes() == np.ascontiguousarray(theirs[:, :-1]).tobytes()


def test_a_chain_too_long_to_walk_is_too_large() -> None:
    leaves = 3_000
    inner = range(leaves - 1)
    lines = {
        "num_leaves": [leaves],
        "num_cat": [0],
        "split_feature": [0] * (leaves - 1),
        "threshold": [float(place) for place in inner],
        "decision_type": [2] * (leaves - 1),
        "left_child": [~place for place in inner],
        "right_child": [*range(1, leaves - 1), ~(leaves - 1)],
        "leaf_value": [0.5] * leaves,
        "leaf_count": [1] * leaves,
        "internal_count": [leaves - place for place in inner],
    }
    block = "\n".join(f"{name}={' '.join(map(str, entries))}" for name, entries in lines.items())
    with pytest.raises(TableTooLargeError, match="hundreds of splits deep"):
        plan(read_trees(f"tree\nmax_feature_idx=0\n\nTree=0\n{block}\n\nend of trees\n"))


def test_a_bundle_says_how_it_is_explained_and_is_held_to_it() -> None:
    parts = build.parts()
    for way in ("tables", "pred_contrib"):
        bundle = Bundle.from_files(pack(replace(parts, reference=replace(parts.reference, explained_by=way))))
        assert bundle.reference.explained_by == way
        assert (bundle.model.tables is not None) == (way == "tables")
    with pytest.raises(BundleError, match="explained by 'guess'; allowed are: tables, pred_contrib"):
        pack(replace(parts, reference=replace(parts.reference, explained_by="guess")))  # type: ignore[arg-type]
    with pytest.raises(TableTooLargeError):
        pack(replace(parts, model_text=_deep()))


def test_both_ways_give_the_same_points() -> None:
    parts = build.parts()
    by_lightgbm = Bundle.from_files(
        pack(replace(parts, reference=replace(parts.reference, explained_by="pred_contrib")))
    )
    for ours, theirs in zip(
        assess(build.bundle(), build.vectors(ROWS)), assess(by_lightgbm, build.vectors(ROWS)), strict=True
    ):
        assert ours.explanation == theirs.explanation
        assert ours.probability_of_default == theirs.probability_of_default


def test_a_model_without_a_feature_of_the_sheet_gives_no_score() -> None:
    with pytest.raises(FeaturesError, match="only in one of them: visits"):
        pack(replace(build.parts(), model_text=build.booster(build.Recipe(features=3)).model_to_string()))


@pytest.mark.parametrize("columns", [0, 3, 5])
def test_rows_of_other_features_are_refused_before_memory_is_read_that_is_not_theirs(columns: int) -> None:
    with pytest.raises(VectorError, match=f"has {columns} values; the model needs 4"):
        contributions(MODEL, np.zeros((2, columns)))


def test_no_rows_have_no_contributions_but_the_base() -> None:
    none = contributions(MODEL, np.empty((0, 4)))
    assert none.values.shape == (0, 4)
    assert none.base == contributions(MODEL, ROWS).base


def test_many_threads_may_ask_at_once() -> None:
    expected = contributions(MODEL, ROWS).values.tobytes()
    with ThreadPoolExecutor(8) as pool:
        found = pool.map(lambda _: contributions(MODEL, ROWS, threads=2).values.tobytes(), range(40))
    assert set(found) == {expected}


def test_worked_numbers_of_two_features_on_one_path() -> None:
    """A leaf of 1 behind two splits that half and a quarter of the rows pass; the row passes the first alone."""
    table = leaf_table(np.array([[0.5, 0.25]]), np.array([1.0]))[0]
    # alone the first brings 0.25 - 0.125, after the second (which takes all) nothing; the mean is half of it
    assert table[0b01].tolist() == [0.0625, -0.1875, 0.0]
    assert table[0b11].sum() - 1.0 == 1.0 - 0.125
    for pattern, line in enumerate(table[:, :2].sum(axis=1)):
        assert line == (pattern == 0b11) - 0.125


def test_four_leaves_share_one_table_and_siblings_share_for_nothing() -> None:
    trees = read_trees(forests.text(Forest(5, features=9, trees=20, depth=4)))
    grouped = plan(trees).groups
    leaves = sum(len(tree.values) for tree in trees)
    assert len(grouped) < leaves / 3
    alone = sum((len(leaf.shares) + 1) << len(leaf.shares) for group in grouped for leaf in group.leaves)
    assert sum(group.room for group in grouped) < alone


def compiled_files() -> set[Path]:
    """Return what Numba's cache would have left beside the code."""
    return {path for path in (ROOT / "scoring").rglob("*") if path.suffix in {".nbi", ".nbc"}}


def test_no_request_waits_for_the_compiler_once_a_bundle_was_read() -> None:
    bundle = build.bundle()
    ready = row_by_row.signatures
    vectors = build.vectors(build.rows(build.Recipe(), 20, seed=1))
    assess(bundle, vectors[:1])
    assess(bundle, vectors)
    assert row_by_row.signatures == ready != []
    assert compiled_files() == set()


@pytest.mark.soak
def test_no_request_of_a_process_waits_for_the_compiler_and_nothing_is_written() -> None:
    """A service reads its bundle before it says that it is ready."""
    code = """
import sys
from tests.scoring import build
assert "numba" not in sys.modules
bundle = build.bundle()
from scoring import assess
from scoring.kernel import compiled
ready = compiled.row_by_row.signatures
assert len(ready) == 1
vectors = build.vectors(build.rows(build.Recipe(), 20, seed=1))
assess(bundle, vectors[:1]), assess(bundle, vectors)
assert compiled.row_by_row.signatures == ready
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert compiled_files() == set()

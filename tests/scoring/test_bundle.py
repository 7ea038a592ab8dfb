"""Bundles: packing and reading, and rejection of altered, incomplete and contradictory files."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring import Bundle, BundleError, Reference, pack
from scoring.bundle import FILES, FORMAT, MANIFEST
from scoring.canonical import canonical_json, sha256
from scoring.model import Calibration
from scoring.sheet import HistoryThreshold
from tests.counts import repeat
from tests.scoring import build

PARTS = build.parts(build.Recipe(trees=3))
PACKED = pack(PARTS)

_BYTES = st.sampled_from(sorted(PACKED)).flatmap(
    lambda name: st.tuples(st.just(name), st.integers(0, len(PACKED[name]) - 1), st.integers(1, 255))
)


def with_manifest(files: dict[str, bytes]) -> dict[str, bytes]:
    """Return the files with a matching manifest, as a forger with knowledge of the format would write it."""
    declared = {name: sha256(content) for name, content in files.items() if name != MANIFEST}
    return {**files, MANIFEST: canonical_json({"format": FORMAT, "files": declared})}


def edited(name: str, edit: Callable[[Any], object]) -> dict[str, bytes]:
    data = json.loads(PACKED[name])
    edit(data)
    return with_manifest({**PACKED, name: json.dumps(data).encode()})


def test_a_packed_bundle_is_read_unchanged() -> None:
    bundle = Bundle.from_files(PACKED)
    assert (bundle.sheet, bundle.policy, bundle.reasons) == (PARTS.sheet, PARTS.policy, PARTS.reasons)
    assert (bundle.reference, bundle.model.text) == (PARTS.reference, PARTS.model_text)
    assert bundle.model.names == PARTS.sheet.names
    assert Bundle.from_files(dict(reversed(PACKED.items()))).digest == bundle.digest
    assert bundle.digest == sha256(PACKED[MANIFEST])
    assert bundle.model_digest == sha256(PARTS.model_text.encode())


def test_equal_parts_give_equal_bytes_and_other_parts_another_digest() -> None:
    assert pack(build.parts(build.Recipe(trees=3))) == PACKED
    changed = [
        replace(PARTS, policy=build.policy(calibration=Calibration(0.9, -0.31))),
        replace(PARTS, reasons=replace(PARTS.reasons, version="2026-02")),
        replace(PARTS, reference=Reference("other sellers", {}, {})),
        replace(PARTS, sheet=replace(PARTS.sheet, max_age_days=8)),
        build.parts(build.Recipe(trees=4)),
    ]
    digests = {Bundle.from_files(pack(parts)).digest for parts in changed}
    assert len(digests | {Bundle.from_files(PACKED).digest}) == len(changed) + 1


@pytest.mark.repeated
@settings(max_examples=repeat(60, 3_000), deadline=None)
@given(_BYTES)
def test_any_changed_byte_in_any_file_is_detected(change: tuple[str, int, int]) -> None:
    name, position, mask = change
    content = bytearray(PACKED[name])
    content[position] ^= mask
    with pytest.raises(BundleError):
        Bundle.from_files({**PACKED, name: bytes(content)})


def test_all_files_are_required_and_no_others() -> None:
    for name in (MANIFEST, *FILES):
        with pytest.raises(BundleError, match=name):
            Bundle.from_files({other: content for other, content in PACKED.items() if other != name})
    for files in ({**PACKED, "notes.txt": b""}, with_manifest({**PACKED, "notes.txt": b""})):
        with pytest.raises(BundleError, match=r"notes\.txt"):
            Bundle.from_files(files)


@pytest.mark.parametrize(
    ("manifest", "sentence"),
    [
        *((text, "cannot be read") for text in (b"", b"\xff\xfe\x00", b"[]", b"7", b'"files"', b"{}", b'{"format":2}')),
        (b'{"files":{},"format":2}', "missing or extra: features.json"),
        (b'{"files":[1],"format":2}', "cannot be read"),
        (b'{"files":{},"format":1}', "of format 1; this program reads format 2. Train and promote a model"),
    ],
)
def test_an_invalid_manifest_is_rejected(manifest: bytes, sentence: str) -> None:
    with pytest.raises(BundleError, match=sentence):
        Bundle.from_files({**PACKED, MANIFEST: manifest})


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".json")])
@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"null", b"7", b"\xff"])
def test_an_invalid_file_is_rejected_despite_a_correct_digest(name: str, content: bytes) -> None:
    with pytest.raises(BundleError, match="does not follow format 2"):
        Bundle.from_files(with_manifest({**PACKED, name: content}))


@pytest.mark.parametrize("text", [b"", b"not a model", b"tree\nversion=v4\n", b"\xff\xfe"])
def test_an_invalid_model_text_is_rejected(text: bytes) -> None:
    with pytest.raises(BundleError):
        Bundle.from_files(with_manifest({**PACKED, "model.txt": text}))


def _set(*path: str | int, to: object) -> Callable[[Any], None]:
    def edit(data: Any) -> None:
        for step in path[:-1]:
            data = data[step]
        data[path[-1]] = to

    return edit


@pytest.mark.parametrize(
    ("name", "edit", "sentence"),
    [
        ("features.json", lambda sheet: sheet["entries"].reverse(), "in the same order; only in one of them: none"),
        ("features.json", lambda sheet: sheet["entries"].pop(), "only in one of them: visits"),
        ("features.json", _set("entries", 1, "name", to="tenure"), "two features of the same name"),
        ("features.json", _set("entries", 1, "sign", to=2), "has the sign 2"),
        ("features.json", _set("entries", 1, "typical", to=math.nan), "typical value nan"),
        ("features.json", _set("entries", 1, "colour", to="red"), "does not follow format"),
        ("features.json", _set("entries", 1, "reason_group", to="weather"), "absent: weather"),
        ("features.json", _set("history", 0, "feature", to="age_of_cat"), "that the sheet lacks: age_of_cat"),
        ("features.json", _set("history", 0, "least", to=math.nan), "history threshold of tenure is nan"),
        ("reasons.json", lambda reasons: reasons["entries"].pop(), "absent: visits"),
        ("reasons.json", lambda reasons: reasons["entries"].append(reasons["entries"][0]), "duplicated: tenure"),
        ("reasons.json", lambda reasons: reasons["entries"][0]["side"].pop("seller"), "does not follow format"),
        ("policy.json", _set("calibration", "slope", to=0.0), "slope above 0 and an intercept.*found slope=0.0"),
        ("policy.json", _set("calibration", "slope", to=-1.0), "slope above 0"),
        ("policy.json", _set("calibration", "slope", to=math.nan), "slope above 0"),
        ("policy.json", _set("calibration", "slope", to=1e300), "both at most 1000 in size"),
        ("policy.json", _set("scale", "double", to=1e300), "at most 1e"),
        ("policy.json", _set("scale", "min", to=300.5), "whole ends"),
        ("policy.json", _set("calibration", "intercept", to=math.inf), "both at most 1000 in size"),
        ("policy.json", _set("scale", "odds", to=0), "A scale needs"),
        ("policy.json", _set("scale", "points", to=math.nan), "A scale needs"),
        ("policy.json", _set("scale", "points", to="600"), "does not follow format"),
        ("policy.json", _set("bands", "items", to=[]), "increase and end"),
        ("policy.json", _set("bands", "items", 0, "up_to", to=math.nan), "increase and end"),
        ("reference.json", _set("validation", "auc", to=math.nan), "must be a finite number"),
        ("reference.json", _set("validation", to=None), "does not follow format"),
    ],
)
def test_contradictions_are_rejected_despite_a_correct_manifest(
    name: str, edit: Callable[[Any], object], sentence: str
) -> None:
    with pytest.raises(BundleError, match=sentence):
        Bundle.from_files(edited(name, edit))


@pytest.mark.parametrize(
    "change",
    [
        {"sheet": replace(PARTS.sheet, entries=PARTS.sheet.entries[::-1])},
        {"sheet": replace(PARTS.sheet, entries=PARTS.sheet.entries[:1])},
        {"reasons": replace(PARTS.reasons, groups=PARTS.reasons.groups[:1])},
        {"reference": Reference("p", {"auc": math.nan}, {})},
        {"model_text": "not a model"},
    ],
)
def test_pack_rejects_parts_that_could_not_be_read(change: dict[str, Any]) -> None:
    with pytest.raises(BundleError):
        pack(replace(PARTS, **change))


@pytest.mark.parametrize(
    ("create", "sentence"),
    [
        (lambda: Calibration(-0.1, 0.0), "slope above 0"),
        (lambda: HistoryThreshold("tenure", math.inf), "history threshold of tenure is inf"),
        (lambda: replace(PARTS.sheet.entries[0], typical=math.inf), "typical value inf"),
    ],
)
def test_invalid_parts_are_rejected_on_creation(create: Callable[[], object], sentence: str) -> None:
    with pytest.raises(BundleError, match=sentence):
        create()


def test_a_wrong_line_of_tree_sizes_is_ignored() -> None:
    """With it, LightGBM would crash the process. Here, a shorter value of a leaf makes the sizes wrong."""
    text = build.parts().model_text
    leaves = re.search(r"^leaf_value=(\S+)", text, re.MULTILINE)
    assert leaves is not None
    altered = text.replace(leaves[0], "leaf_value=0.5", 1)
    assert "tree_sizes=" in altered
    bundle = Bundle.from_files(pack(replace(build.parts(), model_text=altered)))
    assert bundle.model.trees[0].values[0] == 0.5


def test_a_model_that_reads_a_feature_that_is_not_scored_is_rejected() -> None:
    parts = build.parts()
    entries = tuple(replace(entry, scored=entry.name != "visits") for entry in parts.sheet.entries)
    with pytest.raises(BundleError, match="reads visits, which is not scored according to the feature sheet"):
        pack(replace(parts, sheet=replace(parts.sheet, entries=entries)))

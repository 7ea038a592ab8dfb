"""Integrity questions: valid features and thresholds, and their page docs/profile.md."""

from __future__ import annotations

from pathlib import Path

from features.catalogue import CATALOGUE
from features.catalogue.integrity import INTEGRITY
from features.profile.describe import markdown
from features.profile.flags import FLAGS

ROOT = Path(__file__).parents[3]


def test_each_integrity_feature_has_one_question() -> None:
    assert sorted(flag.feature for flag in FLAGS) == sorted(feature.name for feature in INTEGRITY)
    assert len({flag.name for flag in FLAGS}) == len({flag.question for flag in FLAGS}) == len(FLAGS)


def test_thresholds_apply_to_features_that_raise_risk() -> None:
    signs = {feature.name: feature.sign for feature in CATALOGUE}
    # a sudden rise may be honest growth, so it prompts a question and costs no points
    either = {flag.feature for flag in FLAGS if signs[flag.feature] != 1}
    assert either == {"sales_spike_30d"}
    assert all(0 <= flag.threshold < 1 for flag in FLAGS)
    assert all(flag.question.endswith("?") and flag.why.endswith(".") for flag in FLAGS)


def test_the_profile_page_matches_its_definitions() -> None:
    assert (ROOT / "docs" / "profile.md").read_text(encoding="utf-8") == markdown()

"""Questions rest on features that there are, in the units that they have, and say so in docs/profile.md."""

from __future__ import annotations

from pathlib import Path

from features.catalogue import CATALOGUE
from features.catalogue.integrity import INTEGRITY
from features.profile.describe import markdown
from features.profile.flags import FLAGS

ROOT = Path(__file__).parents[3]


def test_each_feature_of_integrity_is_asked_about_once() -> None:
    assert sorted(flag.feature for flag in FLAGS) == sorted(feature.name for feature in INTEGRITY)
    assert len({flag.name for flag in FLAGS}) == len({flag.question for flag in FLAGS}) == len(FLAGS)


def test_a_threshold_is_where_more_is_worse() -> None:
    signs = {feature.name: feature.sign for feature in CATALOGUE}
    # a sudden rise may be honest growth: it is asked about, and costs nobody points
    either = {flag.feature for flag in FLAGS if signs[flag.feature] != 1}
    assert either == {"sales_spike_30d"}
    assert all(0 <= flag.threshold < 1 for flag in FLAGS)
    assert all(flag.question.endswith("?") and flag.why.endswith(".") for flag in FLAGS)


def test_the_profile_page_matches_its_definitions() -> None:
    assert (ROOT / "docs" / "profile.md").read_text(encoding="utf-8") == markdown()

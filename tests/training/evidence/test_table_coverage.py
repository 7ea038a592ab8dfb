"""Tables that begin late raise an alarm with what to do; tables that were always there do not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from features.catalogue import CATALOGUE
from tests.training.evidence.subjects import subject
from training.evidence.table_coverage import study_table_coverage


def test_a_table_that_only_the_test_knows_raises_an_alarm_with_the_setting() -> None:
    train = subject().train
    complete = study_table_coverage(subject())
    assert complete.alarms == ()
    assert set(complete.tables["Known by table"]["table"]) <= set(train.tables)
    of_traffic = [feature.name for feature in CATALOGUE if "traffic" in feature.tables]
    early = train.features.assign(**dict.fromkeys(of_traffic, np.nan))
    late = study_table_coverage(replace(subject(), train=replace(train, features=early)))
    (alarm,) = late.alarms
    assert "The table traffic began later than most training loans" in alarm
    assert "features.exclude" in alarm
    assert late.figures["largest_gap"] > 0.9

"""Tables that begin late raise an alarm with what to do; tables that were always there do not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from features.catalogue import CATALOGUE
from tests.training.evidence.subjects import subject
from training.evidence.table_coverage import study_table_coverage

OF_TRAFFIC = [feature.name for feature in CATALOGUE if "traffic" in feature.tables]


def test_tables_that_were_there_from_the_beginning_raise_no_alarm() -> None:
    found = study_table_coverage(subject())
    assert found.alarms == ()
    assert set(found.tables["Known by table"]["table"]) <= set(subject().train.tables)


def test_a_table_that_only_the_test_knows_raises_an_alarm_with_the_setting() -> None:
    early = subject().train.features.assign(**dict.fromkeys(OF_TRAFFIC, np.nan))
    found = study_table_coverage(replace(subject(), train=replace(subject().train, features=early)))
    (alarm,) = found.alarms
    assert "The table traffic began later than most training loans" in alarm
    assert "features.exclude" in alarm
    assert found.figures["largest_gap"] > 0.9

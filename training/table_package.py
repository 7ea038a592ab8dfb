"""The bundle of a model of a table: a feature sheet and reason texts made from the names of its columns.

Such a bundle carries the evidence of a run. The service cannot score with it: its vectors have other features.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from scoring.reason_catalogue import GroupEntry, ReasonCatalogue, ReasonEntry, Texts, Wording
from scoring.sheet import FeatureEntry, FeatureSheet

if TYPE_CHECKING:
    from training.dataset import Dataset

USE: Final = (
    "Estimates the probability of the bad outcome for rows like those of the table: evidence about the table.",
    "- Not for decisions about sellers: it has no features of the catalogue, and the service cannot score with it.",
)
_VERSION: Final = "table"
_SIDES: Final = {1: ("High", "偏高"), -1: ("Low", "偏低")}


def table_sheet(train: Dataset, shown: frozenset[str]) -> FeatureSheet:
    """Return the feature sheet of a table: each column with its direction, in its own reason group.

    Args:
        train: the training part.
        shown: the features that the model may read.
    """
    typical = train.features.median()
    entries = tuple(
        FeatureEntry(
            name=name,
            label=name.replace("_", " "),
            unit="",
            sign=train.signs[name],
            actionable=False,
            structural=False,
            reason_group=name,
            typical=None if typical.isna()[name] else float(typical[name]),
            missing="riskiest",
            scored=name in shown and not typical.isna()[name],
        )
        for name in map(str, train.features.columns)
    )
    return FeatureSheet(train.catalogue, entries, history=(), required_tables=(), max_age_days=0)


def table_reasons(sheet: FeatureSheet) -> ReasonCatalogue:
    """Return generic statements for each scored column: `High debt: 0.9, typical 0.3`."""
    nothing = _texts(Wording("{table}", "{table}"))
    too_old = _texts(Wording("{table} {through}", "{table} {through}"))
    groups = tuple(GroupEntry(each.reason_group, Wording(each.label, each.label)) for each in sheet.scored_entries)
    return ReasonCatalogue(_VERSION, groups, tuple(map(_reason, sheet.scored_entries)), {}, nothing, too_old)


def _reason(entry: FeatureEntry) -> ReasonEntry:
    english, chinese = _SIDES[entry.sign]
    values = "{value}, typical {typical}", "{value}，典型值{typical}"
    side = Wording(f"{english} {entry.label}: {values[0]}", f"{entry.label}{chinese}：{values[1]}")
    return ReasonEntry(entry.name, _texts(side), _texts(Wording(f"{entry.label} is missing", f"{entry.label}缺失")))


def _texts(wording: Wording) -> Texts:
    return Texts(bank=wording, seller=wording, letter=wording)

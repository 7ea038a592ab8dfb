"""Principal reasons: at most four groups of features that cost points, in words from one versioned catalogue."""

from collections.abc import Sequence
from dataclasses import dataclass

from scoring.errors import BundleError
from scoring.sheet import FeatureSheet

MOST_REASONS = 4
"""No more are given: a longer list hides what matters (US Regulation B, commentary to 1002.9(b)(2))."""


@dataclass(frozen=True)
class Wording:
    """One statement in the languages that we speak."""

    en: str
    zh: str


@dataclass(frozen=True)
class ReasonEntry:
    """The code of a reason group and what it says to a bank and to the seller."""

    code: str
    group: str
    bank: Wording
    seller: Wording


@dataclass(frozen=True)
class ReasonCatalogue:
    """All reasons of one version, in the order that breaks ties."""

    version: str
    entries: tuple[ReasonEntry, ...]

    def require(self, sheet: FeatureSheet) -> None:
        """Check that every reason group of the sheet has its statement, once.

        Raises:
            BundleError: a group without a statement, or with two.
        """
        groups = [entry.group for entry in self.entries]
        lacking = sorted({entry.reason_group for entry in sheet.entries} - set(groups))
        if lacking or len(set(groups)) != len(groups):
            raise BundleError(
                f"Each reason group needs exactly one statement; lacking: {', '.join(lacking) or 'none'}."
            )


@dataclass(frozen=True)
class Reason:
    """One principal reason as a bank reads it; `points` is the group's sum and negative."""

    code: str
    points: int
    statement: str


def principal_reasons(points: Sequence[int], sheet: FeatureSheet, catalogue: ReasonCatalogue) -> tuple[Reason, ...]:
    """Return the groups that cost the most points, worst first, at most four; groups that cost nothing are no reason.

    Args:
        points: one integer per feature, in catalogue order.
        sheet: names each feature's group, so that correlated features do not split one reason.
        catalogue: the words; its order breaks ties.
    """
    by_group: dict[str, int] = {}
    for entry, earned in zip(sheet.entries, points, strict=True):
        by_group[entry.reason_group] = by_group.get(entry.reason_group, 0) + int(earned)
    costly = [
        Reason(entry.code, by_group[entry.group], entry.bank.en)
        for entry in catalogue.entries
        if by_group.get(entry.group, 0) < 0
    ]
    return tuple(sorted(costly, key=lambda reason: reason.points)[:MOST_REASONS])

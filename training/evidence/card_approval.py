"""The approval on a model card: a promotion fills it into the card that the run stored."""

from __future__ import annotations

import html
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

BEGIN: Final = "<!-- approval -->"
END: Final = "<!-- end of approval -->"
"""Comments around the approval, in Markdown and HTML. Other text cannot contain them, because `<` is escaped."""

NOT_APPROVED: Final = (
    "This model is not approved yet, and no alarm is accepted. `sellerscore promote` records who approved it and "
    "which alarms the gates file accepts."
)

_LABEL: Final = "Alarm ({study})"
_ACCEPTED: Final = "Accepted alarm ({study})"
_APPROVAL: Final = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)


@dataclass(frozen=True)
class CardApproval:
    """The approver of a version, the time and the reason, and the studies whose alarms were accepted."""

    version: int
    by: str
    at: str
    reason: str
    accepted: Collection[str]

    def __str__(self) -> str:
        """Write it as two sentences."""
        alarms = ", ".join(sorted(self.accepted))
        accepted = (
            f" The alarms of these studies were accepted: {alarms}." if alarms else " No alarm had to be accepted."
        )
        return f"Version {self.version} was approved by {self.by} at {self.at}. Reason: {self.reason}.{accepted}"


def alarm_label(study: str) -> str:
    """Return the label of an alarm before it is accepted; example: `Alarm (drift)`."""
    return _LABEL.format(study=study)


def approve_markdown(text: str, approval: CardApproval) -> str:
    """Return the Markdown card with an approval; a card without a place for it is returned unchanged."""
    shown = re.sub(r"\s+", " ", str(approval)).replace("&", "&amp;").replace("<", "&lt;")
    return _fill(text, approval, shown, "**")


def approve_html(text: str, approval: CardApproval) -> str:
    """Return the HTML card with an approval; a card without a place for it is returned unchanged."""
    return _fill(text, approval, f"<p>{html.escape(str(approval))}</p>", "<strong>")


def _fill(text: str, approval: CardApproval, shown: str, before: str) -> str:
    if not _APPROVAL.search(text):
        return text
    text = _APPROVAL.sub(lambda _: f"{BEGIN}{shown}{END}", text)
    # an earlier promotion may have accepted other alarms
    text = text.replace(f"{before}{_ACCEPTED.partition('{')[0]}", f"{before}{_LABEL.partition('{')[0]}")
    for study in approval.accepted:
        text = text.replace(before + _LABEL.format(study=study), before + _ACCEPTED.format(study=study))
    return text

"""A promotion fills in who approved a card and marks the alarms that were accepted; nothing can break out of it."""

from __future__ import annotations

import pytest

from tests.training.evidence.test_model_card import given
from training.evidence.card_approval import CardApproval, approve_html, approve_markdown
from training.evidence.model_card import HTML, MARKDOWN, write_card
from training.evidence.study import Finding

EVIL = "<script>alert(1)</script> <!-- end of approval -->"


def cards() -> dict[str, str]:
    """A card with the alarms of two studies."""
    drift = Finding("drift", "Drift", "Compared.", {"x": 1.0}, alarms=("It moved.", "It moved far."))
    return write_card(given(drift, Finding("leaks", "Leaks", "Compared.", {"x": 1.0}, alarms=("A copy.",))))


def approval(*accepted: str, by: str = "Wei Zhang") -> CardApproval:
    return CardApproval(2, by, "2026-11-30T10:00:00Z", "better on new sellers", accepted)


def test_a_card_is_not_approved_until_a_promotion() -> None:
    made = cards()
    assert all("This model is not approved yet" in text for text in made.values())
    text = approve_markdown(made[MARKDOWN], approval("drift"))
    assert "is not approved yet" not in text
    assert (
        "Version 2 was approved by Wei Zhang at 2026-11-30T10:00:00Z. Reason: better on new sellers. The alarms of "
        "these studies were accepted: drift."
    ) in text
    assert text.index("was approved by") < text.index("Alarm (leaks)")


def test_accepted_alarms_are_marked_and_others_are_not() -> None:
    made = cards()
    text = approve_markdown(made[MARKDOWN], approval("drift"))
    assert (text.count("> **Accepted alarm (drift)**"), text.count("> **Alarm (drift)**")) == (4, 0)
    assert text.count("> **Alarm (leaks)**") == 2
    page = approve_html(made[HTML], approval("drift"))
    assert (page.count("<strong>Accepted alarm (drift)</strong>"), page.count("<strong>Alarm (leaks)</strong>")) == (
        4,
        2,
    )


def test_another_approval_takes_the_place_of_the_first() -> None:
    made = cards()[MARKDOWN]
    first = approve_markdown(made, approval("drift"))
    assert approve_markdown(first, approval("leaks", by="Ana")) == approve_markdown(made, approval("leaks", by="Ana"))
    assert "No alarm had to be accepted." in approve_markdown(made, approval())


@pytest.mark.parametrize("name", [MARKDOWN, HTML])
def test_a_name_cannot_break_out(name: str) -> None:
    fill = approve_markdown if name == MARKDOWN else approve_html
    text = fill(cards()[name], approval("drift", by=EVIL))
    assert "<script>" not in text
    assert text.count("<!-- end of approval -->") == 1


def test_a_card_from_before_approvals_were_shown_stays_as_it_is() -> None:
    assert approve_markdown("# Model card", approval("drift")) == "# Model card"

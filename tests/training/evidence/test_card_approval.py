"""A promotion fills in who approved a card and marks the alarms that were accepted; nothing can break out of it."""

from __future__ import annotations

import pytest

from tests.training.evidence.test_model_card import card_input
from training.evidence.card_approval import CardApproval, approve_html, approve_markdown
from training.evidence.model_card import HTML, MARKDOWN, write_card
from training.evidence.study import Finding

EVIL = "<script>alert(1)</script> <!-- end of approval -->"


@pytest.fixture(scope="module")
def cards() -> dict[str, str]:
    """A card with the alarms of two studies."""
    drift = Finding("drift", "Drift", "Compared.", {"x": 1.0}, alarms=("It moved.", "It moved far."))
    return write_card(card_input(drift, Finding("leaks", "Leaks", "Compared.", {"x": 1.0}, alarms=("A copy.",))))


def approval(*accepted: str, by: str = "Wei Zhang") -> CardApproval:
    return CardApproval(2, by, "2026-11-30T10:00:00Z", "better on new sellers", accepted)


def test_a_card_is_not_approved_until_a_promotion(cards: dict[str, str]) -> None:
    assert all("This model is not approved yet" in text for text in cards.values())
    text = approve_markdown(cards[MARKDOWN], approval("drift"))
    assert "is not approved yet" not in text
    assert (
        "Version 2 was approved by Wei Zhang at 2026-11-30T10:00:00Z. Reason: better on new sellers. The alarms of "
        "these studies were accepted: drift."
    ) in text
    assert text.index("was approved by") < text.index("Alarm (leaks)")


def test_accepted_alarms_are_marked_and_others_are_not(cards: dict[str, str]) -> None:
    text = approve_markdown(cards[MARKDOWN], approval("drift"))
    counts = [text.count(f"> **{start}**") for start in ("Accepted alarm (drift)", "Alarm (drift)", "Alarm (leaks)")]
    assert counts == [4, 0, 2]
    page = approve_html(cards[HTML], approval("drift"))
    assert [page.count(f"<strong>{start}</strong>") for start in ("Accepted alarm (drift)", "Alarm (leaks)")] == [4, 2]


def test_another_approval_takes_the_place_of_the_first(cards: dict[str, str]) -> None:
    card, second = cards[MARKDOWN], approval("leaks", by="Ana")
    assert approve_markdown(approve_markdown(card, approval("drift")), second) == approve_markdown(card, second)
    assert "No alarm had to be accepted." in approve_markdown(card, approval())


def test_a_name_cannot_break_out(cards: dict[str, str]) -> None:
    for approve, name in ((approve_markdown, MARKDOWN), (approve_html, HTML)):
        text = approve(cards[name], approval("drift", by=EVIL))
        assert "<script>" not in text
        assert text.count("<!-- end of approval -->") == 1


def test_a_card_without_a_place_for_the_approval_stays_as_it_is() -> None:
    assert approve_markdown("# Model card", approval("drift")) == "# Model card"

"""The model card: what a reviewer reads first, as Markdown and as one page of HTML with everything in it."""

from __future__ import annotations

from typing import Final

from markupsafe import Markup

from training.evidence.card_approval import BEGIN, END
from training.evidence.card_sections import CardInput, sections
from training.evidence.card_templates import environment

MARKDOWN: Final = "model_card.md"
HTML: Final = "model_card.html"


def card(given: CardInput) -> dict[str, str]:
    """Return the model card by file name: Markdown, and HTML.

    The Markdown links its plots where a run keeps them, `plots/` and `evidence/`, and so belongs beside these folders.
    The HTML holds them itself, needs no network and runs no script.

    Example: `card(CardInput(bundle, figures, scorecard, findings, plots, facts))["model_card.html"]`.
    """
    markers = {"approval_begin": Markup(BEGIN), "approval_end": Markup(END)}  # noqa: S704 - constants
    content = {"given": given, "sections": sections(given), **markers}
    return {
        MARKDOWN: environment().get_template("card.md").render(content),
        HTML: environment().get_template("card.html").render(content),
    }

"""What a model is for and what not: said on its card, and in its bundle to every bank that asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from training.evidence.card_templates import environment

if TYPE_CHECKING:
    from scoring.sheet import FeatureSheet


def intended_use(sheet: FeatureSheet) -> tuple[str, ...]:
    """Return paragraphs in plain text; those that begin with a dash say what the model is not for.

    Args:
        sheet: says what a seller must have to be scored.
    """
    labels = {entry.name: entry.label for entry in sheet.entries}
    lines = environment().get_template("use.txt").render(sheet=sheet, labels=labels).splitlines()
    return tuple(line for line in lines if line)

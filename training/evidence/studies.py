"""The studies that every training run makes of its model, in the order in which the card shows them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from training.evidence.finding import Finding
from training.evidence.subject import Subject

Study = Callable[[Subject], Finding]

STUDIES: Final[Mapping[str, Study]] = {}

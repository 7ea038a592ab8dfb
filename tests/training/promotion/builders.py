"""Builders for tests of promotions: gates that pass or fail, an approval, and failing moves of the champion."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from training.gates import Check, GateVerdict
from training.promotion import Approval
from training.registry import CHAMPION, Version

if TYPE_CHECKING:
    from mlflow import MlflowClient

PASSED = Check("sums", GateVerdict.PASSED, "all add up")
FAILED = Check("drift", GateVerdict.FAILED, "PSI of the score: 0.4; limit: at most 0.25")


def lenient(_candidate: Version, _champion: Version | None) -> tuple[Check, ...]:
    return (PASSED,)


def strict(_candidate: Version, _champion: Version | None) -> tuple[Check, ...]:
    return (PASSED, FAILED)


def wei(reason: str = "better on new sellers") -> Approval:
    return Approval.now("Wei Zhang", reason)


def alias_moves(monkeypatch: pytest.MonkeyPatch, move: Callable[[MlflowClient, str], None]) -> None:
    """Replace the move of the champion's alias by `move(client, number)`; other aliases move as usual."""
    from mlflow import MlflowClient

    real = MlflowClient.set_registered_model_alias

    def moved(client: MlflowClient, name: str, alias: str, number: str) -> None:
        if alias == CHAMPION:
            with monkeypatch.context() as patch:
                patch.setattr(MlflowClient, "set_registered_model_alias", real)
                move(client, number)
        else:
            real(client, name, alias, number)

    monkeypatch.setattr(MlflowClient, "set_registered_model_alias", moved)

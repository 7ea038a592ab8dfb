"""Promotion, rollback and challenge: a version becomes the champion if the gates pass and a second person approves."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from training.errors import PromotionError, RegistryError
from training.evidence.card_approval import CardApproval
from training.gates import Check, failed_gates
from training.registry import (
    ALARM,
    CHAMPION,
    PREVIOUS,
    REPLACED,
    TRAINED_BY,
    WITHDRAWN,
    Registry,
    Version,
    aliases,
    find_version,
    locked,
    recover_aliases,
    set_challenger,
    set_champion,
    write_approval,
)

ACCEPTED: Final = "accepted_alarms"
"""The tag of a version with the studies whose alarms its promotion accepted, separated by commas, or `none`."""

EvaluateGates = Callable[[Version, Version | None], tuple[Check, ...]]
"""Returns the checks of a candidate; receives also the current champion, None without one."""


@dataclass(frozen=True)
class Approval:
    """The approval of a person. The name is not verified; the MLflow server controls who may write to the registry."""

    by: str
    reason: str
    at: datetime

    @classmethod
    def now(cls, by: str, reason: str) -> Approval:
        """Return an approval with the current time.

        Raises:
            PromotionError: the name or the reason is missing.
        """
        if not by.strip() or not reason.strip():
            raise PromotionError("An approval needs a name and a reason. Give --approved-by and --reason.")
        return cls(by.strip(), reason.strip(), datetime.now(UTC))


@dataclass(frozen=True)
class Change:
    """A change of the champion.

    Attributes:
        champion: the new champion.
        replaced: the previous champion; None for the first one.
        checks: of all gates; a rollback has none.
        accepted: the studies whose alarms the gates file accepted.
        card: why the approval could not be written on the model card; None if it was.
    """

    champion: int
    replaced: int | None
    checks: tuple[Check, ...] = ()
    accepted: tuple[str, ...] = ()
    card: str | None = None

    def fields(self) -> dict[str, Any]:
        """Return the change for JSON."""
        return vars(self) | {"checks": [check.fields() for check in self.checks]}


def promote(registry: Registry, wanted: str, approval: Approval, evaluate: EvaluateGates) -> Change:
    """Make a version the champion if every gate passes and the approver is not the trainer.

    Args:
        registry: the MLflow registry.
        wanted: a version number or an alias, such as `challenger`.
        approval: written to tags of the version.
        evaluate: evaluates the gates.

    Raises:
        PromotionError: a gate failed, the approver is the trainer, the version is already the champion, or another
            process moved the champion.
        RegistryError: there is no such version, or the registry cannot be reached.
    """
    with one_at_a_time(registry):
        candidate = find_version(registry, wanted)
        _require_second_person(candidate, approval)
        champion = find_version(registry, CHAMPION) if CHAMPION in aliases(registry) else None
        if champion is not None and champion.number == candidate.number:
            raise PromotionError(f"Version {candidate.number} is already the champion. Nothing was moved.")
        checks = evaluate(candidate, champion)
        if failed := failed_gates(checks):
            reasons = "".join(f"\n  - {check}" for check in failed)
            raise PromotionError(
                f"Version {candidate.number} is not promoted; {len(failed)} of {len(checks)} gates failed:{reasons}"
            )
        replaced = None if champion is None else champion.number
        accepted = tuple(sorted(name.removeprefix(ALARM) for name in candidate.tags if name.startswith(ALARM)))
        record = {**_tags("approved", approval, checks), ACCEPTED: ", ".join(accepted) or "none"}
        set_champion(registry, candidate.number, replaced, record)
        problem = _write_on_card(registry, candidate, record, accepted)
        return Change(candidate.number, replaced, checks, accepted, problem)


def _write_on_card(
    registry: Registry, version: Version, record: Mapping[str, str], accepted: tuple[str, ...]
) -> str | None:
    """Write the approval on the model card; return the error message on a failure, since the champion has moved."""
    by, at, because = (record[f"approved_{name}"] for name in ("by", "at", "because"))
    try:
        write_approval(registry, version, CardApproval(version.number, by, at, because, accepted))
    except RegistryError as error:
        return str(error)
    return None


def rollback(registry: Registry, approval: Approval) -> Change:
    """Make the champion's predecessor the champion again, and withdraw the champion.

    A second rollback goes back further. One person is enough: a second person approved both versions, and an incident
    must not wait for one. Only a promotion makes a withdrawn version the champion again.

    Raises:
        PromotionError: the champion has no predecessor, or it was withdrawn.
        RegistryError: there is no champion, or the registry cannot be reached.
    """
    with one_at_a_time(registry):
        champion = find_version(registry, CHAMPION)
        # without a promotion, for example after a manual change of the alias, the tag is missing
        before = champion.record.get(REPLACED, str(aliases(registry).get(PREVIOUS, "none")))
        if before == "none":
            raise PromotionError(f"Version {champion.number} has no predecessor, so there is nothing to roll back to.")
        target = find_version(registry, before)
        if WITHDRAWN in target.record:
            raise PromotionError(
                f"Version {target.number}, the predecessor of version {champion.number}, was withdrawn "
                f"({target.record[WITHDRAWN]}). Promote the version that you want."
            )
        record = _tags("rolled_back", approval, ())
        reason = f"by {approval.by} at {record['rolled_back_at']}: {approval.reason}"
        set_champion(registry, target.number, champion.number, record, withdrawing=reason)
        return Change(target.number, champion.number)


def challenge(registry: Registry, wanted: str) -> int:
    """Make a version the challenger, and return its number.

    Raises:
        PromotionError: it is the champion.
        RegistryError: there is no such version, or the registry cannot be reached.
    """
    with one_at_a_time(registry):
        version = find_version(registry, wanted).number
        if aliases(registry).get(CHAMPION) == version:
            raise PromotionError(
                f"Version {version} is the champion and cannot be the challenger. Name another version."
            )
        set_challenger(registry, version)
        return version


@contextmanager
def one_at_a_time(registry: Registry) -> Iterator[None]:
    """Let one process of this machine move aliases at a time, after it has recovered an interrupted promotion.

    A process on another machine is detected when the alias moves.
    """
    with locked(registry, "promotion"):
        recover_aliases(registry)
        yield


def _require_second_person(version: Version, approval: Approval) -> None:
    trainer = version.tags.get(TRAINED_BY)
    if trainer is None:
        raise PromotionError(
            f"The run of version {version.number} does not name its trainer, so it cannot be approved. Train again."
        )
    if _normalized(trainer) == _normalized(approval.by):
        raise PromotionError(f"{approval.by} trained version {version.number}. The approver must not be the trainer.")


def _normalized(name: str) -> str:
    """Return a name without differences in case, width and spaces."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def _tags(act: str, approval: Approval, checks: tuple[Check, ...]) -> dict[str, str]:
    """Return the tags of a decision: the latest one in plain fields, and each one as JSON under its time."""
    moment = approval.at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    decision = {f"{act}_by": approval.by, f"{act}_at": moment, f"{act}_because": approval.reason}
    gates = {"gates": "\n".join(f"{check.verdict}: {check}" for check in checks)} if checks else {}
    history = json.dumps({**decision, "gates": [check.fields() for check in checks]}, ensure_ascii=False)
    return {**decision, **gates, f"history.{moment}": history}

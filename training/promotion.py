"""Who becomes champion: a version that passes the gates and that a second person wants, one promotion at a time."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Final

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
"""The tag of a version that names the studies whose alarms its promotion accepted, separated by commas, or `none`."""

_ACCENTS: Final = 200
"""Combining classes from here on are marks above and below; smaller ones are vowels and signs of other scripts."""

Judge = Callable[[Version, Version | None], tuple[Check, ...]]
"""Asks the gates about a candidate and the champion that it would replace, None where there is none."""


@dataclass(frozen=True)
class Approval:
    """The word of a second person. Names are taken on trust: who may write to the registry at all, its server says."""

    by: str
    reason: str
    at: datetime

    @classmethod
    def now(cls, by: str, reason: str) -> Approval:
        """Return an approval of this moment.

        Raises:
            PromotionError: without a name or a reason.
        """
        if not _words(by) or not _words(reason):
            raise PromotionError("An approval needs a name and a reason; give --approved-by and --reason.")
        return cls(by.strip(), reason.strip(), datetime.now(UTC))


@dataclass(frozen=True)
class Change:
    """A new champion, the version that it replaced, and the checks of the gates; a rollback asks none.

    Attributes:
        champion: the new champion.
        replaced: the champion before it; None if there was none.
        checks: of all gates.
        accepted: the studies whose alarms the gates file accepted.
        card: why the model card could not be updated with the approval; None if it was.
    """

    champion: int
    replaced: int | None
    checks: tuple[Check, ...] = ()
    accepted: tuple[str, ...] = ()
    card: str | None = None


def promote(registry: Registry, wanted: str, approval: Approval, judge: Judge) -> Change:
    """Make a version the champion if every gate lets it pass and its trainer is not the one who approves.

    Args:
        registry: where.
        wanted: a number or an alias, such as `challenger`.
        approval: who wants it and why; recorded as tags of the version.
        judge: asks the gates.

    Raises:
        PromotionError: a gate failed, the approver trained it, it is the champion already, or another process moved
            the champion meanwhile.
        RegistryError: there is no such version, or the registry cannot be reached.
    """
    with one_at_a_time(registry):
        candidate = find_version(registry, wanted)
        _require_second_person(candidate, approval)
        champion = _champion(registry)
        if champion is not None and champion.number == candidate.number:
            raise PromotionError(f"Version {candidate.number} is the champion already; nothing was moved.")
        checks = judge(candidate, champion)
        if stopping := failed_gates(checks):
            told = "".join(f"\n  - {check}" for check in stopping)
            raise PromotionError(
                f"Version {candidate.number} is not promoted; {len(stopping)} of {len(checks)} gates failed:{told}"
            )
        replaced = None if champion is None else champion.number
        accepted = tuple(sorted(name.removeprefix(ALARM) for name in candidate.tags if name.startswith(ALARM)))
        record = {**_tags("approved", approval, checks), ACCEPTED: ", ".join(accepted) or "none"}
        set_champion(registry, candidate.number, replaced, record)
        return Change(candidate.number, replaced, checks, accepted, _on_card(registry, candidate, record, accepted))


def _on_card(registry: Registry, version: Version, record: Mapping[str, str], accepted: tuple[str, ...]) -> str | None:
    """Write the approval on the model card, and return the failure if there is one: the champion has moved by now."""
    by, at, because = (record[f"approved_{name}"] for name in ("by", "at", "because"))
    try:
        write_approval(registry, version, CardApproval(version.number, by, at, because, accepted))
    except RegistryError as error:
        return str(error)
    return None


def rollback(registry: Registry, approval: Approval) -> Change:
    """Make the champion's predecessor champion again and withdraw the champion; a second one goes back further.

    Whoever runs the service may do so alone: both versions were approved by a second person, and an incident at night
    should not wait for one. What was withdrawn comes back by a promotion only, which asks the gates and that person.

    Raises:
        PromotionError: the champion replaced no other, or one that was itself withdrawn.
        RegistryError: there is no champion, or the registry cannot be reached.
    """
    with one_at_a_time(registry):
        champion = find_version(registry, CHAMPION)
        # where somebody moved the alias by hand, the tag is lacking
        before = champion.record.get(REPLACED, str(aliases(registry).get(PREVIOUS, "none")))
        if before == "none":
            raise PromotionError(f"Version {champion.number} replaced no champion, so there is none to go back to.")
        target = find_version(registry, before)
        if WITHDRAWN in target.record:
            raise PromotionError(
                f"Version {target.number}, which version {champion.number} replaced, was withdrawn "
                f"({target.record[WITHDRAWN]}); a rollback goes back only, so promote the version that you want."
            )
        record = _tags("rolled_back", approval, ())
        set_champion(
            registry,
            target.number,
            champion.number,
            record,
            withdrawing=f"by {approval.by} at {record['rolled_back_at']}: {approval.reason}",
        )
        return Change(target.number, champion.number)


def challenge(registry: Registry, wanted: str) -> int:
    """Make a version the challenger, whose scores the service keeps beside the champion's; return its number.

    Raises:
        PromotionError: it is the champion.
        RegistryError: there is no such version, or the registry cannot be reached.
    """
    with one_at_a_time(registry):
        version = find_version(registry, wanted).number
        if aliases(registry).get(CHAMPION) == version:
            raise PromotionError(f"Version {version} is the champion, so it has nobody to challenge; name another.")
        set_challenger(registry, version)
        return version


@contextmanager
def one_at_a_time(registry: Registry) -> Iterator[None]:
    """Let one process of this machine at a time move aliases, after what a killed one left is finished; the next waits.

    Processes elsewhere, which share a server and not this folder, are found out when the alias moves.
    """
    with locked(registry, "promotion"):
        recover_aliases(registry)
        yield


def _champion(registry: Registry) -> Version | None:
    return find_version(registry, CHAMPION) if CHAMPION in aliases(registry) else None


def _require_second_person(version: Version, approval: Approval) -> None:
    trainer = version.tags.get(TRAINED_BY)
    if trainer is None:
        raise PromotionError(
            f"The run of version {version.number} does not say who trained it, so nobody can be the second person; "
            "train again."
        )
    if _may_be_one(trainer, approval.by):
        raise PromotionError(
            f"{approval.by} trained version {version.number} and cannot approve it as well; ask a second person."
        )


def _may_be_one(name: str, other: str) -> bool:
    """Return whether two names may belong to one person: the same words in any order, or with other spaces."""
    one, another = _words(name), _words(other)
    return sorted(one) == sorted(another) or "".join(one) == "".join(another)


def _words(name: str) -> list[str]:
    """Return the words of a name without differences in case, width, accents and invisible characters.

    Example: the words of "SILVA, A\u0301na" are "silva" and "ana".
    """
    plain = unicodedata.normalize("NFKD", name.casefold())
    letters = (each for each in plain if not _is_unseen(each) and unicodedata.combining(each) < _ACCENTS)
    return "".join(each if each.isalnum() or unicodedata.combining(each) else " " for each in letters).split()


def _is_unseen(letter: str) -> bool:
    """Return whether a character is one of format or control, a variation selector, or a filler."""
    return (
        unicodedata.category(letter) in {"Cf", "Cc"}
        or "\ufe00" <= letter <= "\ufe0f"
        or "\U000e0100" <= letter <= "\U000e01ef"
        or letter in "\u034f\u115f\u1160\u17b4\u17b5\u2800"
    )


def _tags(act: str, approval: Approval, checks: tuple[Check, ...]) -> dict[str, str]:
    """Return what a version's page shall say: the latest act in words, and each one under its time, for good."""
    moment = approval.at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    told = {f"{act}_by": approval.by, f"{act}_at": moment, f"{act}_because": approval.reason}
    gates = {"gates": "\n".join(f"{check.verdict}: {check}" for check in checks)} if checks else {}
    whole = {**told, "gates": [asdict(check) for check in checks]}
    return {**told, **gates, f"history.{moment}": json.dumps(whole, ensure_ascii=False)}

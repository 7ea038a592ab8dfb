"""The evidence and the approval of a model, read from the tags of its version; missing or broken ones are left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from pydantic import AwareDatetime, BaseModel, TypeAdapter, ValidationError

from api.models.registry import EVIDENCE
from api.models.schemas import (
    CardAlarm,
    CardApproval,
    CardData,
    CardDates,
    CardFairness,
    CardGap,
    CardInterval,
    CardSample,
)
from scoring.track_record import TrackRecord

_TIME: TypeAdapter[AwareDatetime] = TypeAdapter(AwareDatetime)


class _Sample(BaseModel):
    train_loans: int
    train_defaults: int
    test_loans: int
    test_defaults: int
    test_from: date
    default_rate: CardInterval
    auc: CardInterval


class _Alarm(BaseModel):
    study: str
    text: str


class _Summary(BaseModel):
    """The tag as training writes it; fields that a later training adds are ignored."""

    trained_at: AwareDatetime
    origin: str
    outcomes: str
    data_through: str
    sample: _Sample
    limits: list[str]
    fairness: list[CardGap]
    alarms: list[_Alarm]


@dataclass(frozen=True)
class Evidence:
    """The parts of a model card that are not in the bundle."""

    limits: list[str]
    data: CardData | None
    sample: CardSample | None
    fairness: CardFairness | None
    alarms: list[CardAlarm]
    approval: CardApproval | None
    dates: CardDates


def evidence(record: Mapping[str, str], tested: TrackRecord | None) -> Evidence:
    """Return the evidence in the tags of a version. Without them, the sample is that of the bundle's track record.

    Args:
        record: The published tags of the version.
        tested: The track record of the bundle.
    """
    summary, accepted = _summary(record), _accepted(record)
    return Evidence(
        limits=summary.limits if summary else [],
        data=CardData(origin=summary.origin, outcomes=summary.outcomes) if summary else None,
        sample=CardSample(**dict(summary.sample)) if summary else _tested(tested),
        fairness=_fairness(summary) if summary else None,
        alarms=[
            CardAlarm(study=each.study, text=each.text, accepted=each.study in accepted)
            for each in (summary.alarms if summary else ())
        ],
        approval=_approval(record),
        dates=CardDates(
            trained_at=summary.trained_at if summary else None,
            data_through=_day(summary.data_through) if summary else None,
            promoted_at=_time(record, "approved_at"),
            rolled_back_at=_time(record, "rolled_back_at"),
        ),
    )


def _summary(record: Mapping[str, str]) -> _Summary | None:
    try:
        return _Summary.model_validate_json(record[EVIDENCE])
    except (KeyError, ValidationError):
        return None


def _accepted(record: Mapping[str, str]) -> set[str]:
    return {study.strip() for study in record.get("accepted_alarms", "").split(",")}


def _tested(record: TrackRecord | None) -> CardSample | None:
    if record is None:
        return None
    unknown = dict.fromkeys(("train_loans", "train_defaults", "test_from", "default_rate", "auc"))
    return CardSample(test_loans=record.count, test_defaults=sum(band.bad for band in record.bands), **unknown)


def _fairness(summary: _Summary) -> CardFairness | None:
    if not summary.fairness:
        return None
    sample = summary.sample
    measured_on = (
        f"{sample.test_loans:,} test loans with {sample.test_defaults:,} defaults, as of {sample.test_from} or later"
    )
    return CardFairness(measured_on=measured_on, gaps=summary.fairness)


def _approval(record: Mapping[str, str]) -> CardApproval | None:
    at = _time(record, "approved_at")
    if at is None or "approved_by" not in record:
        return None
    return CardApproval(by=record["approved_by"], reason=record.get("approved_because", ""), at=at)


def _time(record: Mapping[str, str], name: str) -> AwareDatetime | None:
    try:
        return _TIME.validate_python(record[name])
    except (KeyError, ValidationError):
        return None


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None

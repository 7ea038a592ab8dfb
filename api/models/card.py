"""Builds the model card and the reason catalogue from the bundle and the tags of a model.

The tags hold the evidence and the approval of a version. Missing or broken ones are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any, Final, TypeVar

from pydantic import AwareDatetime, BaseModel, TypeAdapter, ValidationError

from api.models.bundle_store import ServedModel
from api.models.registry import EVIDENCE
from api.models.schemas import (
    CardBand,
    CardFairness,
    CardGap,
    CardSample,
    CardTested,
    CardValidity,
    CatalogueReason,
    ModelCard,
    Reasons,
)
from scoring import Bundle
from scoring.reason_catalogue import ReasonCatalogue, ReasonSide, Texts, code_of
from scoring.reasons import MAX_REASONS, MIN_GAIN
from scoring.sheet import FeatureEntry
from scoring.track_record import TrackRecord

T = TypeVar("T")

_TIME: Final[TypeAdapter[AwareDatetime]] = TypeAdapter(AwareDatetime)
_DAY: Final = TypeAdapter(date)


class _Sample(CardSample, extra="ignore"):
    train_loans: int
    train_defaults: int
    test_from: date


class _Alarm(BaseModel):
    study: str
    text: str


class _Summary(BaseModel):
    """The evidence as training writes it; fields that a later training adds are ignored."""

    trained_at: AwareDatetime
    origin: str
    outcomes: str
    data_through: str
    sample: _Sample
    limits: list[str]
    fairness: list[CardGap]
    alarms: list[_Alarm]


def model_card(served: ServedModel) -> ModelCard:
    """Return the card of a model."""
    bundle, tags = served.bundle, served.record
    reference, policy, sheet = bundle.reference, bundle.policy, bundle.sheet
    return ModelCard.from_record(
        reference,
        name=served.model_name,
        version=served.version,
        bundle=bundle.digest,
        model=bundle.model_digest,
        catalogue=sheet.catalogue,
        reasons=bundle.reasons.version,
        intended_use=[each.removeprefix("- ") for each in reference.intended_use],
        **_evidence(tags, reference.track_record),
        approval=_approval(tags),
        default_definition=policy.default_definition,
        reference_population=reference.population,
        scale=policy.scale,
        bands=_bands(bundle),
        tested=_tested(reference.track_record),
        validity=CardValidity.from_record(
            sheet, most_days_since_last_sale=sheet.activity.most if sheet.activity else None
        ),
        features=sheet.entries,
    )


def reason_catalogue(bundle: Bundle) -> Reasons:
    """Return the reasons that scores of a bundle may give: for each scored feature its risky side, and missing."""
    catalogue = bundle.reasons
    return Reasons.from_record(
        catalogue,
        bundle=bundle.digest,
        most=MAX_REASONS,
        least_gain=MIN_GAIN,
        reasons=[reason for entry in bundle.sheet.scored_entries for reason in _reasons_of(entry, catalogue)],
    )


def _reasons_of(entry: FeatureEntry, catalogue: ReasonCatalogue) -> Iterator[CatalogueReason]:
    texts_of = catalogue.of_feature[entry.name]
    sides: tuple[tuple[ReasonSide, Texts], ...] = ((entry.side, texts_of.side), ("missing", texts_of.missing))
    for side, texts in sides:
        code = code_of(entry.name, side)
        yield CatalogueReason.from_record(texts, code=code, group=entry.reason_group, feature=entry.name, side=side)


def _bands(bundle: Bundle) -> Iterator[CardBand]:
    record = bundle.reference.track_record
    observed = {band.name: band for band in record.bands} if record else {}
    for band in bundle.policy.bands.items:
        tested = observed.get(band.name)
        yield CardBand(
            name=band.name,
            up_to=band.up_to,
            tested_loans=tested.loans if tested else None,
            tested_bad=tested.bad if tested else None,
            observed_default_rate=tested.bad / tested.loans if tested and tested.loans else None,
        )


def _tested(record: TrackRecord | None) -> CardTested | None:
    return None if record is None else CardTested.from_record(record, score_percentiles=record.scores)


def _evidence(tags: Mapping[str, str], record: TrackRecord | None) -> dict[str, Any]:
    """Return the fields of a card from the tags. Without them, the sample is that of the bundle's track record."""
    try:
        summary = _Summary.model_validate_json(tags.get(EVIDENCE, ""))
    except ValidationError:
        summary = None
    accepted = {study.strip() for study in tags.get("accepted_alarms", "").split(",")}
    alarms = summary.alarms if summary else []
    return {
        "limits": summary.limits if summary else [],
        "data": summary,
        "sample": summary.sample if summary else _tested_sample(record),
        "fairness": _fairness(summary) if summary else None,
        "alarms": [{**alarm.model_dump(), "accepted": alarm.study in accepted} for alarm in alarms],
        "dates": {
            "trained_at": summary.trained_at if summary else None,
            "data_through": _parse(_DAY, summary.data_through) if summary else None,
            "promoted_at": _parse(_TIME, tags.get("approved_at")),
            "rolled_back_at": _parse(_TIME, tags.get("rolled_back_at")),
        },
    }


def _tested_sample(record: TrackRecord | None) -> CardSample | None:
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


def _approval(tags: Mapping[str, str]) -> dict[str, Any] | None:
    at = _parse(_TIME, tags.get("approved_at"))
    if at is None or "approved_by" not in tags:
        return None
    return {"by": tags["approved_by"], "reason": tags.get("approved_because", ""), "at": at}


def _parse(kind: TypeAdapter[T], value: str | None) -> T | None:
    try:
        return kind.validate_python(value)
    except ValidationError:
        return None

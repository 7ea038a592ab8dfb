"""Builds the model card and the reason catalogue from the bundle and the tags of a model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

from api.models.bundle_store import ServedModel
from api.models.evidence import evidence
from api.models.schemas import (
    CardBand,
    CardFeature,
    CardHistory,
    CardScale,
    CardTested,
    CardValidity,
    CatalogueGroup,
    CatalogueReason,
    ModelCard,
    Reasons,
    Statement,
    Texted,
)
from scoring import Bundle
from scoring.reason_catalogue import ReasonCatalogue, ReasonSide, Texts, Wording, code_of
from scoring.reasons import MAX_REASONS, MIN_GAIN
from scoring.sheet import FeatureEntry, FeatureSheet


def model_card(served: ServedModel) -> ModelCard:
    """Return the card of a model."""
    bundle = served.bundle
    reference, policy = bundle.reference, bundle.policy
    recorded = evidence(served.record, reference.track_record)
    return ModelCard(
        name=served.model_name,
        version=served.version,
        bundle=bundle.digest,
        model=bundle.model_digest,
        catalogue=bundle.sheet.catalogue,
        reasons=bundle.reasons.version,
        intended_use=[each.removeprefix("- ") for each in reference.intended_use],
        limits=recorded.limits,
        data=recorded.data,
        sample=recorded.sample,
        fairness=recorded.fairness,
        alarms=recorded.alarms,
        approval=recorded.approval,
        dates=recorded.dates,
        default_definition=policy.default_definition,
        reference_population=reference.population,
        explained_by=reference.explained_by,
        scale=CardScale(**asdict(policy.scale)),
        bands=_bands(bundle),
        validation=dict(reference.validation),
        tested=_tested(bundle),
        validity=_validity(bundle.sheet),
        features=[_feature(entry) for entry in bundle.sheet.entries],
        libraries=dict(reference.libraries),
    )


def reason_catalogue(bundle: Bundle) -> Reasons:
    """Return the reasons that scores of a bundle may give: for each scored feature its risky side, and missing."""
    catalogue = bundle.reasons
    return Reasons(
        version=catalogue.version,
        bundle=bundle.digest,
        most=MAX_REASONS,
        least_gain=MIN_GAIN,
        groups=[CatalogueGroup(name=each.name, label=_statement(each.label)) for each in catalogue.groups],
        reasons=[reason for entry in bundle.sheet.scored_entries for reason in _reasons_of(entry, catalogue)],
        not_delivered=_texts(catalogue.not_delivered),
        too_old=_texts(catalogue.too_old),
    )


def _reasons_of(entry: FeatureEntry, catalogue: ReasonCatalogue) -> Iterator[CatalogueReason]:
    texts_of = catalogue.of_feature[entry.name]
    sides: tuple[tuple[ReasonSide, Texts], ...] = ((entry.side, texts_of.side), ("missing", texts_of.missing))
    for side, texts in sides:
        yield CatalogueReason(
            code=code_of(entry.name, side),
            group=entry.reason_group,
            feature=entry.name,
            side=side,
            **_texts(texts).model_dump(),
        )


def _texts(texts: Texts) -> Texted:
    return Texted(bank=_statement(texts.bank), seller=_statement(texts.seller), letter=_statement(texts.letter))


def _statement(wording: Wording) -> Statement:
    return Statement(**asdict(wording))


def _bands(bundle: Bundle) -> list[CardBand]:
    record = bundle.reference.track_record
    observed = {each.name: (each.loans, each.bad) for each in record.bands} if record else {}
    return [_band(band.name, band.up_to, observed.get(band.name)) for band in bundle.policy.bands.items]


def _band(name: str, up_to: float, observed: tuple[int, int] | None) -> CardBand:
    loans, bad = observed or (None, None)
    rate = bad / loans if loans and bad is not None else None
    return CardBand(name=name, up_to=up_to, tested_loans=loans, tested_bad=bad, observed_default_rate=rate)


def _tested(bundle: Bundle) -> CardTested | None:
    record = bundle.reference.track_record
    if record is None:
        return None
    return CardTested(loans=record.loans, count=record.count, score_percentiles=list(record.scores))


def _validity(sheet: FeatureSheet) -> CardValidity:
    return CardValidity(
        history=[CardHistory(**asdict(each)) for each in sheet.history],
        most_days_since_last_sale=sheet.activity.most if sheet.activity else None,
        required_tables=list(sheet.required_tables),
        optional_tables=list(sheet.optional_tables),
        max_age_days=sheet.max_age_days,
    )


def _feature(entry: FeatureEntry) -> CardFeature:
    return CardFeature(
        name=entry.name,
        label=entry.label,
        unit=entry.unit,
        sign=entry.sign,
        scored=entry.scored,
        actionable=entry.actionable,
        structural=entry.structural,
        reason_group=entry.reason_group,
        typical=entry.typical,
        missing=entry.missing,
    )

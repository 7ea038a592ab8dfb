"""The model card and the reason catalogue: the content of the bundle and of the version's tags, with an ETag."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from api.models.bundle_store import ServedModel
from api.models.card import model_card, reason_catalogue
from api.models.schemas import ModelCard, Reasons
from scoring import Bundle, BundleParts, pack
from scoring.formatting import format_value
from scoring.reasons import MAX_REASONS, MIN_GAIN
from scoring.sheet import Activity
from scoring.track_record import BandRecord, TrackRecord, percentiles
from tests.api.conftest import SELLERS
from tests.api.models.records import RECORD, SUMMARY

if TYPE_CHECKING:
    from starlette.testclient import TestClient


@pytest.fixture(scope="module")
def tested(bundle: Bundle) -> Bundle:
    """The bundle with a track record; band E has no loan."""
    loans = dict(zip("ABCDE", (40, 30, 20, 10, 0), strict=True))
    bands = tuple(BandRecord(name, number, number // 10) for name, number in loans.items())
    record = TrackRecord("100 loans of 2025", percentiles(range(500, 700, 2)), bands)
    use = ("Ranks sellers.", "- Not for consumers.")
    reference = replace(bundle.reference, track_record=record, intended_use=use)
    return Bundle.from_files(
        pack(BundleParts(bundle.model.text, bundle.sheet, bundle.policy, bundle.reasons, reference))
    )


def card_of(bundle: Bundle, **tags: str) -> dict[str, Any]:
    return model_card(ServedModel(bundle, "sellerscore", "2", record=tags)).model_dump(mode="json")


@pytest.mark.parametrize("path", ["/v1/model", "/v1/reasons"])
def test_unchanged_content_is_not_sent_again(client: TestClient, tested: Bundle, path: str) -> None:
    first = client.get(path)
    assert (first.status_code, first.headers["cache-control"]) == (200, "private, no-cache")
    tag = first.headers["ETag"]
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        response = client.get(path, headers={"If-None-Match": known})
        assert (response.status_code, response.content, response.headers["ETag"]) == (304, b"", tag)
        assert "RateLimit" in response.headers
    for known in ('"other"', tag.strip('"'), ""):
        assert client.get(path, headers={"If-None-Match": known}).content == first.content
    services = client.app.state.services
    client.app.state.services = replace(services, champion=replace(services.champion, bundle=tested))
    other = client.get(path, headers={"If-None-Match": tag})
    assert (other.status_code, other.headers["ETag"] != tag) == (200, True)
    assert other.json()["bundle"] == tested.digest


def test_the_card_describes_the_bundle_that_issues_scores(client: TestClient, bundle: Bundle) -> None:
    response = client.get("/v1/model").json()
    card = ModelCard.model_validate(response)
    assert card.model_dump(mode="json") == response
    score = client.post("/v1/scores", json={"seller_id": SELLERS[0], "purpose": "credit_application"}).json()
    assessment = score["assessment"]
    assert {name: response[name] for name in assessment["versions"]} == assessment["versions"]
    assert (card.name, card.version) == ("sellerscore", "1")
    assert [feature.name for feature in card.features] == list(bundle.sheet.names)
    assert card.default_definition == assessment["default_definition"]
    assert card.reference_population == assessment["explanation"]["reference_population"]
    assert card.validation == {"auc": 0.7}
    # a bundle without evidence leaves these out
    assert (card.intended_use, card.limits, card.alarms) == ([], [], [])
    assert {card.tested, card.data, card.sample, card.fairness, card.approval} == {None}
    assert set(card.dates.model_dump().values()) == {None}
    assert {(band.tested_loans, band.observed_default_rate) for band in card.bands} == {(None, None)}


def test_bands_and_sample_have_the_outcomes_of_the_test_loans(tested: Bundle) -> None:
    card = card_of(tested)
    assert [tuple(band.values()) for band in card["bands"]] == [
        ("A", 0.05, 40, 4, 0.1),
        ("B", 0.1, 30, 3, 0.1),
        ("C", 0.2, 20, 2, 0.1),
        ("D", 0.4, 10, 1, 0.1),
        ("E", 1.0, 0, 0, None),
    ]
    scores = card["tested"]["score_percentiles"]
    assert (card["tested"]["count"], len(scores), scores[0], scores[-1]) == (100, 101, 500, 698)
    assert card["intended_use"] == ["Ranks sellers.", "Not for consumers."]
    sample = card["sample"]
    assert (sample["test_loans"], sample["test_defaults"], sample["train_loans"], sample["auc"]) == (
        100,
        10,
        None,
        None,
    )


def test_evidence_and_approval_come_from_the_tags_of_the_version(tested: Bundle) -> None:
    card = card_of(tested, **RECORD)
    for name in ("limits", "sample"):
        assert card[name] == SUMMARY[name]
    assert card["data"] == {name: SUMMARY[name] for name in ("origin", "outcomes")}
    assert card["fairness"] == {
        "measured_on": "177 test loans with 16 defaults, as of 2024-09-04 or later",
        "gaps": SUMMARY["fairness"],
    }
    assert card["alarms"] == [
        {**alarm, "accepted": accepted} for alarm, accepted in zip(SUMMARY["alarms"], (True, False), strict=True)
    ]
    assert (card["approval"]["by"], card["approval"]["reason"]) == ("Wei Zhang", RECORD["approved_because"])
    assert datetime.fromisoformat(card["approval"]["at"]) == datetime(2026, 11, 30, 10, tzinfo=UTC)
    assert card["dates"] == {
        "trained_at": "2026-11-29T16:20:00Z",
        "data_through": "2026-11-29",
        "promoted_at": card["approval"]["at"],
        "rolled_back_at": None,
    }


@pytest.mark.parametrize("broken", ["", "{", "[]", json.dumps({**SUMMARY, "sample": None})])
def test_broken_tags_are_left_out(tested: Bundle, broken: str) -> None:
    card = card_of(tested, **{**RECORD, "evidence_summary": broken})
    assert (card["limits"], card["data"], card["fairness"], card["alarms"]) == ([], None, None, [])
    assert card["approval"] is not None
    untimed = card_of(tested, **{**RECORD, "approved_at": "yesterday"})
    assert (untimed["approval"], untimed["dates"]["promoted_at"]) == (None, None)


def test_fields_of_a_later_training_are_ignored(tested: Bundle) -> None:
    sample, alarms = {**SUMMARY["sample"], "new": 1}, [{**alarm, "new": 1} for alarm in SUMMARY["alarms"]]
    later = json.dumps({**SUMMARY, "sample": sample, "alarms": alarms, "new": 1})
    assert card_of(tested, **{**RECORD, "evidence_summary": later}) == card_of(tested, **RECORD)


def test_the_card_states_the_conditions_of_a_score(bundle: Bundle) -> None:
    first, second, *rest = bundle.sheet.entries
    entries = (first, replace(second, scored=False), *rest)
    sheet = replace(bundle.sheet, entries=entries, activity=Activity(rest[0].name, 60.0, first.name))
    card = card_of(replace(bundle, sheet=sheet))
    assert [feature["name"] for feature in card["features"] if not feature["scored"]] == [second.name]
    assert card["validity"] == {
        "history": [{"feature": first.name, "least": 90.0}],
        "most_days_since_last_sale": 60.0,
        "required_tables": ["orders", "refunds"],
        "optional_tables": [],
        "max_age_days": 7,
    }
    assert card_of(bundle)["validity"]["most_days_since_last_sale"] is None


def test_the_catalogue_has_the_statement_of_each_reason(client: TestClient, bundle: Bundle) -> None:
    catalogue = Reasons.model_validate(client.get("/v1/reasons").json())
    assert catalogue == reason_catalogue(bundle)
    assert (catalogue.version, catalogue.most, catalogue.least_gain) == (bundle.reasons.version, MAX_REASONS, MIN_GAIN)
    scored = bundle.sheet.scored_entries
    assert {(reason.feature, reason.side) for reason in catalogue.reasons} == {
        (entry.name, side) for entry in scored for side in (entry.side, "missing")
    }
    assert all(reason.code == f"{reason.feature}_{reason.side}".upper() for reason in catalogue.reasons)
    assert {reason.group for reason in catalogue.reasons} == {group.name for group in catalogue.groups}
    score = client.post("/v1/scores", json={"seller_id": SELLERS[0], "purpose": "credit_application"}).json()
    statements = {reason.code: reason.bank.en for reason in catalogue.reasons}
    reasons = score["assessment"]["explanation"]["reasons"]
    assert reasons
    for reason in reasons:
        value, typical = (format_value(reason[name], reason["unit"]) for name in ("value", "typical"))
        assert statements[reason["code"]].format(value=value, typical=typical) == reason["statement"]

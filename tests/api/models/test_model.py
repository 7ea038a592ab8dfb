"""The card and the reasons are what the bundle holds, and change their ETag when another is in force."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import pytest

from api.models.bundle_store import ServedModel
from api.models.card import model_card, reason_catalogue
from api.models.schemas import CardInterval, ModelCard, Reasons
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
def recorded(bundle: Bundle) -> Bundle:
    """The bundle with a track record; band E holds no loan."""
    bands = tuple(
        BandRecord(name, loans, loans // 10) for name, loans in zip("ABCDE", (40, 30, 20, 10, 0), strict=True)
    )
    record = TrackRecord("100 loans of 2025", percentiles(range(500, 700, 2)), bands)
    use = ("Ranks sellers.", "- Not for consumers.")
    reference = replace(bundle.reference, track_record=record, intended_use=use)
    parts = BundleParts(bundle.model.text, bundle.sheet, bundle.policy, bundle.reasons, reference)
    return Bundle.from_files(pack(parts))


@pytest.mark.parametrize("path", ["/v1/model", "/v1/reasons"])
def test_what_did_not_change_is_not_sent_again(client: TestClient, recorded: Bundle, path: str) -> None:
    first = client.get(path)
    assert first.status_code == 200
    assert first.headers["cache-control"] == "private, no-cache"
    tag = first.headers["ETag"]
    for held in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = client.get(path, headers={"If-None-Match": held})
        assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", tag)
        assert "RateLimit" in again.headers
    for held in ('"other"', tag.strip('"'), ""):
        assert client.get(path, headers={"If-None-Match": held}).content == first.content
    services = client.app.state.services
    client.app.state.services = replace(services, champion=replace(services.champion, bundle=recorded))
    other = client.get(path, headers={"If-None-Match": tag})
    assert (other.status_code, other.headers["ETag"] != tag) == (200, True)
    assert other.json()["bundle"] == recorded.digest


def test_the_card_says_what_the_bundle_holds(client: TestClient, bundle: Bundle) -> None:
    answer = client.get("/v1/model").json()
    found = ModelCard.model_validate(answer)
    assert found.model_dump(mode="json") == answer
    score = client.post("/v1/scores", json={"seller_id": SELLERS[0], "purpose": "credit_application"}).json()
    versions = score["assessment"]["versions"]
    assert {name: answer[name] for name in versions} == versions
    assert (found.name, found.version) == ("sellerscore", "1")
    assert [each.name for each in found.features] == list(bundle.sheet.names)
    assert found.default_definition == score["assessment"]["default_definition"]
    assert found.reference_population == score["assessment"]["explanation"]["reference_population"]
    assert found.validation == {"auc": 0.7}
    # what an older bundle does not tell is not made up
    assert (found.tested, found.intended_use, found.limits, found.alarms) == (None, [], [], [])
    assert (found.data, found.sample, found.fairness, found.approval) == (None, None, None, None)
    assert set(found.dates.model_dump().values()) == {None}
    assert {(each.tested_loans, each.observed_default_rate) for each in found.bands} == {(None, None)}


def test_bands_are_told_with_what_became_of_their_loans(recorded: Bundle) -> None:
    found = model_card(ServedModel(recorded, "sellerscore", "2"))
    assert [(each.name, each.up_to, each.tested_loans, each.tested_bad) for each in found.bands] == [
        ("A", 0.05, 40, 4),
        ("B", 0.1, 30, 3),
        ("C", 0.2, 20, 2),
        ("D", 0.4, 10, 1),
        ("E", 1.0, 0, 0),
    ]
    assert [each.observed_default_rate for each in found.bands] == [0.1, 0.1, 0.1, 0.1, None]
    assert found.tested is not None
    assert (found.tested.count, found.tested.score_percentiles[0], found.tested.score_percentiles[-1]) == (
        100,
        500,
        698,
    )
    assert found.intended_use == ["Ranks sellers.", "Not for consumers."]


def test_evidence_and_approval_are_those_of_the_registered_version(recorded: Bundle) -> None:
    found = model_card(ServedModel(recorded, "sellerscore", "2", record=RECORD))
    assert found.limits == SUMMARY["limits"]
    assert found.data is not None
    assert found.data.origin == "simulated by sellerscore, seed 7"
    assert found.sample is not None
    assert (found.sample.test_loans, found.sample.test_defaults, found.sample.test_from) == (177, 16, date(2024, 9, 4))
    assert found.sample.auc == CardInterval(value=0.8301, low=0.7082, high=0.9274)
    assert found.fairness is not None
    assert found.fairness.measured_on == "177 test loans with 16 defaults, as of 2024-09-04 or later"
    assert [(each.by, each.measure, each.limit) for each in found.fairness.gaps] == [
        ("size", "four_fifths_ratio", 0.8),
        ("size", "score_gap", None),
    ]
    assert [(each.study, each.accepted) for each in found.alarms] == [("segments", True), ("leaks", False)]
    assert found.approval is not None
    assert (found.approval.by, found.approval.reason) == ("Wei Zhang", "Ranks new sellers better than version 2.")
    assert found.approval.at == found.dates.promoted_at == datetime(2026, 11, 30, 10, tzinfo=UTC)
    assert found.dates.trained_at == datetime(2026, 11, 29, 16, 20, tzinfo=UTC)
    assert (found.dates.data_through, found.dates.rolled_back_at) == (date(2026, 11, 29), None)


def test_without_a_record_the_sample_is_that_of_the_bundle(recorded: Bundle) -> None:
    found = model_card(ServedModel(recorded, "sellerscore", "2"))
    assert found.sample is not None
    assert (found.sample.test_loans, found.sample.test_defaults, found.sample.auc) == (100, 10, None)


@pytest.mark.parametrize("broken", ["", "{", "[]", json.dumps({**SUMMARY, "sample": None})])
def test_a_broken_record_is_left_out_and_the_approval_stays(recorded: Bundle, broken: str) -> None:
    found = model_card(ServedModel(recorded, "sellerscore", "2", record={**RECORD, "evidence_summary": broken}))
    assert (found.limits, found.data, found.fairness, found.alarms) == ([], None, None, [])
    assert found.approval is not None
    untimed = model_card(ServedModel(recorded, "sellerscore", "2", record={**RECORD, "approved_at": "yesterday"}))
    assert (untimed.approval, untimed.dates.promoted_at) == (None, None)


def test_a_record_of_a_later_training_is_read_all_the_same(recorded: Bundle) -> None:
    later = json.dumps({**SUMMARY, "reviewed": True})
    found = model_card(ServedModel(recorded, "sellerscore", "2", record={**RECORD, "evidence_summary": later}))
    assert found.limits == SUMMARY["limits"]


def test_each_reason_says_its_words_and_its_features(client: TestClient, bundle: Bundle) -> None:
    answer = client.get("/v1/reasons").json()
    found = Reasons.model_validate(answer)
    assert found == reason_catalogue(bundle)
    assert (found.version, found.most, found.least_gain) == (bundle.reasons.version, MAX_REASONS, MIN_GAIN)
    sides = {(each.feature, each.side) for each in found.reasons}
    scored = bundle.sheet.scored_entries
    assert sides == {(entry.name, side) for entry in scored for side in (entry.side, "missing")}
    assert [each.code for each in found.reasons] == [f"{each.feature}_{each.side}".upper() for each in found.reasons]
    assert {each.group for each in found.reasons} == {each.name for each in found.groups}
    score: dict[str, Any] = client.post(
        "/v1/scores", json={"seller_id": SELLERS[0], "purpose": "credit_application"}
    ).json()
    words = {each.code: each.bank.en for each in found.reasons}
    given = score["assessment"]["explanation"]["reasons"]
    assert given
    for each in given:
        value, typical = (format_value(each[name], each["unit"]) for name in ("value", "typical"))
        assert words[each["code"]].format(value=value, typical=typical) == each["statement"]


def test_the_card_says_what_a_seller_needs_and_which_features_are_scored(bundle: Bundle) -> None:
    first, second, *rest = bundle.sheet.entries
    entries = (first, replace(second, scored=False), *rest)
    sheet = replace(bundle.sheet, entries=entries, activity=Activity(rest[0].name, 60.0, first.name))
    found = model_card(ServedModel(replace(bundle, sheet=sheet), "sellerscore", "2"))
    assert [each.name for each in found.features if not each.scored] == [second.name]
    validity = found.validity
    assert (validity.most_days_since_last_sale, validity.max_age_days) == (60.0, 7)
    assert (validity.required_tables, validity.optional_tables) == (["orders", "refunds"], [])
    assert model_card(ServedModel(bundle, "sellerscore", "2")).validity.most_days_since_last_sale is None

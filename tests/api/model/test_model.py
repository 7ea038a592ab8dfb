"""The card and the reasons are what the bundle holds, and change their ETag when another is in force."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from api.model.schemas import ModelCard, Reasons
from api.model.service import card, reason_catalogue
from api.model_store import Served
from scoring import Bundle, BundleParts, pack
from scoring.figures import figure
from scoring.reasons import LEAST_GAIN, MOST_REASONS
from scoring.sheet import Activity
from scoring.track_record import BandRecord, TrackRecord, percentiles
from tests.api.conftest import SELLERS

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
    assert (found.tested, found.intended_use) == (None, [])
    assert {(each.tested_loans, each.observed_default_rate) for each in found.bands} == {(None, None)}


def test_bands_are_told_with_what_became_of_their_loans(recorded: Bundle) -> None:
    found = card(Served(recorded, "sellerscore", "2"))
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


def test_each_reason_says_its_words_and_its_features(client: TestClient, bundle: Bundle) -> None:
    answer = client.get("/v1/reasons").json()
    found = Reasons.model_validate(answer)
    assert found == reason_catalogue(bundle)
    assert (found.version, found.most, found.least_gain) == (bundle.reasons.version, MOST_REASONS, LEAST_GAIN)
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
        value, typical = (figure(each[name], each["unit"]) for name in ("value", "typical"))
        assert words[each["code"]].format(value=value, typical=typical) == each["statement"]


def test_the_card_says_what_a_seller_needs_and_which_features_are_scored(bundle: Bundle) -> None:
    first, second, *rest = bundle.sheet.entries
    entries = (first, replace(second, scored=False), *rest)
    sheet = replace(bundle.sheet, entries=entries, activity=Activity(rest[0].name, 60.0, first.name))
    found = card(Served(replace(bundle, sheet=sheet), "sellerscore", "2"))
    assert [each.name for each in found.features if not each.scored] == [second.name]
    validity = found.validity
    assert (validity.most_days_since_last_sale, validity.max_age_days) == (60.0, 7)
    assert (validity.required_tables, validity.optional_tables) == (["orders", "refunds"], [])
    assert card(Served(bundle, "sellerscore", "2")).validity.most_days_since_last_sale is None

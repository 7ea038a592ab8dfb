"""Corrections of figures: bounds and unit, the effect before it is saved, confirmation of a new band, and reversal."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from api.auth.scopes import ClientKind, scopes_of
from api.auth.sessions import UserKind
from api.kit.database import transaction
from api.ledger.verification import verify
from api.operations.ledger_checks import all_checks
from api.reviews.corrections import Figure, Preview, preview_correction
from tests.api.conftest import AS_OF, SELLERS, SNAPSHOT, fill
from tests.api.started import register_of
from tests.api.web.conftest import Browser, OpenBrowser, create_operator, current_score, open_review, text_of

SELLER, FIGURE = SELLERS[0], "signal_00"
UNITS = "4 is 400.0%, which is out of range. Allowed are values from 0 (0.0%) to 1 (100.0%)"
Call = Callable[..., Any]


def preview(browser: Browser, value: float) -> Preview:
    with transaction(browser.services.engine) as connection:
        return preview_correction(browser.services, connection, Figure(SELLER, FIGURE, value), datetime.now(UTC))


def value_that(browser: Browser, *, changes_band: bool) -> float:
    """Return a correct value that changes the score, and the band or not."""
    values = [step / 50 for step in range(51)]
    found = (preview(browser, value) for value in values)
    usual = (each for each in found if not each.is_unusual)
    suitable = (each for each in usual if each.changes_band is changes_band and each.before.score != each.after.score)
    value = next(suitable).correction.value
    assert value is not None
    return value


@pytest.fixture
def call(browser: Browser) -> Call:
    """Make a call as an operator."""
    created = register_of(browser.services).create(ClientKind.OPERATOR, "O", now=datetime.now(UTC)).client
    token = browser.services.auth.tokens.issue(created.id, created.kind, scopes_of(created.kind), datetime.now(UTC))

    def send(path: str, **body: Any) -> Any:
        headers = {"Authorization": f"Bearer {token}"}
        return browser.client.post(f"/v1/reviews/{path}", json=body, headers=headers)

    return send


def problem(response: Any) -> tuple[int, str]:
    content = response.json()
    return response.status_code, content["errors"][0]["message"] if "errors" in content else content["detail"]


def test_a_value_in_the_wrong_unit_is_refused_with_the_allowed_range(browser: Browser, call: Call) -> None:
    """4 was meant as 4%."""
    review, before = open_review(browser, SELLER, FIGURE).id, current_score(browser, SELLER)
    decision = {"outcome": "corrected", "reason": "It was wrong."}
    for value, message in ((4.0, UNITS), (-0.01, "-0.01 is -1.0%, which is out of range"), (1e300, "out of range")):
        for path, fields in ((f"{review}/preview", {}), (f"{review}/decision", decision)):
            status, detail = problem(call(path, value=value, **fields))
            assert (status, message in detail) == (422, True), detail
    assert current_score(browser, SELLER) == before
    assert problem(call(f"{review}/preview", value=0.1, feature="no such"))[0] == 422


@pytest.mark.databases
def test_the_preview_is_the_result_and_a_new_band_must_be_confirmed(browser: Browser, call: Call) -> None:
    review, before = open_review(browser, SELLER, FIGURE).id, current_score(browser, SELLER)["assessment"]
    value = value_that(browser, changes_band=True)
    shown = call(f"{review}/preview", value=value).json()
    assert shown["changes_band"] is True
    assert [shown[name] for name in ("feature", "unit", "lowest", "highest")] == [FIGURE, "ratio", 0.0, 1.0]
    assert shown["shown"] == f"{100 * value:.1f}%"
    assert shown["before"] == {name: before[name] for name in ("outcome", "score", "band")}
    assert current_score(browser, SELLER)["assessment"] == before, "nothing is stored"
    decision = {"outcome": "corrected", "reason": "It was wrong.", "value": value}
    for confirm in ({}, {"confirm_band": before["band"]}):
        status, detail = problem(call(f"{review}/decision", **decision, **confirm))
        assert (status, f"confirm_band '{shown['after']['band']}' to confirm" in detail) == (409, True), detail
    assert current_score(browser, SELLER)["assessment"] == before
    assert call(f"{review}/decision", **decision, confirm_band=shown["after"]["band"]).status_code == 200
    after = current_score(browser, SELLER)["assessment"]
    assert {name: after[name] for name in ("outcome", "score", "band")} == shown["after"]


def test_a_correction_within_the_band_needs_no_confirmation(browser: Browser, call: Call) -> None:
    review, value = open_review(browser, SELLER, FIGURE).id, value_that(browser, changes_band=False)
    assert call(f"{review}/decision", outcome="corrected", reason="Wrong.", value=value).status_code == 200


@pytest.mark.databases
def test_a_reversal_restores_the_delivered_value_and_is_on_the_ledger(browser: Browser, call: Call) -> None:
    before, reviews = current_score(browser, SELLER)["assessment"], []
    for value in (value_that(browser, changes_band=True), value_that(browser, changes_band=True)):
        reviews.append(open_review(browser, SELLER, FIGURE).id)
        band = preview(browser, value).new_band
        decision = {"outcome": "corrected", "reason": "It was wrong.", "value": value, "confirm_band": band}
        assert call(f"{reviews[-1]}/decision", **decision).status_code == 200
    first, second = reviews
    reversal = {"reason": "The unit was mistaken."}
    assert problem(call(f"{first}/reversal", **reversal))[1].startswith("The current figures do not use a correction")
    # the band was changed twice, so it may be the delivered one now
    if current_score(browser, SELLER)["assessment"]["band"] != before["band"]:
        assert problem(call(f"{second}/reversal", **reversal))[0] == 409
        reversal["confirm_band"] = before["band"]
    reversed_by = call(f"{second}/reversal", **reversal)
    assert reversed_by.status_code == 201, reversed_by.text
    review = reversed_by.json()
    assert reversed_by.headers["location"] == f"/v1/reviews/{review['id']}"
    assert (review["kind"], review["state"], review["outcome"]) == ("reversal", "decided", "corrected")
    assert review["statement"] == f"Reverses the correction of review {second}."
    after = current_score(browser, SELLER)
    assert (after["id"], after["assessment"]) == (review["new_score_id"], before)
    for again in (second, review["id"], first):
        assert call(f"{again}/reversal", **reversal).status_code == 409
    services = browser.services
    checks = all_checks(services.receipts.jwks)
    assert verify(services.engine, services.ledger, services.receipts.jwks, checks).faults == ()
    browser.log_in(SELLER)
    page = browser.get("/seller/reviews").text
    assert "We reversed a correction" in page
    assert "The unit was mistaken." in page
    assert review["statement"] not in page
    assert "<strong>The delivered value was restored</strong>" in page
    overview = text_of(browser.get("/seller"))
    assert "A correction was reversed: the delivered value was restored. This score replaces" in overview
    assert "A figure was corrected" not in overview


def test_each_preview_is_logged_without_the_seller(
    browser: Browser, open_browser: OpenBrowser, call: Call, caplog: pytest.LogCaptureFixture
) -> None:
    review, value = open_review(browser, SELLER, FIGURE).id, value_that(browser, changes_band=False)
    operator_id = create_operator(browser)
    operator = open_browser().log_in(operator_id, UserKind.OPERATOR)
    operator.get(f"/operator/reviews/{review}")
    decision = {"outcome": "corrected", "reason": "Wrong.", "feature": FIGURE, "value": str(value)}
    with caplog.at_level(logging.INFO, "api.audit"):
        assert call(f"{review}/preview", value=value).status_code == 200
        assert operator.post(f"/operator/reviews/{review}/decide", **decision).status_code == 200
        assert operator.post(f"/operator/reviews/{review}/decide", **decision, save="1").status_code == 303
        assert operator.post(f"/operator/reviews/{review}/reverse", reason="Undo it.").status_code == 200
    lines = [record.getMessage() for record in caplog.records if record.name == "api.audit"]
    end = f" previewed a correction of {FIGURE} for the review {review}"
    assert [line.endswith(end) for line in lines] == [True] * 3
    assert [operator_id in line for line in lines] == [False, True, True]
    assert SELLER not in str(lines)


def test_a_decided_review_shows_the_value_before_and_after(browser: Browser, open_browser: OpenBrowser) -> None:
    review, value = open_review(browser, SELLER, FIGURE).id, value_that(browser, changes_band=False)
    found = preview(browser, value).correction.found
    operator = open_browser().log_in(create_operator(browser), UserKind.OPERATOR)
    text = text_of(operator.get(f"/operator/reviews/{review}"))
    assert "A decision cannot be changed; a correction can be reversed later." in text
    assert "Former value" not in text
    decision = {"outcome": "corrected", "reason": "Wrong.", "feature": FIGURE, "value": str(value), "save": "1"}
    assert operator.post(f"/operator/reviews/{review}/decide", **decision).status_code == 303
    text = text_of(operator.get(f"/operator/reviews/{review}"))
    assert f"Former value {found:.6g} (" in text
    assert f"New value {value:.6g} (" in text
    assert "Reverse the correction" in text
    assert "final" not in text


def test_a_refused_form_names_its_fields(browser: Browser, open_browser: OpenBrowser) -> None:
    review = open_review(browser, SELLER, FIGURE).id
    operator = open_browser().log_in(create_operator(browser), UserKind.OPERATOR)
    operator.get(f"/operator/reviews/{review}")
    for fields, labels in (
        ({"outcome": "corrected", "reason": "Wrong.", "feature": FIGURE, "value": "two"}, ["Correct value"]),
        ({"outcome": "corrected", "reason": "Wrong.", "feature": "none", "value": "0.1"}, ["Figure to correct"]),
        ({"outcome": "confirmed", "reason": " "}, ["Reason (shown to the seller)"]),
        ({"outcome": "maybe", "reason": "x" * 5_000}, ["Outcome", "Reason (shown to the seller)"]),
    ):
        response = operator.post(f"/operator/reviews/{review}/decide", **fields)
        assert response.status_code == 422
        assert re.findall("<li>([^<]+)</li>", response.text) == labels
        assert "Fields to correct:" in response.text
        assert f'href="/operator/reviews/{review}"' in response.text


@pytest.mark.parametrize("value", ["4%", "0,04", "", "abc"])
def test_a_value_that_is_no_number_is_explained(browser: Browser, open_browser: OpenBrowser, value: str) -> None:
    path = f"/operator/reviews/{open_review(browser, SELLER, FIGURE).id}"
    operator = open_browser().log_in(create_operator(browser), UserKind.OPERATOR)
    operator.get(path)
    shown = operator.post(f"{path}/decide", outcome="corrected", reason="Wrong.", feature=FIGURE, value=value)
    assert "a number such as 0.04, with a point as decimal separator and without a % sign" in text_of(shown)
    assert f'href="{path}"' in shown.text


def test_a_correction_of_earlier_data_cannot_be_reversed(browser: Browser, call: Call) -> None:
    review, value = open_review(browser, SELLER, FIGURE).id, value_that(browser, changes_band=False)
    assert call(f"{review}/decision", outcome="corrected", reason="Wrong.", value=value).status_code == 200
    fill(browser.services.settings.home, replace(SNAPSHOT, as_of=AS_OF + timedelta(days=1), data_version="data-9"))
    assert call(f"{review}/reversal", reason="Undo it.").json()["type"] == "/problems/correction-not-active"


@pytest.mark.parametrize(
    ("language", "words"),
    {
        "en": ("Nothing is saved yet", "Allowed values 0 (0.0%) – 1 (100.0%)", "I confirm that the band changes from"),
        "zh": ("尚未保存任何内容", "允许的数值 0 (0.0%) – 1 (100.0%)", "我确认等级由"),
    }.items(),
)
def test_an_operator_sees_the_effect_before_it_is_saved_and_can_reverse_it(
    browser: Browser, open_browser: OpenBrowser, language: str, words: tuple[str, ...]
) -> None:
    review, before = open_review(browser, SELLER, FIGURE).id, current_score(browser, SELLER)["assessment"]
    value = value_that(browser, changes_band=True)
    band = preview(browser, value).new_band
    operator = open_browser().log_in(create_operator(browser), UserKind.OPERATOR, language)
    path = f"/operator/reviews/{review}"
    assert "0 (0.0%) – 1 (100.0%)" in text_of(operator.get(path))
    fields = {"outcome": "corrected", "reason": "<It> was wrong.", "feature": FIGURE, "value": str(value)}
    shown = operator.post(f"{path}/decide", **fields)
    assert shown.status_code == 200
    for word in (*words, f"{before['score']} ({before['band']})", f"({band})", f"{value:g} ({100 * value:.1f}%)"):
        assert word in text_of(shown)
    assert f'name="confirm_band" value="{band}" required' in shown.text
    assert current_score(browser, SELLER)["assessment"] == before
    hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', shown.text))
    assert hidden == hidden | {"outcome": "corrected", "feature": FIGURE, "value": str(value), "save": "1"}
    refused = operator.post(f"{path}/decide", **fields, save="1")
    assert (refused.status_code, current_score(browser, SELLER)["assessment"]) == (409, before)
    assert operator.post(f"{path}/decide", **fields, save="1", confirm_band=band).status_code == 303
    assert current_score(browser, SELLER)["assessment"]["band"] == band
    assert f'action="{path}/reverse"' in operator.get(path).text
    undo = {"reason": "The unit was mistaken."}
    assert f"({before['band']})" in text_of(operator.post(f"{path}/reverse", **undo))
    saved = operator.post(f"{path}/reverse", **undo, save="1", confirm_band=before["band"])
    assert (saved.status_code, saved.headers["location"]) == (303, "/operator?done=reversed")
    assert current_score(browser, SELLER)["assessment"] == before
    assert f'action="{path}/reverse"' not in operator.get(path).text


def test_an_operator_cannot_save_a_value_out_of_range(browser: Browser, open_browser: OpenBrowser) -> None:
    path = f"/operator/reviews/{open_review(browser, SELLER, FIGURE).id}"
    operator = open_browser().log_in(create_operator(browser), UserKind.OPERATOR)
    operator.get(path)
    fields = {"outcome": "corrected", "reason": "It was wrong.", "feature": FIGURE, "value": "4"}
    shown = operator.post(f"{path}/decide", **fields)
    assert "4 (400.0%)" in text_of(shown)
    assert "The new value is not allowed. Go back and correct it. Enter 4% as 0.04." in text_of(shown)
    assert 'name="save"' not in shown.text
    assert operator.post(f"{path}/decide", **fields, save="1").status_code == 422


def test_an_unusual_value_must_be_confirmed(browser: Browser, open_browser: OpenBrowser, call: Call) -> None:
    review = open_review(browser, SELLER, FIGURE).id
    shown = call(f"{review}/preview", value=0.0).json()
    assert shown["unusual"] is True
    decision = {"outcome": "corrected", "reason": "Wrong.", "value": 0.0, "confirm_band": shown["after"]["band"]}
    status, detail = problem(call(f"{review}/decision", **decision))
    assert (status, "Send confirm_value with true to confirm the value" in detail) == (409, True), detail
    operator = open_browser().log_in(create_operator(browser), UserKind.OPERATOR)
    operator.get(f"/operator/reviews/{review}")
    fields = {"outcome": "corrected", "reason": "Wrong.", "feature": FIGURE, "value": "0"}
    page = operator.post(f"/operator/reviews/{review}/decide", **fields)
    assert "The new value is unusual. I checked its unit (4% is 0.04) and confirm it." in text_of(page)
    assert 'name="confirm_value" value="1" required' in page.text
    assert call(f"{review}/decision", **decision, confirm_value=True).status_code == 200

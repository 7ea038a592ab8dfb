"""The printable report: every number of the signed score, a file that loads nothing, and no text becomes markup."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import api.models.bundle_store
from api.scores.inputs import to_vector
from api.web.charts import position_chart
from api.web.report import report_document
from features.store.vectors import StoredVector
from scoring import Advice, AdviceVerdict, Assessment, Bundle, BundleParts, Outcome, assess, pack, serialize_assessment
from scoring.advice import Change, Option
from scoring.formatting import Language
from scoring.outcome import Shortfall
from scoring.track_record import BandRecord, TrackRecord, percentiles
from tests.api.conftest import NAMES, NEWCOMER, SELLERS, SNAPSHOT
from tests.api.shop import serve_bundle

if TYPE_CHECKING:
    from httpx import Response
    from starlette.testclient import TestClient

HOSTILE = "<script>alert('1')</script>\"&{{7*7}}</style><svg onload=x>"
NOW = datetime(2026, 2, 1, tzinfo=UTC)
RECEIPT = "eyJhbGciOiJFZERTQSIsImtpZCI6ImtleS0xIn0.e30.c2lnbmF0dXJl"
"""A JWS of the key `key-1`; the page shows its signature and does not verify it."""

VOID = frozenset({"br", "meta", "rect", "line", "path"})


class Read(HTMLParser):
    """Every element of a page, with what it may load or run, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


@pytest.fixture(scope="module")
def tested(bundle: Bundle) -> Bundle:
    """The bundle with the scores of the loans that it was tested on."""
    counts = zip("ABCDE", (40, 30, 20, 10, 0), strict=True)
    bands = tuple(BandRecord(name, loans, loans // 10) for name, loans in counts)
    record = TrackRecord("100 loans of 2025", percentiles(range(400, 600, 2)), bands)
    reference = replace(bundle.reference, track_record=record)
    return Bundle.from_files(
        pack(BundleParts(bundle.model.text, bundle.sheet, bundle.policy, bundle.reasons, reference))
    )


def score_seller(client: TestClient, seller_id: str = SELLERS[0]) -> dict[str, Any]:
    response = client.post("/v1/scores", json={"seller_id": seller_id, "purpose": "credit_application"})
    assert response.status_code == 201, response.text
    return dict(response.json())


def report_of(client: TestClient, score: dict[str, Any]) -> Response:
    response: Response = client.get(f"/v1/scores/{score['id']}/report")
    assert response.status_code == 200, response.text
    return response


def render(
    body: dict[str, Any], bundle: Bundle | None = None, advice: Advice | None = None, bank_name: str = "Bank"
) -> str:
    """Render the report of a score that is not signed."""
    return bytes(report_document(json.dumps(body).encode(), bundle, advice, bank_name, NOW).body).decode()


@pytest.fixture(scope="module")
def assessment(bundle: Bundle) -> Assessment:
    values = (400.0, *(number / 20 for number in range(1, len(NAMES) - 1)), None)
    return assess(bundle, [to_vector(StoredVector("S-1", SNAPSHOT, values))])[0]


def envelope(assessment: Assessment, **fields: Any) -> dict[str, Any]:
    return {
        "id": "0b8f3f0e-2f0c-4e0b-9d3c-8a2b6a1f7c55",
        "seller_id": "S-1",
        "bank_id": "bank-1",
        "purpose": "credit_application",
        "scored_at": "2026-02-01T09:30:00.000Z",
        "expires_at": "2026-03-03T09:30:00.000Z",
        "consent_id": "consent-17",
        "ledger": {"chain": "bank-1", "position": 7, "head": "5f70"},
        "receipt": RECEIPT,
        "assessment": json.loads(serialize_assessment(assessment)),
        **fields,
    }


def test_the_report_has_every_number_of_the_score_and_its_proof(client: TestClient) -> None:
    score = score_seller(client)
    text = Read(report_of(client, score).text).text
    assessment = score["assessment"]
    explanation, versions = assessment["explanation"], assessment["versions"]
    for part in (
        f"Seller {SELLERS[0]}: score {assessment['score']}, band {assessment['band']}",
        f"{100 * assessment['probability_of_default']:.2f}%",
        assessment["default_definition"],
        explanation["reference_population"],
        *(f"{each['statement']} {each['code']} {each['gain']:+d}" for each in explanation["reasons"]),
        score["id"],
        f"Demo bank, {score['bank_id']}",
        *(versions[name] for name in ("model", "bundle", "catalogue", "reasons")),
        score["ledger"]["head"],
        f"Consent {score['consent_id']}",
        f"row {score['ledger']['position']} of the chain",
        score["receipt"].split(".")[2],
        client.get("/.well-known/jwks.json").json()["keys"][0]["kid"],
    ):
        assert part in text
    appendix = text[text.index("Appendix") :]
    points = [int(number) for number in re.findall(r"(?<= )(?:[+-]\d+|0)(?= )", appendix + " ")]
    assert points == [each["points"] for each in explanation["contributions"]]
    assert explanation["base_points"] + sum(points) == assessment["score"]


def test_the_report_is_one_file_that_loads_and_runs_nothing(client: TestClient) -> None:
    response = report_of(client, score_seller(client))
    page = Read(response.text)
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers["cache-control"] == "no-store"
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert not {"script", "link", "img", "iframe", "object", "form", "a"} & set(page.tags)
    # the policy allows no style attribute
    assert not {name for name in page.attributes if name.startswith("on")} | {"style", "src", "href"} & page.attributes
    assert page.open == []
    assert len(response.content) < 100_000


def test_only_an_expired_score_has_a_note(assessment: Assessment) -> None:
    body = envelope(assessment)
    assert "expired" not in render(body)
    text = Read(render({**body, "expires_at": "2026-01-31T23:59:59.000Z"})).text
    assert "expired 2026-01-31 23:59 UTC" in text
    assert "Request a new score" in text
    assert "valid until" not in text


def test_the_report_of_a_short_history_states_what_is_missing(client: TestClient) -> None:
    text = Read(report_of(client, score_seller(client, NEWCOMER)).text).text
    for part in ("No score", "Sales on too few days for a score", "Days on platform: 10. A score needs 90.", NEWCOMER):
        assert part in text
    assert not re.search(r"Appendix|Principal reasons|From base points", text)


def test_each_outcome_without_a_score_states_what_is_missing(assessment: Assessment) -> None:
    bare: dict[str, Any] = {"score": None, "band": None, "probability_of_default": None, "explanation": None}
    for outcome, shortfall, text in (
        (Outcome.INSUFFICIENT_DATA, Shortfall("refunds", None, "delivered"), "Refunds and returns: not delivered."),
        (
            Outcome.STALE_DATA,
            Shortfall("orders", "2026-01-01", "at most 7 days before 2026-02-01"),
            "Orders: delivered until 1 Jan 2026, 30 days before the request on 31 Jan 2026.",
        ),
        # without the bundle of the model there are no labels
        (
            Outcome.INSUFFICIENT_HISTORY,
            Shortfall("days_on_platform", None, 90.0),
            "days_on_platform: not known. A score needs 90.",
        ),
    ):
        unscored = replace(assessment, outcome=outcome, shortfalls=(shortfall,), **bare)
        assert text in Read(render(envelope(unscored))).text


def test_the_comparison_is_that_of_the_bundle_of_the_score(client: TestClient, tested: Bundle) -> None:
    with serve_bundle(client, tested):
        score = score_seller(client)
    text = Read(report_of(client, score).text).text
    record = tested.reference.track_record
    assert record is not None
    assert f"{record.percent_below(score['assessment']['score'])} in 100 of 100 loans of 2025" in text
    assert f"{score['assessment']['band']} (this score)" in text
    assert "E 100.0% 0 0.0% 0 –" in text
    # the current champion has no tested loans
    assert "does not include the scores" in Read(report_of(client, score_seller(client)).text).text
    api.models.bundle_store._load_cached.cache_clear()
    folder = client.app.state.services.settings.home / "bundles" / tested.digest.removeprefix("sha256:")
    (folder / "policy.json").unlink()
    text = Read(report_of(client, score).text).text
    assert "is no longer stored here" in text
    assert f"score {score['assessment']['score']}" in text


@pytest.mark.parametrize("score", [300, 401, 500, 598, 599, 900])
def test_the_chart_of_tested_scores_contains_any_score(score: int) -> None:
    chart = position_chart(score, percentiles(range(400, 600, 2)))
    places = [float(place) for place in re.findall(r' (?:x|x1|x2)="([^"]+)"', chart)]
    assert all(0 <= place <= 760 for place in places)
    assert f"this score: {score}" in chart


def test_letter_sentences_and_advice_are_shown(bundle: Bundle, assessment: Assessment) -> None:
    change = Change("signal_01", "Signal <1>", "ratio", "group_1", 0.0621, 0.041)
    option = Option((change,), 0.4, 655, 12, "A")
    page = render(envelope(assessment), bundle, Advice(AdviceVerdict.FOUND, "B", "A", (option,), days=90))
    assert assessment.explanation is not None
    for reason in assessment.explanation.reasons:
        english, chinese = (bundle.reasons.statement(reason, "letter", language) for language in Language)
        assert f"{english} {chinese}" in Read(page).text
    assert "Signal <1> from 6.2% to 4.1%: 655 points, +12" in Read(page).text
    assert "Signal &lt;1&gt;" in page


@dataclass(frozen=True)
class Example:
    """An assessment that hypothesis does not print."""

    assessment: Assessment = field(repr=False)


@pytest.fixture(scope="module")
def example(assessment: Assessment) -> Example:
    return Example(assessment)


@settings(max_examples=50, deadline=None)
@given(
    text=st.just(HOSTILE) | st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=80)
)
def test_no_text_becomes_markup(example: Example, text: str) -> None:
    plain = example.assessment
    assert plain.explanation is not None
    explanation = replace(
        plain.explanation,
        reference_population=text,
        contributions=tuple(each._replace(label=text) for each in plain.explanation.contributions),
        reasons=tuple(replace(each, code=text, statement=text) for each in plain.explanation.reasons),
    )
    assessment = replace(plain, explanation=explanation, default_definition=text)
    names = ("id", "seller_id", "bank_id", "purpose", "consent_id")
    hostile = Read(render(envelope(assessment, **dict.fromkeys(names, text)), bank_name=text))
    tame = Read(render(envelope(plain, **dict.fromkeys(names, "x"))))
    assert (hostile.tags, hostile.attributes) == (tame.tags, tame.attributes)

"""The page says what the signed score says, to a number; it needs nothing, and no id or word becomes markup."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import api.models.bundle_store
from api.auth import clients as access
from api.kit.database import transaction
from api.models.bundle_store import save_bundle
from api.scores.inputs import to_vector
from api.web.documents import render_document
from api.web.report import build_report, score_position, waterfalls
from features.store.vectors import StoredVector
from scoring import Advice, AdviceVerdict, Assessment, Bundle, BundleParts, Outcome, assess, pack, serialize_assessment
from scoring.advice import Change, Option
from scoring.outcome import Shortfall
from scoring.track_record import BandRecord, TrackRecord, percentiles
from tests.api.conftest import NAMES, NEWCOMER, SELLERS, SNAPSHOT, bank_of

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
def recorded(bundle: Bundle) -> Bundle:
    bands = tuple(
        BandRecord(name, loans, loans // 10) for name, loans in zip("ABCDE", (40, 30, 20, 10, 0), strict=True)
    )
    record = TrackRecord("100 loans of 2025", percentiles(range(400, 600, 2)), bands)
    reference = replace(bundle.reference, track_record=record)
    parts = BundleParts(bundle.model.text, bundle.sheet, bundle.policy, bundle.reasons, reference)
    return Bundle.from_files(pack(parts))


def ask(client: TestClient, seller_id: str = SELLERS[0]) -> dict[str, Any]:
    answer = client.post("/v1/scores", json={"seller_id": seller_id, "purpose": "credit_application"})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def shown(client: TestClient, score: dict[str, Any]) -> Response:
    answer: Response = client.get(f"/v1/scores/{score['id']}/report")
    assert answer.status_code == 200, answer.text
    return answer


@contextmanager
def judged_by(client: TestClient, bundle: Bundle) -> Iterator[None]:
    services = client.app.state.services
    files = pack(BundleParts(bundle.model.text, bundle.sheet, bundle.policy, bundle.reasons, bundle.reference))
    save_bundle(services.settings, bundle.digest, files)
    client.app.state.services = replace(services, champion=replace(services.champion, bundle=bundle))
    yield
    client.app.state.services = services


def demo_name(client: TestClient) -> str:
    with transaction(client.app.state.services.engine) as connection:
        found = access.find_client(connection, bank_of(client))
    assert found is not None
    return found.name


def written(
    body: dict[str, Any], bundle: Bundle | None = None, advice: Advice | None = None, bank_name: str = "Bank"
) -> str:
    """Fill the page in with an answer that need not have been signed."""
    found = build_report(json.dumps(body).encode(), bundle, advice, NOW)
    drawn = waterfalls(str(body["seller_id"]), found.assessment)
    return bytes(render_document("report.html", report=found, bank_name=bank_name, **drawn).body).decode()


def assessed(bundle: Bundle, seller_id: str = "S-1") -> Assessment:
    values = (400.0, *(number / 20 for number in range(1, len(NAMES) - 1)), None)
    return assess(bundle, [to_vector(StoredVector(seller_id, SNAPSHOT, values))])[0]


def answered(assessment: Assessment, **envelope: Any) -> dict[str, Any]:
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
        **envelope,
    }


def test_the_page_says_every_number_of_the_score(client: TestClient) -> None:
    score = ask(client)
    page = Read(shown(client, score).text).text
    assessment = score["assessment"]
    explanation = assessment["explanation"]
    assert f"Seller {SELLERS[0]}: score {assessment['score']}, band {assessment['band']}" in page
    assert f"{100 * assessment['probability_of_default']:.2f}%" in page
    assert assessment["default_definition"] in page
    assert explanation["reference_population"] in page
    for each in explanation["reasons"]:
        assert f"{each['statement']} {each['code']} {each['gain']:+d}" in page
    appendix = page[page.index("Appendix") :]
    points = [int(found) for found in re.findall(r"(?<= )(?:[+-]\d+|0)(?= )", appendix + " ")]
    assert points == [each["points"] for each in explanation["contributions"]]
    assert explanation["base_points"] + sum(points) == assessment["score"]


def test_the_page_names_what_proves_it(client: TestClient) -> None:
    score = ask(client)
    page = Read(shown(client, score).text).text
    versions = score["assessment"]["versions"]
    kid = client.get("/.well-known/jwks.json").json()["keys"][0]["kid"]
    for each in (
        score["id"],
        f"{demo_name(client)}, {score['bank_id']}",
        versions["model"],
        versions["bundle"],
        versions["catalogue"],
        versions["reasons"],
        score["ledger"]["head"],
        f"Consent {score['consent_id']}",
        f"row {score['ledger']['position']} of the chain",
        score["receipt"].split(".")[2],
        kid,
    ):
        assert each in page


def test_it_is_one_file_that_loads_and_runs_nothing(client: TestClient) -> None:
    answer = shown(client, ask(client))
    page = Read(answer.text)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert not {"script", "link", "img", "iframe", "object", "form", "a"} & set(page.tags)
    # the policy lets no style stand at an element
    assert not {each for each in page.attributes if each.startswith("on")} | {"style", "src", "href"} & page.attributes
    assert page.open == []
    assert len(answer.content) < 100_000


def test_an_expired_score_says_so_and_one_that_is_not_does_not(bundle: Bundle) -> None:
    body = answered(assessed(bundle))
    assert "expired" not in written(body)
    page = Read(written({**body, "expires_at": "2026-01-31T23:59:59.000Z"})).text
    assert "expired 2026-01-31 23:59 UTC" in page
    assert "Request a new score" in page
    assert "valid until" not in page


def test_a_short_history_is_told_in_words_with_what_lacks(client: TestClient) -> None:
    page = Read(shown(client, ask(client, NEWCOMER)).text).text
    assert "No score" in page
    assert "Sales on too few days for a score" in page
    assert "Days on platform: 10. A score needs 90." in page
    assert NEWCOMER in page
    assert not {"Appendix", "Principal reasons", "From base points"} & set(
        re.findall(r"Appendix|Principal reasons|From base points", page)
    )


@pytest.mark.parametrize(
    ("outcome", "lack", "words"),
    [
        (Outcome.INSUFFICIENT_DATA, Shortfall("refunds", None, "delivered"), "Refunds and returns: not delivered."),
        (
            Outcome.STALE_DATA,
            Shortfall("orders", "2026-01-01", "at most 7 days before 2026-02-01"),
            "Orders: delivered until 1 Jan 2026, 30 days before the request on 31 Jan 2026.",
        ),
        (
            Outcome.INSUFFICIENT_HISTORY,
            Shortfall("days_on_platform", None, 90.0),
            "days_on_platform: not known. A score needs 90.",
        ),
    ],
)
def test_each_outcome_without_a_number_says_what_lacks(
    bundle: Bundle, outcome: Outcome, lack: Shortfall, words: str
) -> None:
    bare = {"score": None, "band": None, "probability_of_default": None, "explanation": None}
    page = Read(written(answered(replace(assessed(bundle), outcome=outcome, shortfalls=(lack,), **bare)))).text
    assert "No score" in page
    assert words in page


def test_the_comparison_is_that_of_the_bundle_that_made_the_score(client: TestClient, recorded: Bundle) -> None:
    with judged_by(client, recorded):
        score = ask(client)
    page = Read(shown(client, score).text).text
    standing = score_position(assessed(recorded), recorded)
    assert standing is not None
    lower = recorded.reference.track_record.percent_below(score["assessment"]["score"])
    assert f"{lower} in 100 of 100 loans of 2025" in page
    assert f"{score['assessment']['band']} (this score)" in page
    assert "E 100.0% 0 0.0% 0 –" in page
    # the champion of now knows of no tested loans, and is not asked
    assert "does not include the scores" in Read(shown(client, ask(client)).text).text


def test_without_the_models_bundle_the_page_says_less(client: TestClient, recorded: Bundle) -> None:
    with judged_by(client, recorded):
        score = ask(client)
    api.models.bundle_store._load_cached.cache_clear()
    services = client.app.state.services
    folder = services.settings.home / "bundles" / recorded.digest.removeprefix("sha256:")
    (folder / "policy.json").unlink()
    page = Read(shown(client, score).text).text
    assert "is no longer stored here" in page
    assert f"score {score['assessment']['score']}" in page


@pytest.mark.parametrize("score", [300, 401, 500, 598, 599, 900])
def test_the_picture_holds_this_score_wherever_it_lies(recorded: Bundle, score: int) -> None:
    standing = score_position(replace(assessed(recorded), score=score), recorded)
    assert standing is not None
    places = [float(found) for found in re.findall(r' (?:x|x1|x2)="([^"]+)"', standing.svg)]
    assert all(0 <= place <= 760 for place in places)
    assert f"this score: {score}" in standing.svg


def test_advice_is_told_with_what_it_is_worth(bundle: Bundle) -> None:
    change = Change("signal_01", "Signal <1>", "ratio", "group_1", 0.0621, 0.041)
    option = Option((change,), 0.4, 655, 12, "A")
    page = written(answered(assessed(bundle)), bundle, Advice(AdviceVerdict.FOUND, "B", "A", (option,), days=90))
    assert "Signal <1> from 6.2% to 4.1%: 655 points, +12" in Read(page).text
    assert "Signal &lt;1&gt;" in page


@dataclass(frozen=True)
class Some:
    """An assessment that hypothesis does not write out in full where it fails."""

    assessment: Assessment = field(repr=False)


@pytest.fixture(scope="module")
def some(bundle: Bundle) -> Some:
    return Some(assessed(bundle))


@settings(max_examples=50, deadline=None)
@given(
    words=st.just(HOSTILE) | st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=80)
)
def test_no_word_becomes_markup(some: Some, words: str) -> None:
    plain = some.assessment
    assert plain.explanation is not None
    explanation = replace(
        plain.explanation,
        reference_population=words,
        contributions=tuple(each._replace(label=words) for each in plain.explanation.contributions),
        reasons=tuple(replace(each, code=words, statement=words) for each in plain.explanation.reasons),
    )
    assessment = replace(plain, explanation=explanation, default_definition=words)
    names = ("id", "seller_id", "bank_id", "purpose", "consent_id")
    hostile = written(answered(assessment, **dict.fromkeys(names, words)), bank_name=words)
    tame = written(answered(plain, **dict.fromkeys(names, "x")))
    assert Read(hostile).tags == Read(tame).tags
    assert Read(hostile).attributes == Read(tame).attributes

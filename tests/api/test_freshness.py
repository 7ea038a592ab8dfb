"""Old data: the clock moves, no surface shows a number from data beyond the limit, and stored scores still replay."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from click.testing import Result
from typer.testing import CliRunner

from api.cli.main import app
from api.settings import Settings
from scoring import Bundle, BundleParts, pack
from tests.api.conftest import AS_OF, NOW, SELLERS, SNAPSHOT, Opener, token_for
from tests.api.products.conftest import LINE, Desk, land
from tests.api.shop import COVERS, SHOPS, fill_shops, serve_bundle, shop_bundle
from tests.api.web.conftest import Browser, text_of
from tests.api.web.test_report import Read
from tests.statements import reason_catalogue

LAST_FRESH, FIRST_STALE = AS_OF + timedelta(days=7), AS_OF + timedelta(days=8)
LAGGING = date(2026, 1, 3)
REQUEST = {"seller_id": "S", "purpose": "credit_application"}


@contextmanager
def on(day: date, desk: Desk | None = None) -> Iterator[None]:
    """Move the clock to a morning; a bank has a new token then."""
    with time_machine.travel(datetime.combine(day, time(9), UTC), tick=True):
        if desk is not None:
            desk.client.headers["Authorization"] = f"Bearer {token_for(desk.client, desk.services.settings)}"
        yield


@pytest.fixture
def desk(settings: Settings, open_client: Opener) -> Iterator[Desk]:
    """A bank with a product, and a steady seller who consented."""
    land(settings, {"S": {}})
    with open_client(settings, ["S"]) as client:
        desk = Desk(client)
        desk.put(LINE)
        yield desk


def test_data_are_scored_for_seven_days_and_stale_on_the_eighth(desk: Desk) -> None:
    first = desk.score("S")["assessment"]
    assert (first["outcome"], first["requested_on"]) == ("scored", str(NOW.date()))
    with on(LAST_FRESH, desk):
        last = desk.score("S")["assessment"]
        assert {**last, "requested_on": first["requested_on"]} == first
    with on(FIRST_STALE, desk):
        late = desk.score("S")["assessment"]
    assert (late["outcome"], late["requested_on"], late["data_through"]) == ("stale_data", "2026-02-08", "2026-01-31")
    assert [late[name] for name in ("score", "band", "probability_of_default", "explanation")] == [None] * 4
    needed = "at most 7 days before 2026-02-08"
    assert late["shortfalls"] == [
        {"what": table, "found": "2026-01-31", "needed": needed} for table in ("orders", "refunds")
    ]


def test_stale_data_are_eligible_for_nothing_and_the_report_has_no_number(desk: Desk) -> None:
    assert desk.eligibility(desk.score("S")["id"])["products"][0]["limit"]
    with on(FIRST_STALE, desk):
        score = desk.score("S")
        (product,) = desk.eligibility(score["id"])["products"]
        page = Read(desk.client.get(f"/v1/scores/{score['id']}/report").text).text
    assert (product["eligible"], product["limit"], product["price"]) == (False, None, None)
    assert "The data are too old for a score." in page
    assert "Orders: delivered until 31 Jan 2026, 8 days before the request on 8 Feb 2026." in page
    assert "Probability of default" not in page
    assert "points" not in page


def test_sales_that_only_a_stale_table_could_check_get_no_limit(
    settings: Settings, open_client: Opener, bundle: Bundle
) -> None:
    entries = tuple(
        replace(entry, tables=("orders", "traffic")) if entry.name == "orders_beyond_visits_180d" else entry
        for entry in bundle.sheet.entries
    )
    sheet, reasons = replace(bundle.sheet, entries=entries), reason_catalogue(entries)
    parts = BundleParts(bundle.model.text, sheet, bundle.policy, reasons, bundle.reference)
    with open_client(settings, ["S"]) as client, serve_bundle(client, Bundle.from_files(pack(parts))):
        desk, results = Desk(client), []
        desk.put(LINE)
        for through in (AS_OF, LAGGING):
            covers = {**SNAPSHOT.covers_through, "traffic": through}
            land(settings, {"S": {}}, snapshot=replace(SNAPSHOT, covers_through=covers, data_version=str(through)))
            score = desk.score("S")
            assert score["assessment"]["outcome"] == "scored"
            (product,) = desk.eligibility(score["id"])["products"]
            results.append((product["eligible"], [each["criterion"] for each in product["unmet"]]))
    assert results == [(True, []), (False, ["checked_sales"])]


def test_an_earlier_score_replays_to_the_byte_on_any_later_day(desk: Desk) -> None:
    scores = [desk.score("S")]
    stored = desk.client.get(f"/v1/scores/{scores[0]['id']}").content
    for day in (LAST_FRESH, FIRST_STALE, AS_OF + timedelta(days=400)):
        with on(day, desk):
            if day == FIRST_STALE:
                scores.append(desk.score("S"))
            for score in scores:
                response = desk.client.post(f"/v1/scores/{score['id']}/replay").json()
                assert response == {"matches": True, "differences": []}
            assert desk.client.get(f"/v1/scores/{scores[0]['id']}").content == stored
    assert [each["assessment"]["outcome"] for each in scores] == ["scored", "stale_data"]


def test_a_retry_on_a_later_day_gets_the_stored_response(desk: Desk) -> None:
    key = {"Idempotency-Key": "once"}
    first = desk.client.post("/v1/scores", json=REQUEST, headers=key)
    with time_machine.travel(NOW + timedelta(hours=20), tick=True):
        desk.client.headers["Authorization"] = f"Bearer {token_for(desk.client, desk.services.settings)}"
        replay = desk.client.post("/v1/scores", json=REQUEST, headers=key)
    assert replay.content == first.content


def test_the_service_is_not_ready_if_every_score_would_be_stale(desk: Desk) -> None:
    with on(LAST_FRESH):
        ready = desk.client.get("/health/ready")
        assert (ready.status_code, ready.json()["data_age_days"], ready.json()["degraded"]) == (200, 7, [])
    with on(FIRST_STALE):
        response = desk.client.get("/health/ready")
        assert desk.client.get("/health/live").status_code == 200
    assert (response.status_code, response.json()["type"]) == (503, "/problems/not-ready")
    assert response.json()["detail"] == (
        "data: too old or missing (orders end on 2026-01-31, refunds end on 2026-01-31). The model allows at most 7 "
        "days before 2026-02-08. Ingest a newer delivery."
    )


@pytest.mark.parametrize(("language", "message"), [("en", "are too old"), ("zh", "您的经营数据过旧")])
def test_the_pages_of_a_seller_show_no_score_and_no_amount(desk: Desk, language: str, message: str) -> None:
    page = Browser(desk.client).log_in("S", language=language).get("/seller").text
    assert all(f'id="{each}"' in page for each in ("score", "band", "amount", "rate"))
    with on(FIRST_STALE):
        browser = Browser(desk.client).log_in("S", language=language)
        pages = [browser.get(f"/seller{path}") for path in ("", "/reasons", "/improve", "/products")]
    assert all(message in text_of(each) for each in pages[:3])
    for each in pages:
        assert each.status_code == 200
        # requirements of a product hold bands and amounts too, so only elements of a score or an offer are searched
        assert not [name for name in ("score", "band", "amount", "rate", "sum", "steps") if f'id="{name}"' in each.text]
        assert 'class="limit"' not in each.text
    assert "the data became too old" in text_of(pages[0]) or language == "zh"


Run = Callable[..., Result]


@pytest.fixture
def run(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("SELLERSCORE_HOME", str(settings.home))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", settings.mlflow_uri)
    return lambda *arguments: CliRunner().invoke(app, list(arguments), catch_exceptions=False)


def test_the_commands_print_no_score(run: Run, tmp_path: Path) -> None:
    def outcome() -> dict[str, Any]:
        return dict(json.loads(run("score", SELLERS[0], "--output", "json").stdout)["assessment"])

    def rows() -> list[dict[str, str]]:
        run("score-portfolio", "--out", str(tmp_path / "all.csv"))
        return list(csv.DictReader((tmp_path / "all.csv").read_text(encoding="utf-8").splitlines()))

    with on(LAST_FRESH):
        assert outcome()["outcome"] == "scored"
        assert {row["outcome"] for row in rows()} == {"scored", "insufficient_history"}
    with on(FIRST_STALE):
        assert (outcome()["outcome"], outcome()["score"]) == ("stale_data", None)
        printed = " ".join(run("score", SELLERS[0]).stdout.split())
        exported = rows()
        summary = json.loads(run("score-portfolio", "--out", str(tmp_path / "all.csv"), "--output", "json").stdout)
    assert "The data are too old for a score. (stale_data)" in printed
    assert "requested on 2026-02-08" in printed
    assert "band" not in printed
    assert {row["outcome"] for row in exported} == {"stale_data"}
    assert {row[name] for row in exported for name in ("score", "band", "probability_of_default")} == {""}
    assert summary["scored"] == 0


@dataclass(frozen=True)
class Shops:
    """A bank and sellers of the small model with real names."""

    desk: Desk
    home: Path

    def deliver(self, **covers: date | None) -> None:
        """Store vectors whose tables end on some days; None for a table that is not delivered."""
        merged = {**COVERS, **covers}
        fill_shops(self.home, {name: day for name, day in merged.items() if day is not None})

    def page(self, shop: str, path: str = "", language: str = "en") -> str:
        return text_of(Browser(self.desk.client).log_in(shop, language=language).get(f"/seller{path}"))


@pytest.fixture(scope="module")
def model() -> Bundle:
    return shop_bundle()


@pytest.fixture
def shops(settings: Settings, open_client: Opener, model: Bundle) -> Iterator[Shops]:
    fill_shops(settings.home)
    with open_client(settings, tuple(SHOPS)) as client, serve_bundle(client, model):
        yield Shops(Desk(client), settings.home)


DEGRADED = "data: traffic end on 2026-01-03, which is too old; its features count as missing."


@pytest.mark.parametrize(
    ("through", "bank", "seller", "chinese"),
    [
        (
            LAGGING,
            "Visit and advertising data end on 2026-01-03 and are too old to use",
            "Visit and advertising data about your business end on 2026-01-03 and are too old to use.",
            "与您的经营有关的访问与广告数据仅更新至2026-01-03，已过时，无法使用。",
        ),
        (
            None,
            "Visit and advertising data were not delivered",
            "Visit and advertising data about your business were not delivered to us.",
            "我们没有收到与您的经营有关的访问与广告数据。",
        ),
    ],
)
def test_a_stale_optional_table_is_a_reason_and_does_not_prevent_a_score(
    shops: Shops, through: date | None, bank: str, seller: str, chinese: str
) -> None:
    fresh = shops.desk.score("typical")["assessment"]
    assert fresh["table_gaps"] == []
    shops.deliver(traffic=through)
    score = shops.desk.score("typical")
    lagging = score["assessment"]
    data_through = None if through is None else str(through)
    assert (lagging["outcome"], lagging["table_gaps"]) == (
        "scored",
        [{"table": "traffic", "data_through": data_through}],
    )
    assert lagging["score"] < fresh["score"]
    values = {each["feature"]: each["value"] for each in lagging["explanation"]["contributions"]}
    assert (values["ad_spend_share_90d"], values["orders_beyond_visits_180d"]) == (None, None)
    assert values["return_rate_90d"] is not None
    named = [each for each in lagging["explanation"]["reasons"] if each["table"] == "traffic"]
    assert [(each["side"], each["value"], each["data_through"]) for each in named] == [("missing", None, data_through)]
    assert named[0]["statement"] == bank
    ready = shops.desk.client.get("/health/ready")
    assert (ready.status_code, ready.json()["degraded"]) == (200, [] if through is None else [DEGRADED])
    assert shops.desk.client.post(f"/v1/scores/{score['id']}/replay").json()["matches"] is True
    report = Read(shops.desk.client.get(f"/v1/scores/{score['id']}/report").text).text
    gap = "was not delivered" if through is None else "ends on 2026-01-03 and is too old to use"
    assert f"The table “traffic” {gap}." in report
    assert seller in shops.page("typical", "/reasons")
    assert chinese in shops.page("typical", "/reasons", "zh")


def test_a_missing_required_table_is_named(shops: Shops) -> None:
    shops.deliver(refunds=None)
    assessment = shops.desk.score("typical")["assessment"]
    assert (assessment["outcome"], assessment["score"]) == ("insufficient_data", None)
    assert assessment["shortfalls"] == [{"what": "refunds", "found": None, "needed": "delivered"}]


def test_an_inactive_seller_sees_the_date_of_the_last_sale(shops: Shops) -> None:
    score = shops.desk.score("stopped")
    assert (score["assessment"]["outcome"], score["assessment"]["score"]) == ("inactive", None)
    report = Read(shops.desk.client.get(f"/v1/scores/{score['id']}/report").text).text
    for page in (report, shops.page("stopped")):
        assert "Last sale: 17 Nov 2025, 75 days before the data end." in page
        assert "no sign of risk" not in page
    assert "最近一笔销售：2025年11月17日" in shops.page("stopped", language="zh")

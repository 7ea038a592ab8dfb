"""Products over HTTP: the whole list or nothing, every version kept, and scores held against them."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.auth import clients as access
from api.auth.scopes import ClientKind
from api.kit.database import transaction
from api.operations.retention import erase_seller
from api.products import repository
from api.products.eligibility import eligibility_inputs
from api.products.schemas import EligibilityResponse, ProductList
from api.products.service import offers, offers_of_bank, replace_products
from api.settings import Settings
from tests.api.conftest import AS_OF, SNAPSHOT, Opener
from tests.api.kit.test_middleware import JSON
from tests.api.products.conftest import LINE, Desk, land

LOAN = {**LINE, "id": "loan", "name": "Loan", "currency": "CNY", "countries": []}


def refused(desk: Desk, *products: Any) -> list[tuple[str, str, str]]:
    body = json.dumps({"products": products})
    answer = desk.client.put("/v1/products", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422, answer.text
    return [(each["where"], each["rule"], each["message"]) for each in answer.json()["errors"]]


def shown(desk: Desk, **asked: str) -> list[dict[str, Any]]:
    answer = desk.client.get("/v1/products", params=asked)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["products"])


@pytest.mark.databases
def test_a_list_takes_the_place_of_the_one_before_and_every_version_is_kept(desk: Desk) -> None:
    assert shown(desk) == []
    first = desk.put(LOAN, LINE)
    assert [(each["id"], each["version"], each["until"]) for each in first] == [("line", 1, None), ("loan", 1, None)]
    assert {name: first[0][name] for name in LINE} == LINE
    then = datetime.now(UTC).isoformat()
    assert desk.put(LINE, LOAN) == first == shown(desk)
    second = desk.put({**LINE, "cap": 400_000})
    assert [(each["id"], each["version"], each["cap"]) for each in second] == [("line", 2, 400_000)]
    before = shown(desk, at=then)
    assert [{**each, "until": None} for each in before] == first
    assert {each["until"] for each in before} == {second[0]["since"]}
    # one that comes back counts on
    assert [(each["id"], each["version"]) for each in desk.put(LOAN)] == [("loan", 2)]
    assert desk.put() == [] == shown(desk)
    assert shown(desk, at=then) == [{**each, "until": second[0]["since"]} for each in first]


def test_everything_wrong_is_told_with_id_and_place_and_nothing_is_stored(desk: Desk) -> None:
    desk.put(LINE)
    wrong = refused(
        desk,
        {**LINE, "least": 600_000},
        LOAN,
        {**LOAN, "id": "other", "currency": "EUR", "countries": ["CN", "ZZ", "XX"], "prices": {"A": 0.1}},
        LOAN,
    )
    assert [(where, rule) for where, rule, _ in wrong] == [
        ("body/products/0", "product"),
        ("body/products/1", "duplicate_id"),
        ("body/products/2", "currency"),
        ("body/products/2", "country"),
        ("body/products/2", "product"),
        ("body/products/3", "duplicate_id"),
    ]
    messages = [message for _, _, message in wrong]
    assert messages[0].startswith("Product line: The smallest limit is 600000")
    assert messages[2] == "Product other: No exchange rate of EUR is known. Use one of CNY, USD, VND."
    assert messages[3].startswith("Product other: XX, ZZ is not an ISO 3166 country code.")
    assert "needs a price" in messages[4]
    assert [each["id"] for each in shown(desk)] == ["line"]


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"multiple": math.nan}, "multiple"),
        ({"multiple": math.inf}, "multiple"),
        ({"multiple": "2"}, "multiple"),
        ({"multiple": 1e300}, None),
        ({"cap": 10**400}, "cap"),
        ({"cap": 1.5}, "cap"),
        ({"cap": 10**13}, None),
        ({"least": True}, "least"),
        ({"minimum_months": -1}, None),
        ({"minimum_band": "Z"}, None),
        ({"term_days": 0}, None),
        ({"prices": {"A": 0.3, "B": 0.2, "C": 0.3, "D": 0.3, "E": 0.3}}, None),
        ({"prices": {"A": math.nan}}, "prices/A"),
        ({"prices": {}}, None),
        ({"currency": "usd"}, "currency"),
        ({"countries": ["CHN"]}, "countries/0"),
        ({"countries": ["CN"] * 251}, "countries"),
        ({"id": "Line 1"}, "id"),
        ({"id": "x" * 61}, "id"),
        ({"name": "  "}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_value_that_is_not_allowed_is_told_where(
    refusing_desk: Desk, change: dict[str, object], where: str | None
) -> None:
    ((found, rule, _),) = refused(refusing_desk, {**LINE, **change})
    assert found == ("body/products/0" if where is None else f"body/products/0/{where}")
    assert (rule == "product") is (where is None)


def test_fifty_products_are_the_most(desk: Desk) -> None:
    many = [{**LINE, "id": f"p-{number:02}"} for number in range(51)]
    assert refused(desk, *many)[0][:2] == ("body/products", "too_long")
    assert len(desk.put(*many[:50])) == 50


def test_the_example_is_a_request() -> None:
    (example,) = ProductList.model_config["json_schema_extra"]["examples"]
    assert ProductList.model_validate(example).model_dump(mode="json") == example


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=JSON
    | st.fixed_dictionaries({"products": JSON})
    | st.fixed_dictionaries(
        {"products": st.lists(st.fixed_dictionaries({name: st.just(LINE[name]) | JSON for name in LINE}), max_size=2)}
    )
)
def test_no_json_makes_the_service_fail(client: Any, body: object) -> None:
    answer = client.put("/v1/products", content=json.dumps(body), headers={"Content-Type": "application/json"})
    assert answer.status_code in {200, 400, 422}, answer.text


def test_a_seller_is_told_limit_and_price_or_everything_that_lacks(stored_in: Settings, open_client: Opener) -> None:
    doubted = {"rush_order_share_180d": 0.1, "orders_beyond_visits_180d": 0.05}
    land(stored_in, {"S": doubted, "hidden": {"unmoved_parcel_share_180d": None}})
    with open_client(stored_in, ["S", "hidden"]) as client:
        desk = Desk(client)
        desk.put(LINE, LOAN, {**LINE, "id": "strict", "minimum_months": 36, "countries": ["DE"], "least": 30_000})
        score = desk.score("S")
        found = desk.eligibility(score["id"])
        band = score["assessment"]["band"]
        assert {name: found[name] for name in ("seller_id", "outcome", "band", "country", "expired", "as_of")} == {
            "seller_id": "S",
            "outcome": "scored",
            "band": band,
            "country": "CN",
            "expired": False,
            "as_of": AS_OF.isoformat(),
        }
        assert found["months_trading"] == 24.0
        assert [each["share"] for each in found["doubts"]] == [0.1, 0.0, pytest.approx(0.2)]
        line, loan, strict = found["products"]
        assert (line["eligible"], line["price"], line["unmet"]) == (True, LINE["prices"][band], [])
        assert line["limit"] == math.floor(2 * 146_000 / 12 * 0.7) == 17_033
        assert (loan["limit"], loan["usd_per_unit"]) == (math.floor(2 * 146_000 / 12 / 0.145 * 0.7), 0.145)
        assert (strict["eligible"], strict["limit"], strict["price"]) == (False, None, None)
        unmet = {each["criterion"]: each for each in strict["unmet"]}
        assert set(unmet) == {"country", "months_trading", "monthly_sales"}
        assert unmet["months_trading"] == {
            "criterion": "months_trading",
            "found": 24.0,
            "needed": 36.0,
            "gap": 12.0,
        }
        assert unmet["monthly_sales"]["needed"] == 15_000.0
        # who hides what would show a doubt has no limit
        hidden = desk.eligibility(desk.score("hidden")["id"])["products"][0]
        assert [each["criterion"] for each in hidden["unmet"]] == ["checked_sales"]
        assert hidden["unmet"][0]["needed"] == "unmoved_parcel_share_180d"


def test_an_answer_is_the_same_whatever_came_after(desk: Desk) -> None:
    desk.put(LINE, LOAN)
    score = desk.score("S")
    found = desk.eligibility(score["id"])
    desk.put({**LINE, "cap": 5_000})
    land(desk.services.settings, {"S": {"settled_net_sales_365d": 1.0}}, "DE", replace(SNAPSHOT, data_version="next"))
    assert desk.eligibility(score["id"], at=found["at"]) == found
    now = desk.eligibility(score["id"])
    assert [(each["id"], each["version"], each["limit"]) for each in now["products"]] == [("line", 2, 5_000)]


def test_a_moment_must_have_gone_by_since_the_score(desk: Desk) -> None:
    score = desk.score("S")
    scored, now = datetime.fromisoformat(score["scored_at"]), datetime.now(UTC)
    for path, moment in (
        (f"/v1/scores/{score['id']}/eligibility", now + timedelta(hours=1)),
        (f"/v1/scores/{score['id']}/eligibility", scored - timedelta(seconds=1)),
        ("/v1/products", now + timedelta(hours=1)),
        ("/v1/products", now.replace(tzinfo=None)),
    ):
        answer = desk.client.get(path, params={"at": moment.isoformat()})
        assert (answer.status_code, answer.json()["errors"][0]["where"]) == (422, "query/at")


def test_a_score_of_old_data_or_expired_opens_nothing_and_says_so(desk: Desk) -> None:
    desk.put(LINE)
    score = desk.score("S")
    stored, expires = desk.stored(score["id"]), datetime.fromisoformat(score["expires_at"])
    stale = datetime.combine(AS_OF, time(), UTC) + timedelta(days=8)
    instant = timedelta(milliseconds=1)
    for at, is_open in ((stale - instant, True), (stale, False), (expires - instant, False), (expires, False)):
        with transaction(desk.services.engine) as connection:
            known, found = offers_of_bank(connection, desk.services, stored, "Bank", at)
            (offered,) = offers(connection, desk.services, stored, at)
        answer = EligibilityResponse.of(known, eligibility_inputs(known, "USD", at), found, at)
        assert (answer.expired, answer.data_too_old) == (at >= expires, at >= stale)
        assert (answer.months_trading is None) is not is_open
        assert answer.products[0].eligible is is_open is offered.eligibility.eligible
        assert [str(each.criterion) for each in answer.products[0].unmet] == ([] if is_open else ["score"])


def test_an_outcome_without_a_number_opens_nothing(stored_in: Settings, open_client: Opener) -> None:
    land(stored_in, {"new": {"days_on_platform": 10.0}})
    with open_client(stored_in, ["new"]) as client:
        desk = Desk(client)
        desk.put(LINE)
        found = desk.eligibility(desk.score("new")["id"])
    assert (found["outcome"], found["band"]) == ("insufficient_history", None)
    assert [each["criterion"] for each in found["products"][0]["unmet"]] == ["score"]


def test_products_of_every_bank_are_offered_but_of_the_revoked(desk: Desk) -> None:
    now, engine = datetime.now(UTC), desk.services.engine
    desk.put(LINE)
    others = [
        access.create_client(engine, ClientKind.BANK, name, now=now).client.id for name in ("Another bank", "Gone bank")
    ]
    with transaction(engine, writes=True) as connection:
        (mine,) = repository.list_products(connection, desk.bank)
        for bank in others:
            replace_products(connection, bank, {"theirs": mine.product})
    access.revoke_client(engine, ClientKind.BANK, others[1], now)
    score = desk.score("S")
    with transaction(engine) as connection:
        found = offers(connection, desk.services, desk.stored(score["id"]))
    assert [(each.bank_name, each.bank_id, each.product_id) for each in found] == [
        ("Another bank", others[0], "theirs"),
        ("Demo bank", desk.bank, "line"),
    ]
    # a bank sees its own alone
    assert [each["id"] for each in desk.eligibility(score["id"])["products"]] == ["line"]
    assert [each["id"] for each in shown(desk)] == ["line"]


def test_an_erased_sellers_eligibility_is_gone(desk: Desk) -> None:
    desk.put(LINE)
    score, services = desk.score("S"), desk.services
    erase_seller(services.engine, services.vectors, seller_id="S", reason="asked", now=datetime.now(UTC))
    answer = desk.client.get(f"/v1/scores/{score['id']}/eligibility")
    assert (answer.status_code, answer.json()["type"]) == (410, "/problems/erased")


def test_without_vectors_no_currency_can_be_converted(desk: Desk) -> None:
    desk.services.settings.vectors_path.unlink()
    answer = desk.client.put("/v1/products", json={"products": [LINE]})
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/no-vectors")
    assert shown(desk) == []


def test_a_country_that_the_platform_does_not_know_is_none(desk: Desk) -> None:
    land(desk.services.settings, {"S": {}}, "ZZ", replace(SNAPSHOT, data_version="next"))
    desk.put(LINE)
    found = desk.eligibility(desk.score("S")["id"])
    assert found["country"] is None
    (unmet,) = found["products"][0]["unmet"]
    assert unmet == {"criterion": "country", "found": None, "needed": "CN, VN", "gap": None}

"""Products over HTTP: replaced together or not at all, with all versions stored, and evaluated for scores."""

from __future__ import annotations

import json
import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.auth.scopes import ClientKind
from api.kit.database import transaction
from api.operations.retention import erase_seller
from api.products import repository
from api.products.eligibility import eligibility_inputs
from api.products.schemas import EligibilityResponse, ProductList
from api.products.service import replace_products
from api.settings import Settings
from tests.api.conftest import AS_OF, SNAPSHOT, Opener
from tests.api.kit.test_middleware import JSON
from tests.api.products.conftest import LINE, Desk, land
from tests.api.started import register_of

if TYPE_CHECKING:
    from starlette.testclient import TestClient

LOAN = {**LINE, "id": "loan", "name": "Loan", "currency": "CNY", "countries": []}


def rejected(desk: Desk, *products: Any) -> list[tuple[str, str, str]]:
    body = json.dumps({"products": products})
    response = desk.client.put("/v1/products", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 422, response.text
    return [(fault["where"], fault["rule"], fault["message"]) for fault in response.json()["errors"]]


@pytest.mark.databases
def test_a_list_replaces_the_one_before_and_every_version_is_stored(desk: Desk) -> None:
    assert desk.products() == []
    first = desk.put(LOAN, LINE)
    assert [(item["id"], item["version"], item["until"]) for item in first] == [("line", 1, None), ("loan", 1, None)]
    assert {name: first[0][name] for name in LINE} == LINE
    then = datetime.now(UTC).isoformat()
    assert desk.put(LINE, LOAN) == first == desk.products()
    second = desk.put({**LINE, "cap": 400_000})
    assert [(item["id"], item["version"], item["cap"]) for item in second] == [("line", 2, 400_000)]
    ended = [{**item, "until": second[0]["since"]} for item in first]
    assert desk.products(at=then) == ended
    # the versions of a product that returns continue
    assert [(item["id"], item["version"]) for item in desk.put(LOAN)] == [("loan", 2)]
    assert desk.put() == [] == desk.products()
    assert desk.products(at=then) == ended


def test_all_faults_are_listed_with_id_and_place_and_nothing_is_stored(desk: Desk) -> None:
    desk.put(LINE)
    other = {**LOAN, "id": "other", "currency": "EUR", "countries": ["CN", "ZZ", "XX"], "prices": {"A": 0.1}}
    faults = rejected(desk, {**LINE, "least": 600_000}, LOAN, other, LOAN)
    assert [(where, rule) for where, rule, _ in faults] == [
        ("body/products/0", "product"),
        ("body/products/1", "duplicate_id"),
        ("body/products/2", "currency"),
        ("body/products/2", "country"),
        ("body/products/2", "product"),
        ("body/products/3", "duplicate_id"),
    ]
    messages = [message for _, _, message in faults]
    assert messages[0].startswith("Product line: The smallest limit is 600000")
    assert messages[2] == "Product other: No exchange rate of EUR is known. Use one of CNY, USD, VND."
    assert messages[3].startswith("Product other: XX, ZZ is not an ISO 3166 country code.")
    assert "needs a price" in messages[4]
    assert [item["id"] for item in desk.products()] == ["line"]


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
def test_the_place_of_an_invalid_value_is_named(
    shared_client: TestClient, change: dict[str, object], where: str | None
) -> None:
    ((place, rule, _),) = rejected(Desk(shared_client), {**LINE, **change})
    assert place == ("body/products/0" if where is None else f"body/products/0/{where}")
    assert (rule == "product") is (where is None)


def test_a_bank_has_at_most_fifty_products(desk: Desk) -> None:
    many = [{**LINE, "id": f"p-{number:02}"} for number in range(51)]
    assert rejected(desk, *many)[0][:2] == ("body/products", "too_long")
    assert len(desk.put(*many[:50])) == 50


def test_the_example_is_a_valid_request() -> None:
    (example,) = ProductList.model_config["json_schema_extra"]["examples"]
    assert ProductList.model_validate(example).model_dump(mode="json") == example


near_valid = st.fixed_dictionaries({name: st.just(value) | JSON for name, value in LINE.items()})


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=JSON | st.fixed_dictionaries({"products": JSON | st.lists(near_valid, max_size=2)}))
def test_no_json_makes_the_service_fail(shared_client: TestClient, body: object) -> None:
    headers = {"Content-Type": "application/json"}
    response = shared_client.put("/v1/products", content=json.dumps(body), headers=headers)
    assert response.status_code in {200, 400, 422}, response.text


def test_eligibility_states_limit_and_price_or_all_unmet_criteria(stored_in: Settings, open_client: Opener) -> None:
    doubted = {"rush_order_share_180d": 0.1, "orders_beyond_visits_180d": 0.05}
    sellers = {"S": doubted, "hidden": {"unmoved_parcel_share_180d": None}, "new": {"days_on_platform": 10.0}}
    land(stored_in, sellers)
    with open_client(stored_in, list(sellers)) as client:
        desk = Desk(client)
        desk.put(LINE, LOAN, {**LINE, "id": "strict", "minimum_months": 36, "countries": ["DE"], "least": 30_000})
        scores = {seller: desk.score(seller) for seller in sellers}
        result, hidden, new = (desk.eligibility(score["id"]) for score in scores.values())
    band = scores["S"]["assessment"]["band"]
    expected = {"seller_id": "S", "outcome": "scored", "band": band, "country": "CN", "expired": False}
    assert {name: result[name] for name in expected} == expected
    assert (result["as_of"], result["months_trading"]) == (AS_OF.isoformat(), 24.0)
    assert [doubt["share"] for doubt in result["doubts"]] == [0.1, 0.0, pytest.approx(0.2)]
    line, loan, strict = result["products"]
    assert (line["eligible"], line["price"], line["unmet"]) == (True, LINE["prices"][band], [])
    assert line["limit"] == math.floor(2 * 146_000 / 12 * 0.7) == 17_033
    assert (loan["limit"], loan["usd_per_unit"]) == (math.floor(2 * 146_000 / 12 / 0.145 * 0.7), 0.145)
    assert (strict["eligible"], strict["limit"], strict["price"]) == (False, None, None)
    unmet = {item["criterion"]: item for item in strict["unmet"]}
    assert set(unmet) == {"country", "months_trading", "monthly_sales"}
    assert unmet["months_trading"] == {"criterion": "months_trading", "found": 24.0, "needed": 36.0, "gap": 12.0}
    assert unmet["monthly_sales"]["needed"] == 15_000.0
    # a seller who withholds the data of a check has no limit
    (criterion,) = hidden["products"][0]["unmet"]
    assert (criterion["criterion"], criterion["needed"]) == ("checked_sales", "unmoved_parcel_share_180d")
    assert (new["outcome"], new["band"]) == ("insufficient_history", None)
    assert [item["criterion"] for item in new["products"][0]["unmet"]] == ["score"]


def test_later_products_and_data_do_not_change_the_result_for_a_time(desk: Desk) -> None:
    desk.put(LINE, LOAN)
    score = desk.score("S")
    result = desk.eligibility(score["id"])
    desk.put({**LINE, "cap": 5_000})
    later = replace(SNAPSHOT, data_version="next")
    land(desk.services.settings, {"S": {"settled_net_sales_365d": 1.0}}, "DE", later)
    assert desk.eligibility(score["id"], at=result["at"]) == result
    now = desk.eligibility(score["id"])
    assert [(item["id"], item["version"], item["limit"]) for item in now["products"]] == [("line", 2, 5_000)]


def test_the_time_must_be_between_the_score_and_now(desk: Desk) -> None:
    score = desk.score("S")
    path, now = f"/v1/scores/{score['id']}/eligibility", datetime.now(UTC)
    for place, moment in (
        (path, now + timedelta(hours=1)),
        (path, datetime.fromisoformat(score["scored_at"]) - timedelta(seconds=1)),
        ("/v1/products", now + timedelta(hours=1)),
        ("/v1/products", now.replace(tzinfo=None)),
    ):
        response = desk.client.get(place, params={"at": moment.isoformat()})
        assert (response.status_code, response.json()["errors"][0]["where"]) == (422, "query/at")


def test_an_expired_score_or_old_data_qualify_for_no_product(desk: Desk) -> None:
    desk.put(LINE)
    score = desk.score("S")
    expires = datetime.fromisoformat(score["expires_at"])
    stale = datetime.combine(AS_OF, time(), UTC) + timedelta(days=8)
    instant = timedelta(milliseconds=1)
    for at, is_open in ((stale - instant, True), (stale, False), (expires - instant, False), (expires, False)):
        facts, offers = desk.offers(score["id"], at)
        result = EligibilityResponse.of(facts, eligibility_inputs(facts, "USD", at), offers, at)
        assert (result.expired, result.data_too_old) == (at >= expires, at >= stale)
        assert (result.months_trading is None) is not is_open
        assert result.products[0].eligible is is_open
        assert [str(unmet.criterion) for unmet in result.products[0].unmet] == ([] if is_open else ["score"])


def test_sellers_see_products_of_active_banks_and_a_bank_only_its_own(desk: Desk) -> None:
    now, engine, register = datetime.now(UTC), desk.services.engine, register_of(desk.services)
    desk.put(LINE)
    other, gone = (register.create(ClientKind.BANK, name, now=now).client.id for name in ("Another bank", "Gone bank"))
    with transaction(engine, writes=True) as connection:
        (own,) = repository.list_products(connection, desk.bank)
        for bank in (other, gone):
            replace_products(connection, register.ring, bank, {"theirs": own.product})
    register.revoke(ClientKind.BANK, gone, now)
    score = desk.score("S")
    offers = desk.offers(score["id"], datetime.now(UTC))[1]
    assert [(offer.bank_name, offer.bank_id, offer.product_id) for offer in offers] == [
        ("Another bank", other, "theirs"),
        ("Demo bank", desk.bank, "line"),
    ]
    assert [item["id"] for item in desk.eligibility(score["id"])["products"]] == ["line"]
    assert [item["id"] for item in desk.products()] == ["line"]


def test_the_eligibility_of_an_erased_seller_is_gone(desk: Desk) -> None:
    desk.put(LINE)
    score, services = desk.score("S"), desk.services
    erase_seller(
        services.engine, services.receipts, services.vectors, seller_id="S", reason="requested", now=datetime.now(UTC)
    )
    response = desk.client.get(f"/v1/scores/{score['id']}/eligibility")
    assert (response.status_code, response.json()["type"]) == (410, "/problems/erased")


def test_products_need_exchange_rates(desk: Desk) -> None:
    desk.services.settings.vectors_path.unlink()
    response = desk.client.put("/v1/products", json={"products": [LINE]})
    assert (response.status_code, response.json()["type"]) == (503, "/problems/no-vectors")
    assert desk.products() == []


def test_an_unknown_country_meets_no_list_of_countries(desk: Desk) -> None:
    land(desk.services.settings, {"S": {}}, "ZZ", replace(SNAPSHOT, data_version="next"))
    desk.put(LINE)
    result = desk.eligibility(desk.score("S")["id"])
    assert result["country"] is None
    (unmet,) = result["products"][0]["unmet"]
    assert unmet == {"criterion": "country", "found": None, "needed": "CN, VN", "gap": None}


@pytest.mark.databases
def test_a_list_that_was_changed_in_the_meantime_is_not_overwritten(desk: Desk) -> None:
    def put(tag: str | None, *products: object) -> tuple[int, str]:
        headers = {} if tag is None else {"If-Match": tag}
        response = desk.client.put("/v1/products", json={"products": products}, headers=headers)
        return response.status_code, response.headers.get("etag") or response.json()["type"]

    empty = desk.client.get("/v1/products").headers["etag"]
    status, first = put(empty, LINE)
    assert (status, desk.client.get("/v1/products").headers["etag"]) == (200, first)
    changed = "/problems/precondition-failed"
    for tag in (empty, f"W/{first}", first.strip('"'), "", f"{empty}, {empty}"):
        assert put(tag, LOAN) == (412, changed)
    assert [item["id"] for item in desk.products()] == ["line"]
    assert put(f"{empty}, {first}", LINE) == (200, first), "the same list again changes nothing"
    status, second = put(first, LINE, LOAN)
    assert (status, len({empty, first, second})) == (200, 3)
    assert [put("*", LINE)[0], put(None, LOAN)[0]] == [200, 200]


@pytest.mark.databases
def test_of_concurrent_changes_of_one_list_one_succeeds(desk: Desk) -> None:
    tag = desk.client.get("/v1/products").headers["etag"]

    def put(number: int) -> int:
        products = {"products": [{**LINE, "cap": 100_000 + number}]}
        return desk.client.put("/v1/products", json=products, headers={"If-Match": tag}).status_code

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(put, range(8))) == [200] + [412] * 7

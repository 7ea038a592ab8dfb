"""Reasons and advice on the pages are true: suspicions have evidence, steps raise the score, a limit is no reason."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from api.settings import Settings
from api.web.translations import translator_for
from api.web.waterfall import waterfall_steps
from scoring import Advice, AdviceVerdict, Bundle, advise, assess
from scoring.assessment import SCALE_LIMIT, Explanation
from scoring.formatting import Language, format_value
from scoring.scale import Scale
from tests.api.conftest import NOW, Opener
from tests.api.products.conftest import Desk
from tests.api.shop import SHOPS, fill_shops, serve_bundle, shop_bundle, shop_vector
from tests.api.web.conftest import Browser, number_in, text_of
from tests.api.web.test_report import Read

# scales that end below a typical shop, and above a shop with rushed orders
CUT = [(Scale(max=560), "typical"), (Scale(min=520), "rushed")]
ShopServer = Callable[[Bundle], Desk]


@pytest.fixture
def serve_shops(settings: Settings, open_client: Opener) -> Iterator[ShopServer]:
    """Return a function that serves the shops with a bundle."""
    fill_shops(settings.home)
    with ExitStack() as stack:
        client = stack.enter_context(open_client(settings, tuple(SHOPS)))
        yield lambda bundle: Desk(stack.enter_context(serve_bundle(client, bundle)))


def explain(shop: str, bundle: Bundle) -> Explanation:
    explanation = assess(bundle, [shop_vector(shop, NOW.date())])[0].explanation
    assert explanation is not None
    return explanation


def advice(shop: str, bundle: Bundle) -> Advice:
    return advise(bundle, shop_vector(shop, NOW.date()))


def page(desk: Desk, shop: str, path: str, language: Language = Language.ENGLISH) -> Any:
    return Browser(desk.client).log_in(shop, language=language).get(f"/seller{path}")


def report(desk: Desk, shop: str) -> str:
    return Read(desk.client.get(f"/v1/scores/{desk.score(shop)['id']}/report").text).text


def test_without_evidence_no_page_calls_an_order_unusual(serve_shops: ShopServer) -> None:
    bundle = shop_bundle()
    (reason,) = explain("unchecked", bundle).reasons
    assert (reason.group, reason.side, reason.value, reason.table) == ("integrity", "missing", None, None)
    statements, desk = bundle.reasons.of_feature["orders_beyond_visits_180d"], serve_shops(bundle)
    for language in Language:
        neutral, accusing = (texts.of("seller", language) for texts in (statements.missing, statements.side))
        for path in ("/reasons", "/improve"):
            text = text_of(page(desk, "unchecked", path, language))
            assert neutral in text
            assert accusing.partition("{value}")[0] not in text
    assert reason.statement == statements.missing.bank.en
    assert statements.missing.bank.en in report(desk, "unchecked")
    assert statements.side.bank.en.partition("{value}")[0] not in report(desk, "unchecked")


def test_with_evidence_a_reason_states_the_value_and_the_typical_value(serve_shops: ShopServer) -> None:
    bundle = shop_bundle()
    (reason,) = explain("rushed", bundle).reasons
    assert (reason.code, reason.side, reason.value) == ("RUSH_ORDER_SHARE_180D_HIGH", "high", 0.4)
    text = text_of(page(serve_shops(bundle), "rushed", "/reasons"))
    assert "40.0% of your orders of the last 180 days came as three or more" in text
    assert "1.0% is typical" in text


def test_without_a_reason_the_report_claims_no_more_than_was_checked(serve_shops: ShopServer) -> None:
    assert explain("typical", shop_bundle()).reasons == ()
    text = report(serve_shops(shop_bundle()), "typical")
    assert "None. In the groups that cost points, no single figure on the risky side" in text


def test_every_reason_of_every_shop_is_on_its_side_and_states_both_values() -> None:
    bundle = shop_bundle()
    shops = ("typical", "returns", "rushed", "unchecked", "stuck", "settled")
    reasons = [reason for shop in shops for reason in explain(shop, bundle).reasons]
    assert len(reasons) >= 4
    for reason in reasons:
        assert (reason.value is None) is (reason.side == "missing")
        if reason.value is not None:
            assert (reason.value > reason.typical) is (reason.side == "high")
            for language in Language:
                statement = bundle.reasons.statement(reason, "seller", language)
                assert format_value(reason.value, reason.unit, language) in statement
                assert format_value(reason.typical, reason.unit, language) in statement


def test_steps_are_shown_although_the_band_is_out_of_reach(serve_shops: ShopServer) -> None:
    bundle = shop_bundle()
    found, desk = advice("returns", bundle), serve_shops(bundle)
    assert found.verdict is AdviceVerdict.OUT_OF_REACH
    assert found.steps
    for language in Language:
        translator = translator_for(language)
        response = page(desk, "returns", "/improve", language)
        text = text_of(response)
        assert str(found.farthest) in text
        assert 'id="steps"' in response.text
        for step in found.steps:
            change = step.change
            assert translator.format_value(change.value, change.unit) in text
            assert translator.format_value(change.to, change.unit) in text
            assert translator.points(step.points) in text
        for item in found.open_reasons:
            assert bundle.reasons.statement(item.reason, "seller", language) in text
    # each principal reason has a step, or a sentence on why it has none
    answered = {step.reason for step in found.steps} | {item.reason.code for item in found.open_reasons}
    assert {reason.code for reason in explain("returns", bundle).reasons} <= answered


def test_without_a_step_the_reasons_and_why_they_take_longer_are_shown(serve_shops: ShopServer) -> None:
    bundle = shop_bundle()
    found, desk = advice("stuck", bundle), serve_shops(bundle)
    assert (found.verdict, found.steps) == (AdviceVerdict.NO_STEP, ())
    (later,) = found.open_reasons
    for language in Language:
        response = page(desk, "stuck", "/improve", language)
        why = "This figure follows from months of business and changes slowly."
        assert bundle.reasons.statement(later.reason, "seller", language) in text_of(response)
        assert translator_for(language).translate(why) in text_of(response)
        assert 'id="steps"' not in response.text


@pytest.mark.parametrize(
    ("best", "verdict", "text"),
    [
        (0.000_01, AdviceVerdict.NO_STEP, "would raise your score now. Keep your figures at this level."),
        (0.01, AdviceVerdict.REACHED, "You are in band A, the best band."),
    ],
)
def test_without_a_step_or_a_reason_no_change_is_announced(
    serve_shops: ShopServer, best: float, verdict: AdviceVerdict, text: str
) -> None:
    bundle = shop_bundle(best=best)
    assert (advice("settled", bundle).verdict, advice("settled", bundle).open_reasons) == (verdict, ())
    shown = text_of(page(serve_shops(bundle), "settled", "/improve"))
    assert text in shown
    assert "over a longer time:" not in shown


@pytest.mark.parametrize(("scale", "shop"), CUT, ids=["top", "bottom"])
def test_an_end_of_the_scale_is_part_of_the_sum_and_neither_strength_nor_weakness_nor_reason(
    serve_shops: ShopServer, scale: Scale, shop: str
) -> None:
    bundle = shop_bundle(scale)
    explanation, desk = explain(shop, bundle), serve_shops(bundle)
    limit = explanation.groups[-1]
    assert limit.group == SCALE_LIMIT
    assert abs(limit.points) >= 2
    assert SCALE_LIMIT not in {reason.group for reason in explanation.reasons}
    assert waterfall_steps(explanation)[-1].label == limit.label
    shown = page(desk, shop, "/reasons").text
    groups = set(re.findall(r'data-group="([^"]+)"', shown))
    assert "integrity" in groups
    assert SCALE_LIMIT not in groups
    assert shown.count("Limit of the scale") == 1
    base, added, deducted, at_end, score = (
        number_in(shown, f'id="{name}">') for name in ("base", "added", "taken", "limit", "sum")
    )
    assert at_end == limit.points
    assert base + added + deducted + at_end == score
    assert "Limit of the scale" not in text_of(page(desk, shop, ""))

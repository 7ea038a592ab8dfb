"""Reasons and steps on the pages are true: suspicions have evidence, steps score, no end of the scale is a strength."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from api.settings import Settings
from api.web.score_views import reasons_view
from api.web.translations import translator_for
from api.web.waterfall import waterfall_steps
from scoring import Advice, AdviceVerdict, Bundle, advise, assess
from scoring.assessment import SCALE_LIMIT
from scoring.formatting import Language, format_value
from scoring.reason_catalogue import Reason
from scoring.scale import Scale
from tests.api.conftest import NOW, Opener
from tests.api.products.conftest import Desk
from tests.api.shop import SHOPS, fill_shops, serve_bundle, shop_bundle, shop_vector
from tests.api.web.conftest import Browser, text_of
from tests.api.web.test_report import Read

HIGH = Scale(max=560)
"""A scale that ends below a typical shop."""

LOW = Scale(min=520)
"""A scale that ends above a shop with rushed orders."""

CUT = [(HIGH, "typical"), (LOW, "rushed")]
ShopServer = Callable[[Bundle], Desk]


@pytest.fixture
def serve_shops(settings: Settings, open_client: Opener) -> Iterator[ShopServer]:
    """Return a function that serves the shops with a bundle."""
    fill_shops(settings.home)
    with ExitStack() as stack:
        client = stack.enter_context(open_client(settings, tuple(SHOPS)))
        yield lambda bundle: Desk(stack.enter_context(serve_bundle(client, bundle)))


def reasons(shop: str, bundle: Bundle) -> tuple[Reason, ...]:
    explanation = assess(bundle, [shop_vector(shop, NOW.date())])[0].explanation
    assert explanation is not None
    return explanation.reasons


def advice(shop: str, bundle: Bundle) -> Advice:
    return advise(bundle, shop_vector(shop, NOW.date()))


def page(desk: Desk, shop: str, path: str, language: Language = Language.ENGLISH) -> Any:
    return Browser(desk.client).log_in(shop, language=language).get(f"/seller{path}")


@pytest.mark.parametrize("language", Language)
def test_without_evidence_no_order_is_said_to_be_unusual(serve_shops: ShopServer, language: Language) -> None:
    bundle = shop_bundle()
    (reason,) = reasons("unchecked", bundle)
    assert (reason.group, reason.side, reason.value, reason.table) == ("integrity", "missing", None, None)
    told = bundle.reasons.of_feature["orders_beyond_visits_180d"]
    neutral, accusing = (texts.of("seller", language) for texts in (told.missing, told.side))
    desk = serve_shops(bundle)
    said = [text_of(page(desk, "unchecked", path, language)) for path in ("/reasons", "/improve")]
    assert all(neutral in each for each in said)
    start = accusing.partition("{value}")[0]
    assert start
    assert not [each for each in said if start in each]
    score = desk.score("unchecked")
    assert score["assessment"]["explanation"]["reasons"][0]["statement"] == told.missing.bank.en
    report = Read(desk.client.get(f"/v1/scores/{score['id']}/report").text).text
    assert told.missing.bank.en in report
    assert told.side.bank.en.partition("{value}")[0] not in report


def test_with_evidence_the_figures_are_named(serve_shops: ShopServer) -> None:
    bundle = shop_bundle()
    (reason,) = reasons("rushed", bundle)
    assert (reason.code, reason.side, reason.value) == ("RUSH_ORDER_SHARE_180D_HIGH", "high", 0.4)
    said = text_of(page(serve_shops(bundle), "rushed", "/reasons"))
    assert "40.0% of your orders of the last 180 days came as three or more" in said
    assert "1.0% is typical" in said


def test_without_a_reason_the_report_claims_no_more_than_was_checked(serve_shops: ShopServer) -> None:
    desk = serve_shops(shop_bundle())
    score = desk.score("typical")
    explanation = score["assessment"]["explanation"]
    assert explanation["reasons"] == []
    report = Read(desk.client.get(f"/v1/scores/{score['id']}/report").text).text
    assert "None. In the groups that cost points, no single figure on the risky side" in report


def test_every_reason_of_every_shop_lies_on_its_side_and_names_both_values() -> None:
    bundle, found = shop_bundle(), 0
    for shop in ("typical", "returns", "rushed", "unchecked", "stuck", "settled"):
        for reason in reasons(shop, bundle):
            found += 1
            if reason.side == "missing":
                assert reason.value is None
                continue
            assert reason.value is not None
            assert (reason.value > reason.typical) is (reason.side == "high")
            for language in Language:
                said = bundle.reasons.statement(reason, "seller", language)
                assert format_value(reason.value, reason.unit, language) in said
                assert format_value(reason.typical, reason.unit, language) in said
    assert found >= 4


@pytest.mark.parametrize(
    ("language", "said"),
    [
        (Language.ENGLISH, "takes longer: all steps together lead to {farthest} points."),
        (Language.CHINESE, "{farthest}"),
    ],
)
def test_steps_are_shown_though_the_band_is_out_of_reach(
    serve_shops: ShopServer, language: Language, said: str
) -> None:
    bundle, words = shop_bundle(), translator_for(language)
    found = advice("returns", bundle)
    assert found.verdict is AdviceVerdict.OUT_OF_REACH
    assert found.steps
    shown = page(serve_shops(bundle), "returns", "/improve", language)
    text = text_of(shown)
    assert said.format(farthest=found.farthest) in text
    assert 'id="steps"' in shown.text
    for step in found.steps:
        change = step.change
        assert words.format_value(change.value, change.unit) in text
        assert words.format_value(change.to, change.unit) in text
        assert words.points(step.points) in text
    for each in found.open_reasons:
        assert bundle.reasons.statement(each.reason, "seller", language) in text
    # each principal reason has a step, or a sentence on why it has none
    answered = {step.reason for step in found.steps} | {each.reason.code for each in found.open_reasons}
    assert {reason.code for reason in reasons("returns", bundle)} <= answered


@pytest.mark.parametrize("language", Language)
def test_without_a_step_the_reasons_and_why_they_take_longer_are_shown(
    serve_shops: ShopServer, language: Language
) -> None:
    bundle = shop_bundle()
    found = advice("stuck", bundle)
    assert (found.verdict, found.steps) == (AdviceVerdict.NO_STEP, ())
    (later,) = found.open_reasons
    shown = page(serve_shops(bundle), "stuck", "/improve", language)
    text = text_of(shown)
    assert bundle.reasons.statement(later.reason, "seller", language) in text
    why = {
        Language.ENGLISH: "This figure follows from months of business and changes slowly.",
        Language.CHINESE: translator_for(language).translate(
            "This figure follows from months of business and changes slowly."
        ),
    }
    assert why[language] in text
    assert 'id="steps"' not in shown.text
    english = "Sellers of your size rarely make a change within months that would raise your score now."
    assert (english in text) is (language is Language.ENGLISH)


def test_without_a_step_or_a_reason_nothing_is_announced(serve_shops: ShopServer) -> None:
    bundle = shop_bundle(best=0.000_01)
    found = advice("settled", bundle)
    assert (found.verdict, found.open_reasons) == (AdviceVerdict.NO_STEP, ())
    text = text_of(page(serve_shops(bundle), "settled", "/improve"))
    assert "would raise your score now. Keep your figures at this level." in text
    assert "over a longer time:" not in text


def test_in_the_best_band_there_is_nothing_to_raise(serve_shops: ShopServer) -> None:
    bundle = shop_bundle()
    assert advice("settled", bundle).verdict is AdviceVerdict.REACHED
    assert "the best band" in text_of(page(serve_shops(bundle), "settled", "/improve"))


@pytest.mark.parametrize(("scale", "shop"), CUT, ids=["top", "bottom"])
def test_an_end_of_the_scale_is_neither_strength_nor_weakness_nor_reason(scale: Scale, shop: str) -> None:
    bundle = shop_bundle(scale)
    assessment = assess(bundle, [shop_vector(shop, NOW.date())])[0]
    explanation = assessment.explanation
    assert explanation is not None
    limit = explanation.groups[-1]
    assert limit.group == SCALE_LIMIT
    assert abs(limit.points) >= 2
    assert SCALE_LIMIT not in {reason.group for reason in explanation.reasons}
    assert waterfall_steps(explanation)[-1].label == limit.label
    for language in Language:
        found = reasons_view(assessment, bundle, translator_for(language))
        assert found is not None
        rows = (*found.helps, *found.hurts, *found.neutral)
        assert SCALE_LIMIT not in {row.name for row in rows}
        assert limit.label not in {row.title for row in rows}
        assert found.limit == limit.points
        assert found.base + found.added + found.deducted + found.limit == found.score == assessment.score


@pytest.mark.parametrize(("scale", "shop"), CUT, ids=["top", "bottom"])
def test_the_page_shows_the_end_of_the_scale_in_the_sum_alone(serve_shops: ShopServer, scale: Scale, shop: str) -> None:
    desk = serve_shops(shop_bundle(scale))
    shown = page(desk, shop, "/reasons").text
    groups = set(re.findall(r'data-group="([^"]+)"', shown))
    assert "integrity" in groups
    assert SCALE_LIMIT not in groups
    assert shown.count("Limit of the scale") == 1
    assert 'id="limit"' in shown
    assert "Limit of the scale" not in text_of(page(desk, shop, ""))

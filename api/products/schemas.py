"""Products and eligibility on the wire: requests allow nothing unknown, no field of an answer has a default."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from pydantic.config import JsonDict
from pydantic_core import PydanticCustomError

from api.kit.fields import format_timestamp
from api.products.eligibility import SHARES, Offer, ScoreFacts
from api.products.repository import ProductVersion
from scoring import Criterion, EligibilityInputs, Outcome, UnmetCriterion

MOST: Final = 50
"""Products that a bank may have at a time."""

_ID: Final = r"^[a-z0-9][a-z0-9._-]{0,59}$"
_WHOLE: Final = 10**15
_EXAMPLE: Final[JsonDict] = {
    "id": "working-capital",
    "name": "Working capital line",
    "currency": "USD",
    "minimum_band": "C",
    "minimum_months": 12,
    "countries": ["CN", "VN"],
    "multiple": 2.0,
    "least": 1_000,
    "cap": 50_000,
    "prices": {"A": 0.06, "B": 0.08, "C": 0.12},
    "term_days": 365,
}


def _printable(text: str) -> str:
    if not text.isprintable():
        raise PydanticCustomError("printable", "Only printable characters are allowed")
    return text


Whole = Annotated[int, Field(strict=True, ge=-_WHOLE, le=_WHOLE)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Name = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100), AfterValidator(_printable)
]


class _Response(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ProductTerms(_Response):
    """What a product offers, and to whom."""

    id: str = Field(
        pattern=_ID, description="The bank's own id of the product; it stays.", examples=["working-capital"]
    )
    name: Name = Field(description="As sellers read it.", examples=["Working capital line"])
    currency: str = Field(pattern="^[A-Z]{3}$", description="Of the limit, ISO 4217.", examples=["USD"])
    minimum_band: Name = Field(description="The worst band that is admitted.", examples=["C"])
    minimum_months: Whole = Field(description="Months since the first order, at least.", examples=[12])
    countries: list[Annotated[str, Field(pattern="^[A-Z]{2}$")]] = Field(
        max_length=250, description="Countries of sellers, ISO 3166; empty admits all.", examples=[["CN", "VN"]]
    )
    multiple: Number = Field(
        description="The limit as a multiple of the settled net sales of an average month.", examples=[2.0]
    )
    least: Whole = Field(description="The smallest limit, in whole units of the currency.", examples=[1_000])
    cap: Whole = Field(description="The largest limit.", examples=[50_000])
    prices: dict[Name, Number] = Field(
        max_length=30,
        description="Yearly rate of each band that is admitted, 0.08 is 8%; none dearer for a better band.",
        examples=[{"A": 0.06, "B": 0.08, "C": 0.12}],
    )
    term_days: Whole = Field(description="Days from disbursement to the last instalment.", examples=[365])


class ProductList(_Response):
    """All the products that a bank has from now on."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"products": [_EXAMPLE]}]})

    products: list[ProductTerms] = Field(max_length=MOST, description="Every product; what is not here is withdrawn.")


class ProductResponse(ProductTerms):
    """A product in the version that holds, or held at the moment that was asked for."""

    version: int = Field(description="Counts the changes of the product, from 1.", examples=[3])
    since: str = Field(description="From when this version holds, UTC.", examples=["2026-02-01T09:30:00.000000Z"])
    until: str | None = Field(
        description="From when it held no more, UTC; null while it holds.", examples=["2026-05-01T12:00:00.000000Z"]
    )

    @classmethod
    def of(cls, version: ProductVersion) -> ProductResponse:
        """Show a version."""
        product = version.product
        return cls(
            id=version.product_id,
            **{**vars(product), "countries": sorted(product.countries), "prices": dict(product.prices)},
            version=version.version,
            since=format_timestamp(version.since),
            until=None if version.until is None else format_timestamp(version.until),
        )


class ProductsResponse(_Response):
    """A bank's products, in order of their ids."""

    products: list[ProductResponse] = Field(description="Every product that holds, or held at the moment asked for.")


class UnmetCriterionResponse(_Response):
    """A criterion that is not met."""

    criterion: Criterion = Field(description="Which; `checked_sales` names the features that could not be looked at.")
    found: str | float | None = Field(description="What there is; null for nothing.", examples=[7.5])
    needed: str | float = Field(description="What there must be, at least.", examples=[12.0])
    gap: float | None = Field(
        description="How much is lacking: bands, months, or the product's currency a month; null where it is not a "
        "matter of more or less.",
        examples=[4.5],
    )

    @classmethod
    def of(cls, unmet: UnmetCriterion) -> UnmetCriterionResponse:
        """Show an unmet criterion."""
        return cls(**vars(unmet))


class DoubtResponse(_Response):
    """The share of sales that an integrity feature doubts."""

    feature: str = Field(description="Name of the feature.", examples=[SHARES[0]])
    share: float | None = Field(
        description="Between 0 and 1; null where it could not be looked at, so that there is no limit.",
        examples=[0.02],
    )


class OfferResponse(_Response):
    """A product held against the score: a limit and a price, or every criterion that is not met."""

    id: str = Field(description="The bank's id of the product.", examples=["working-capital"])
    version: int = Field(description="The version that held.", examples=[3])
    name: str = Field(description="As sellers read it.", examples=["Working capital line"])
    eligible: bool = Field(description="Whether every criterion is met.")
    currency: str = Field(description="Of limit and sales, ISO 4217.", examples=["USD"])
    usd_per_unit: float | None = Field(
        description="US dollars for a unit of the currency, by which sales were converted; null where none is known.",
        examples=[1.0],
    )
    monthly_sales: float | None = Field(
        description="Settled net sales of an average month; null where not known.", examples=[12_000.0]
    )
    undoubted_sales: float | None = Field(
        description="The same less what is doubted; the most that they can be where something could not be looked at.",
        examples=[11_760.0],
    )
    limit: int | None = Field(description="Indicative limit; null where not eligible.", examples=[23_520])
    price: float | None = Field(description="Yearly rate; null where not eligible.", examples=[0.08])
    term_days: int = Field(description="Days from disbursement to the last instalment.", examples=[365])
    unmet: list[UnmetCriterionResponse] = Field(description="Every criterion that is not met; empty where eligible.")

    @classmethod
    def of(cls, offer: Offer, known: ScoreFacts) -> OfferResponse:
        """Show an offer, or why it is none."""
        found, grounds = offer.eligibility, offer.grounds
        return cls(
            id=offer.product_id,
            version=offer.version,
            name=offer.product.name,
            eligible=found.eligible,
            currency=offer.product.currency,
            usd_per_unit=known.usd_per_unit.get(offer.product.currency),
            monthly_sales=grounds.monthly_sales,
            undoubted_sales=grounds.undoubted_sales,
            limit=found.limit,
            price=found.price,
            term_days=offer.product.term_days,
            unmet=[UnmetCriterionResponse.of(each) for each in found.unmet],
        )


class EligibilityResponse(_Response):
    """A bank's products held against one of its scores, as of a moment; the same whenever it is asked for again."""

    score_id: str = Field(description="The score.", examples=["0b8f3f0e-2f0c-4e0b-9d3c-8a2b6a1f7c55"])
    seller_id: str = Field(description="Whom it is of.", examples=["S-000001"])
    outcome: Outcome = Field(description="Only `scored` has a band, without which nothing is open.")
    band: str | None = Field(description="The score's band; null where it has no number.", examples=["B"])
    as_of: str = Field(description="The midnight (UTC) up to which data was used.", examples=["2026-01-31"])
    at: str = Field(
        description="The moment whose products these are, UTC; give it as `at` to have this answer again.",
        examples=["2026-02-01T09:30:00.000000Z"],
    )
    expires_at: str = Field(
        description="Until when to rely on the score, UTC.", examples=["2026-03-03T09:30:00.000000Z"]
    )
    expired: bool = Field(description="Whether it had expired by then; nothing is open by an expired score.")
    data_too_old: bool = Field(
        description="Whether the score's data were too old by then: nothing is open. Request a new score."
    )
    country: str | None = Field(description="The seller's; null where not known.", examples=["CN"])
    months_trading: float | None = Field(
        description="Months since the first order, of 365 / 12 days; null where not known, or from data too old.",
        examples=[30.5],
    )
    doubts: list[DoubtResponse] = Field(description="What was looked at before sales carry a limit.")
    products: list[OfferResponse] = Field(description="Every product of the bank, in order of their ids.")

    @classmethod
    def of(
        cls, known: ScoreFacts, grounds: EligibilityInputs, offers: list[Offer], at: datetime
    ) -> EligibilityResponse:
        """Show what came of holding products against a score."""
        return cls(
            score_id=known.score.id,
            seller_id=known.score.seller_id,
            outcome=Outcome(known.outcome),
            band=known.band,
            as_of=known.as_of,
            at=format_timestamp(at),
            expires_at=format_timestamp(known.expires_at),
            expired=known.expired(at),
            data_too_old=known.too_old(at),
            country=known.country,
            months_trading=grounds.months_trading,
            doubts=[DoubtResponse(feature=name, share=share) for name, share in grounds.doubts.items()],
            products=[OfferResponse.of(each, known) for each in offers],
        )

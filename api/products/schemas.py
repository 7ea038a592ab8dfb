"""Schemas of products and eligibility. Requests reject unknown fields; response fields have no defaults."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints
from pydantic.config import JsonDict
from pydantic_core import PydanticCustomError

from api.kit.fields import Day, ResponseModel, Timestamp
from api.products.eligibility import SHARES, Offer, ScoreFacts
from api.products.repository import ProductVersion
from scoring import Criterion, EligibilityInputs, Outcome

MOST: Final = 50
"""Maximum number of products of a bank."""

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


class ProductTerms(ResponseModel):
    """The terms and criteria of a product."""

    id: str = Field(pattern=_ID, description="The bank's own ID of the product.", examples=["working-capital"])
    name: Name = Field(description="Name that sellers see.", examples=["Working capital line"])
    currency: str = Field(pattern="^[A-Z]{3}$", description="Currency of the limit, ISO 4217.", examples=["USD"])
    minimum_band: Name = Field(description="Lowest admitted band.", examples=["C"])
    minimum_months: Whole = Field(description="Minimum months since the first order.", examples=[12])
    countries: list[Annotated[str, Field(pattern="^[A-Z]{2}$")]] = Field(
        max_length=250,
        description="Countries of admitted sellers, ISO 3166. Empty admits all.",
        examples=[["CN", "VN"]],
    )
    multiple: Number = Field(
        description="Limit as a multiple of the settled net sales of an average month.", examples=[2.0]
    )
    least: Whole = Field(description="Smallest limit, in whole units of the currency.", examples=[1_000])
    cap: Whole = Field(description="Largest limit, in whole units of the currency.", examples=[50_000])
    prices: dict[Name, Number] = Field(
        max_length=30,
        description="Annual rate of each admitted band; 0.08 is 8%. A better band must not have a higher rate.",
        examples=[{"A": 0.06, "B": 0.08, "C": 0.12}],
    )
    term_days: Whole = Field(description="Days from disbursement to the last instalment.", examples=[365])


class ProductList(ResponseModel):
    """All products of a bank."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"products": [_EXAMPLE]}]})

    products: list[ProductTerms] = Field(
        max_length=MOST, description="All products. Products that are not in the list are withdrawn."
    )


class ProductResponse(ProductTerms):
    """A product in its current version, or its version at the requested time."""

    version: int = Field(description="Version of the product, from 1.", examples=[3])
    since: Timestamp = Field(description="Start of this version, UTC.", examples=["2026-02-01T09:30:00.000000Z"])
    until: Timestamp | None = Field(
        description="End of this version, UTC; null if it is current.", examples=["2026-05-01T12:00:00.000000Z"]
    )

    @classmethod
    def of(cls, version: ProductVersion) -> ProductResponse:
        """Return the response of a version."""
        content = {**vars(version.product), "countries": sorted(version.product.countries)}
        return cls.from_record(version, id=version.product_id, **content)


class ProductsResponse(ResponseModel):
    """A bank's products, in order of their IDs."""

    products: list[ProductResponse] = Field(description="All products, current or at the requested time.")


class UnmetCriterionResponse(ResponseModel):
    """An unmet criterion."""

    criterion: Criterion = Field(
        description="The criterion. `checked_sales` lists the features that could not be computed."
    )
    found: str | float | None = Field(description="The seller's value; null if there is none.", examples=[7.5])
    needed: str | float = Field(description="The required value, at least.", examples=[12.0])
    gap: float | None = Field(
        description="Difference to the required value: bands, months, or monthly sales in the product's currency; null "
        "if it is not a number.",
        examples=[4.5],
    )


class DoubtResponse(ResponseModel):
    """The share of sales that an integrity feature doubts."""

    feature: str = Field(description="Name of the feature.", examples=[SHARES[0]])
    share: float | None = Field(
        description="Between 0 and 1; null if it could not be computed. There is no limit then.",
        examples=[0.02],
    )


class OfferResponse(ResponseModel):
    """A product evaluated for the score: limit and price, or the unmet criteria."""

    id: str = Field(description="The bank's ID of the product.", examples=["working-capital"])
    version: int = Field(description="Version of the product.", examples=[3])
    name: str = Field(description="Name that sellers see.", examples=["Working capital line"])
    eligible: bool = Field(description="Whether all criteria are met.")
    currency: str = Field(description="Currency of limit and sales, ISO 4217.", examples=["USD"])
    usd_per_unit: float | None = Field(
        description="US dollars per unit of the currency, used to convert sales; null if unknown.",
        examples=[1.0],
    )
    monthly_sales: float | None = Field(
        description="Settled net sales of an average month; null if unknown.", examples=[12_000.0]
    )
    undoubted_sales: float | None = Field(
        description="Monthly sales minus doubted sales. If a check was not possible, the highest possible value.",
        examples=[11_760.0],
    )
    limit: int | None = Field(description="Indicative limit; null if not eligible.", examples=[23_520])
    price: float | None = Field(description="Annual rate; null if not eligible.", examples=[0.08])
    term_days: int = Field(description="Days from disbursement to the last instalment.", examples=[365])
    unmet: list[UnmetCriterionResponse] = Field(description="Unmet criteria; empty if eligible.")

    @classmethod
    def of(cls, offer: Offer, facts: ScoreFacts) -> OfferResponse:
        """Return the response of an evaluated product."""
        result, inputs = offer.eligibility, offer.inputs
        return cls(
            id=offer.product_id,
            version=offer.version,
            name=offer.product.name,
            eligible=result.eligible,
            currency=offer.product.currency,
            usd_per_unit=facts.usd_per_unit.get(offer.product.currency),
            monthly_sales=inputs.monthly_sales,
            undoubted_sales=inputs.undoubted_sales,
            limit=result.limit,
            price=result.price,
            term_days=offer.product.term_days,
            unmet=[UnmetCriterionResponse.from_record(unmet) for unmet in result.unmet],
        )


class EligibilityResponse(ResponseModel):
    """A bank's products evaluated for one of its scores at a time. The result for a time does not change."""

    score_id: str = Field(description="ID of the score.", examples=["0b8f3f0e-2f0c-4e0b-9d3c-8a2b6a1f7c55"])
    seller_id: str = Field(description="ID of the scored seller.", examples=["S-000001"])
    outcome: Outcome = Field(description="Only `scored` has a band. Without a band, no product is open.")
    band: str | None = Field(description="Band of the score; null without a score.", examples=["B"])
    as_of: Day = Field(description="The midnight (UTC) up to which data was used.", examples=["2026-01-31"])
    at: Timestamp = Field(
        description="Time of the evaluation, UTC. Send it as `at` to get the same response again.",
        examples=["2026-02-01T09:30:00.000000Z"],
    )
    expires_at: Timestamp = Field(
        description="Time when the score expires, UTC.", examples=["2026-03-03T09:30:00.000000Z"]
    )
    expired: bool = Field(
        description="Whether the score had expired at that time. With an expired score, no product is open."
    )
    data_too_old: bool = Field(
        description="Whether the data were too old at that time. No product is open then; request a new score."
    )
    country: str | None = Field(description="Country of the seller; null if unknown.", examples=["CN"])
    months_trading: float | None = Field(
        description="Months since the first order, of 365 / 12 days; null if unknown or if the data are too old.",
        examples=[30.5],
    )
    doubts: list[DoubtResponse] = Field(description="Checks of the sales that a limit is based on.")
    products: list[OfferResponse] = Field(description="All products of the bank, in order of their IDs.")

    @classmethod
    def of(cls, facts: ScoreFacts, inputs: EligibilityInputs, offers: list[Offer], at: datetime) -> EligibilityResponse:
        """Return the response of an evaluation."""
        return cls.from_record(
            facts.score.assessment,
            score_id=facts.score.id,
            seller_id=facts.score.seller_id,
            at=at,
            expires_at=facts.expires_at,
            expired=facts.expired(at),
            data_too_old=facts.too_old(at),
            country=facts.country,
            months_trading=inputs.months_trading,
            doubts=[DoubtResponse(feature=name, share=share) for name, share in inputs.doubts.items()],
            products=[OfferResponse.of(offer, facts) for offer in offers],
        )

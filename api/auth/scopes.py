"""Kinds of clients, and the scopes that each kind can request."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class ClientKind(StrEnum):
    """The kind of a client. It never changes."""

    BANK = "bank"
    PLATFORM = "platform"
    OPERATOR = "operator"


class Scope(StrEnum):
    """A permission that a token grants."""

    SCORES_WRITE = "scores:write"
    SCORES_READ = "scores:read"
    CONSENTS_WRITE = "consents:write"
    CONSENTS_READ = "consents:read"
    CONSENT_REQUESTS_WRITE = "consent-requests:write"
    METRICS_READ = "metrics:read"
    MODEL_READ = "model:read"
    PROFILES_READ = "profiles:read"
    PRODUCTS_WRITE = "products:write"
    PRODUCTS_READ = "products:read"
    SELLER_SESSIONS_WRITE = "seller-sessions:write"
    REVIEWS_READ = "reviews:read"
    REVIEWS_WRITE = "reviews:write"


SCOPE_DESCRIPTIONS: Final[Mapping[Scope, str]] = {
    Scope.SCORES_WRITE: "Score a seller (banks).",
    Scope.SCORES_READ: "Read own scores (banks).",
    Scope.CONSENTS_WRITE: "Record and revoke consents, and decline consent requests (platform).",
    Scope.CONSENTS_READ: "Read consents and consent requests (banks: their own; platform: all).",
    Scope.CONSENT_REQUESTS_WRITE: "Request consents (banks).",
    Scope.METRICS_READ: "Read metrics (operators).",
    Scope.MODEL_READ: "Read the current model card and reason catalogue (banks, operators).",
    Scope.PROFILES_READ: "Read profiles of sellers with an active consent (banks).",
    Scope.PRODUCTS_WRITE: "Replace own financing products (banks).",
    Scope.PRODUCTS_READ: "Read own financing products, and the eligibility of sellers (banks).",
    Scope.SELLER_SESSIONS_WRITE: "Log sellers in to their pages (platform).",
    Scope.REVIEWS_READ: "Read reviews (operators).",
    Scope.REVIEWS_WRITE: "Assign and decide reviews (operators).",
}
"""The scopes as the OpenAPI document describes them."""

_SCOPES_OF_KIND: Final[Mapping[ClientKind, frozenset[Scope]]] = {
    ClientKind.BANK: frozenset(
        {
            Scope.SCORES_WRITE,
            Scope.SCORES_READ,
            Scope.CONSENTS_READ,
            Scope.CONSENT_REQUESTS_WRITE,
            Scope.MODEL_READ,
            Scope.PROFILES_READ,
            Scope.PRODUCTS_WRITE,
            Scope.PRODUCTS_READ,
        }
    ),
    ClientKind.PLATFORM: frozenset({Scope.CONSENTS_WRITE, Scope.CONSENTS_READ, Scope.SELLER_SESSIONS_WRITE}),
    ClientKind.OPERATOR: frozenset({Scope.METRICS_READ, Scope.MODEL_READ, Scope.REVIEWS_READ, Scope.REVIEWS_WRITE}),
}


def scopes_of(kind: ClientKind) -> frozenset[Scope]:
    """Return the scopes that clients of a kind can request."""
    return _SCOPES_OF_KIND[kind]


def format_scopes(scopes: frozenset[Scope]) -> str:
    """Return scopes in the format of RFC 6749, in alphabetical order.

    Example:
        >>> format_scopes(frozenset({Scope.SCORES_WRITE, Scope.SCORES_READ}))
        'scores:read scores:write'
    """
    return " ".join(sorted(scopes))

"""The kinds of callers and the scopes that each may hold; a scope is here once an endpoint asks for it."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class ClientKind(StrEnum):
    """What a client is; it never changes."""

    BANK = "bank"
    PLATFORM = "platform"
    OPERATOR = "operator"


class Scope(StrEnum):
    """A right that a token carries, as a client asks for it."""

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
    Scope.SCORES_READ: "Read the scores that were made for oneself (banks).",
    Scope.CONSENTS_WRITE: "Record and revoke sellers' consents, and decline requests (the platform).",
    Scope.CONSENTS_READ: "Read consents and requests for them (banks: their own; the platform: all).",
    Scope.CONSENT_REQUESTS_WRITE: "Ask for sellers' consents (banks).",
    Scope.METRICS_READ: "Read what the service counts of itself (operators).",
    Scope.MODEL_READ: "Read the model card and the reasons in force (banks, operators).",
    Scope.PROFILES_READ: "Read the pictures of sellers who consented (banks).",
    Scope.PRODUCTS_WRITE: "Replace one's financing products (banks).",
    Scope.PRODUCTS_READ: "Read one's financing products, and who qualifies for them (banks).",
    Scope.SELLER_SESSIONS_WRITE: "Log sellers in to their pages (the platform).",
    Scope.REVIEWS_READ: "Read what sellers ask to have looked at (operators).",
    Scope.REVIEWS_WRITE: "Take up and decide what sellers ask to have looked at (operators).",
}
"""Each scope in a sentence, as the OpenAPI document says it."""

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
    """Return the scopes that clients of a kind may hold.

    Example: `scopes_of(Kind.BANK)` holds `scores:write`; nobody else's do.
    """
    return _SCOPES_OF_KIND[kind]


def format_scopes(scopes: frozenset[Scope]) -> str:
    """Return scopes as RFC 6749 writes them, in alphabetical order.

    Example:
        >>> written(frozenset({Scope.SCORES_WRITE, Scope.SCORES_READ}))
        'scores:read scores:write'
    """
    return " ".join(sorted(scopes))

"""Kinds of clients, and the scopes that each kind can request."""

from __future__ import annotations

from enum import StrEnum


class ClientKind(StrEnum):
    """The kind of a client. It never changes."""

    BANK = "bank"
    PLATFORM = "platform"
    OPERATOR = "operator"


_BANK, _PLATFORM, _OPERATOR = ClientKind


class Scope(StrEnum):
    """A permission that a token grants: its name, its description in the OpenAPI document, and who can request it."""

    description: str
    kinds: tuple[ClientKind, ...]

    def __new__(cls, name: str, description: str = "", *kinds: ClientKind) -> Scope:
        """Create a scope."""
        scope = str.__new__(cls, name)
        scope._value_, scope.description, scope.kinds = name, description, kinds
        return scope

    SCORES_WRITE = "scores:write", "Score a seller (banks).", _BANK
    SCORES_READ = "scores:read", "Read own scores (banks).", _BANK
    CONSENTS_WRITE = "consents:write", "Record and revoke consents, and decline consent requests (platform).", _PLATFORM
    CONSENTS_READ = (
        "consents:read",
        "Read consents and consent requests (banks: their own; platform: all).",
        _BANK,
        _PLATFORM,
    )
    CONSENT_REQUESTS_WRITE = "consent-requests:write", "Request consents (banks).", _BANK
    METRICS_READ = "metrics:read", "Read metrics (operators).", _OPERATOR
    MODEL_READ = "model:read", "Read the current model card and reason catalogue (banks, operators).", _BANK, _OPERATOR
    PROFILES_READ = "profiles:read", "Read profiles of sellers with an active consent (banks).", _BANK
    PRODUCTS_WRITE = "products:write", "Replace own financing products (banks).", _BANK
    PRODUCTS_READ = "products:read", "Read own financing products, and the eligibility of sellers (banks).", _BANK
    SELLER_SESSIONS_WRITE = "seller-sessions:write", "Log sellers in to their pages (platform).", _PLATFORM
    REVIEWS_READ = "reviews:read", "Read reviews (operators).", _OPERATOR
    REVIEWS_WRITE = "reviews:write", "Assign and decide reviews (operators).", _OPERATOR


def scopes_of(kind: ClientKind) -> frozenset[Scope]:
    """Return the scopes that clients of a kind can request."""
    return frozenset(scope for scope in Scope if kind in scope.kinds)


def format_scopes(scopes: frozenset[Scope]) -> str:
    """Return scopes in the format of RFC 6749, in alphabetical order.

    Example:
        >>> format_scopes(frozenset({Scope.SCORES_WRITE, Scope.SCORES_READ}))
        'scores:read scores:write'
    """
    return " ".join(sorted(scopes))

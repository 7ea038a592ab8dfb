"""Labels of tables, purposes and states. Labels of features and reason groups are in the bundle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from api.consents.repository import ConsentRequestState, ConsentState
from api.reviews.repository import ReviewKind, ReviewOutcome, ReviewState
from api.web.translations import N_

TABLES: Final[Mapping[str, str]] = {
    "sellers": N_("Your account"),
    "stores": N_("Your stores"),
    "orders": N_("Orders"),
    "refunds": N_("Refunds and returns"),
    "traffic": N_("Visits and advertising"),
    "fulfilments": N_("Shipping and delivery"),
    "ratings": N_("Buyer ratings"),
    "purchases": N_("Purchases from suppliers"),
    "fx_rates": N_("Exchange rates"),
    "loans": N_("Loans"),
    "instalments": N_("Instalments due"),
    "payments": N_("Instalment payments"),
}

PURPOSES: Final[Mapping[str, str]] = {
    "credit_application": N_("a credit application"),
    "account_review": N_("an account review"),
    "self_view": N_("your own view"),
}

CONSENT_STATES: Final[Mapping[ConsentState, str]] = {
    ConsentState.IN_FORCE: N_("in force"),
    ConsentState.ENDED: N_("ended"),
    ConsentState.REVOKED: N_("withdrawn"),
}

REQUEST_STATES: Final[Mapping[ConsentRequestState, str]] = {
    ConsentRequestState.PENDING: N_("waiting for your answer"),
    ConsentRequestState.GRANTED: N_("allowed"),
    ConsentRequestState.DECLINED: N_("declined"),
    ConsentRequestState.EXPIRED: N_("expired"),
}

ACCESS_KINDS: Final[Mapping[str, str]] = {
    "score": N_("Scored you for %(purpose)s"),
    "view": N_("Viewed your business figures"),
}
"""Actions of a bank, by the kind of the ledger row."""

KINDS: Final[Mapping[ReviewKind, str]] = {
    ReviewKind.DISPUTE: N_("You disputed a figure"),
    ReviewKind.REVIEW: N_("You requested a review of your score by a person"),
    ReviewKind.REVERSAL: N_("We reversed a correction"),
}

QUEUE_KINDS: Final[Mapping[ReviewKind, str]] = {
    ReviewKind.DISPUTE: N_("Dispute of a figure"),
    ReviewKind.REVIEW: N_("Review by a person"),
    ReviewKind.REVERSAL: N_("Reversal of a correction"),
}

STATES: Final[Mapping[ReviewState, str]] = {
    ReviewState.OPEN: N_("received"),
    ReviewState.IN_REVIEW: N_("in review"),
    ReviewState.DECIDED: N_("decided"),
}

OUTCOMES: Final[Mapping[ReviewOutcome, str]] = {
    ReviewOutcome.CORRECTED: N_("The figure was corrected"),
    ReviewOutcome.CONFIRMED: N_("Confirmed without changes"),
}

RESTORED: Final = N_("The delivered value was restored")
"""Outcome of a reversal."""

FIELDS: Final[Mapping[str, str]] = {
    "outcome": N_("Outcome"),
    "feature": N_("Figure to correct"),
    "value": N_("Correct value"),
    "reason": N_("Reason (shown to the seller)"),
    "statement": N_("What is wrong, and what shows it?"),
}
"""Labels of the fields of review forms."""

CONFIRMATIONS: Final[Mapping[str, str]] = {
    "granted": N_("Done. The bank can score you until the date below. You can withdraw your consent at any time."),
    "declined": N_("Done. You declined the request. The bank cannot score you."),
    "revoked": N_("Done. You withdrew your consent. The bank gets no new scores of you from now on."),
    "asked": N_("Done. We received your request. A person reviews it, and the answer appears on this page."),
    "taken": N_("Done. The review is assigned to you."),
    "decided": N_("Done. The decision is recorded."),
    "reversed": N_("Done. The correction is reversed."),
}
"""Confirmations of the last action, by the name in the page address."""

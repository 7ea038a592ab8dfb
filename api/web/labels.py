"""Words for tables, purposes and states. Labels of figures and of their groups are in the bundle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from api.consents.repository import ConsentRequestState as Requested
from api.consents.repository import ConsentState as Consented
from api.reviews.repository import ReviewKind, ReviewOutcome, ReviewState
from api.web.translations import N_

TABLES: Final[Mapping[str, str]] = {
    "sellers": N_("Your account"),
    "stores": N_("Your stores"),
    "orders": N_("Orders"),
    "refunds": N_("Refunds and returns"),
    "traffic": N_("Visits and advertising"),
    "fulfilments": N_("Shipping and delivery"),
    "ratings": N_("Ratings by buyers"),
    "purchases": N_("Purchases from suppliers"),
    "fx_rates": N_("Exchange rates"),
    "loans": N_("Loans"),
    "instalments": N_("Instalments due"),
    "payments": N_("Payments of instalments"),
}

PURPOSES: Final[Mapping[str, str]] = {
    "credit_application": N_("an application for credit"),
    "account_review": N_("the review of an account"),
    "self_view": N_("your own view"),
}

CONSENT_STATES: Final[Mapping[Consented, str]] = {
    Consented.IN_FORCE: N_("in force"),
    Consented.ENDED: N_("ended"),
    Consented.REVOKED: N_("withdrawn"),
}

REQUEST_STATES: Final[Mapping[Requested, str]] = {
    Requested.PENDING: N_("waits for you"),
    Requested.GRANTED: N_("allowed"),
    Requested.DECLINED: N_("declined"),
    Requested.EXPIRED: N_("expired"),
}

ACCESS_KINDS: Final[Mapping[str, str]] = {
    "score": N_("Scored you for %(purpose)s"),
    "view": N_("Viewed your business figures"),
}
"""What a bank did, by the kind of the row in the ledger."""

KINDS: Final[Mapping[ReviewKind, str]] = {
    ReviewKind.DISPUTE: N_("You dispute a figure"),
    ReviewKind.REVIEW: N_("You asked that a person looks at your score"),
}

QUEUE_KINDS: Final[Mapping[ReviewKind, str]] = {
    ReviewKind.DISPUTE: N_("Dispute of a figure"),
    ReviewKind.REVIEW: N_("Review by a person"),
}

STATES: Final[Mapping[ReviewState, str]] = {
    ReviewState.OPEN: N_("received"),
    ReviewState.IN_REVIEW: N_("being looked at"),
    ReviewState.DECIDED: N_("decided"),
}

OUTCOMES: Final[Mapping[ReviewOutcome, str]] = {
    ReviewOutcome.CORRECTED: N_("The figure was corrected"),
    ReviewOutcome.CONFIRMED: N_("What there is stands"),
}

CONFIRMATIONS: Final[Mapping[str, str]] = {
    "granted": N_("Done: the bank may score you until the day below. You can withdraw that at any time."),
    "declined": N_("Done: you declined. The bank cannot score you."),
    "revoked": N_("Done: you withdrew your consent. From now on the bank gets no new score of you."),
    "asked": N_("Done: we received it. A person looks at it and answers here."),
    "taken": N_("Done: it is yours to decide."),
    "decided": N_("Done: the decision is recorded."),
}
"""What was just done, by the name that the address of the page carries."""

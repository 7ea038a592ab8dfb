"""All errors of the API package, as one tree: errors that stop a command, and problems that HTTP callers receive.

ApiError
├── StartError                 the service or a command cannot start
│   ├── SettingsError          a setting has a value that is not allowed
│   ├── KeyRingError           the signing keys are missing, unreadable or readable by others
│   ├── LedgerKeyError         the ledger key is missing, wrong or readable by others
│   ├── DatabaseSetupError     the database cannot be opened or is not durable
│   ├── ClockError             the clock is much later than the ledger
│   ├── ModelMissingError      no champion is registered
│   ├── ModelStoreError        the registry or a saved bundle cannot be used
│   └── AddressTakenError      the listen address is not available
├── AccessError                an invalid client, key or credentials file
├── SignatureError             a JWS that no known key signed
├── SellerKeyMissing           a seller to erase has no key in the ledger
├── InputError                 a file that cannot be read or has the wrong content
├── OutputError                a file that cannot be written
└── Problem                    an HTTP error response with a status and a stable type (RFC 9457); docs/api.md lists them
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Final

MAX_BODY_BYTES: Final = 64 * 1024
"""Size limit of a request body. No valid request comes near it."""


class ApiError(Exception):
    """Base class of all errors of this package. The message is for people."""


class StartError(ApiError):
    """The service or a command cannot start. Nothing was changed."""


class SettingsError(StartError):
    """A setting, from the environment or an option, has a value that is not allowed."""


class KeyRingError(StartError):
    """The signing keys are missing, cannot be read or created, or are readable by other users."""


class LedgerKeyError(StartError):
    """The key that encrypts the sellers' keys is missing, readable by other users, or belongs to another ledger."""


class DatabaseSetupError(StartError):
    """The database cannot be opened or migrated, or its commits are not durable."""


class ClockError(StartError):
    """The clock is much later than the newest row of the ledger, so a command appends no row."""


class ModelMissingError(StartError):
    """No model is registered as champion."""


class ModelStoreError(StartError):
    """Neither the registry nor the state folder provides the promoted bundle, or a bundle cannot be saved."""


class AddressTakenError(StartError):
    """The listen address is in use, or this machine does not have it."""


class AccessError(ApiError):
    """An unknown client, a key that must not be registered, or a credentials file that other users can read."""


class SignatureError(ApiError):
    """A signature is invalid: the content was changed or truncated, or the key is unknown."""


class UnknownKeyError(SignatureError):
    """No trusted key has the ID that the signature names."""

    def __init__(self) -> None:
        super().__init__(
            "The key of the signature is not among the trusted keys. Get the current response of "
            "/.well-known/jwks.json from the service that signed it."
        )


class SellerKeyMissing(ApiError):  # noqa: N818 - like the other errors about sellers
    """A seller has records that need a key in the ledger, but no key. The ledger and its tables are unchanged."""


class InputError(ApiError):
    """An input file cannot be read or has the wrong content. Nothing was done."""


class OutputError(ApiError):
    """An output file cannot be written, or its type is unknown. Nothing was written."""


class Problem(ApiError):  # noqa: N818 - the word of RFC 9457
    """An error response of type `application/problem+json`.

    A subclass declares its `status`, its stable `slug` (the type is `/problems/<slug>`) and its `title`. Its docstring
    is the default detail of the response.

    Example: `raise SellerUnknown()` responds with status 404 and type `/problems/unknown-seller`.
    """

    status: ClassVar[int]
    slug: ClassVar[str]
    title: ClassVar[str]
    default_detail: ClassVar[str]
    default_headers: ClassVar[Mapping[str, str]] = {}

    def __init_subclass__(cls, *, status: int, slug: str, title: str) -> None:
        cls.status, cls.slug, cls.title = status, slug, title
        cls.default_detail = " ".join((cls.__doc__ or title).split())  # python -OO removes docstrings

    def __init__(self, detail: str | None = None, headers: Mapping[str, str] | None = None) -> None:
        self.detail = detail or self.default_detail
        self.headers = {**self.default_headers, **(headers or {})}
        super().__init__(self.detail)


class MalformedJson(Problem, status=400, slug="malformed-json", title="The body is not valid JSON"):
    """The body is not valid JSON in UTF-8. Send one JSON object in which each name occurs once."""


class NotAuthenticated(Problem, status=401, slug="not-authenticated", title="No access token"):
    """The request has no access token.

    Get one at `POST /oauth/token` and send it as `Authorization: Bearer <token>`.
    """

    default_headers: ClassVar[Mapping[str, str]] = {"WWW-Authenticate": 'Bearer realm="sellerscore"'}


class InvalidToken(Problem, status=401, slug="invalid-token", title="Invalid access token"):
    """The access token has expired, was revoked or was not issued by this service.

    Get a new one at `POST /oauth/token`.
    """

    default_headers: ClassVar[Mapping[str, str]] = {
        "WWW-Authenticate": 'Bearer realm="sellerscore", error="invalid_token"'
    }


class NotSignedIn(Problem, status=401, slug="not-signed-in", title="You are not logged in"):
    """Your session has ended. Log in again from your marketplace."""


class LoginFailed(Problem, status=401, slug="login-failed", title="Login failed"):
    """The login could not be completed. Please start again."""

    # the cause is in the log, not in the response


class WrongCaller(Problem, status=403, slug="wrong-caller", title="Wrong kind of client"):
    """This endpoint is not available to your kind of client.

    Use the credentials of a bank, the platform or an operator, as the API reference states for this endpoint.
    """


class InsufficientScope(Problem, status=403, slug="insufficient-scope", title="Missing scope"):
    """The access token lacks the scope that this endpoint requires.

    Request a token with the scope named in the WWW-Authenticate header, or one with all your scopes.
    """

    default_headers: ClassVar[Mapping[str, str]] = {
        "WWW-Authenticate": 'Bearer realm="sellerscore", error="insufficient_scope"'
    }

    def __init__(self, scope: str | None = None) -> None:
        challenge = self.default_headers["WWW-Authenticate"]
        super().__init__(headers={"WWW-Authenticate": f'{challenge}, scope="{scope}"'} if scope else None)


class ConsentRequired(Problem, status=403, slug="consent-required", title="Consent required"):
    """There is no active consent of this seller for your bank and this purpose.

    Request it with `POST /v1/consent-requests`.
    """

    # an unknown seller gets the same response


class FormRefused(Problem, status=403, slug="form-refused", title="The form has expired"):
    """Nothing was changed, because the form does not belong to your current session. Reload the page and try again."""


class RouteUnknown(Problem, status=404, slug="not-found", title="Unknown path"):
    """This path does not exist. See /docs for all paths."""


class SellerUnknown(Problem, status=404, slug="unknown-seller", title="Unknown seller"):
    """The latest feature snapshot has no operating data of this seller.

    Check the seller_id, or try again after the next delivery of the platform.
    """


class ScoreUnknown(Problem, status=404, slug="unknown-score", title="Unknown score"):
    """No score of your bank has this ID.

    Use the `id`, or the Location header, of the response that created the score.
    """


class BankUnknown(Problem, status=404, slug="unknown-bank", title="Unknown bank"):
    """No active bank has this bank_id. Use the bank_id of the consent request."""


class ConsentUnknown(Problem, status=404, slug="unknown-consent", title="Unknown consent"):
    """No consent has this ID. Use an ID from `GET /v1/consents`."""


class ConsentRequestUnknown(Problem, status=404, slug="unknown-consent-request", title="Unknown consent request"):
    """No consent request has this ID. Use an ID from `GET /v1/consent-requests`."""


class ReviewUnknown(Problem, status=404, slug="unknown-review", title="Unknown review"):
    """No review has this ID. Use an ID from `GET /v1/reviews`."""


class MethodNotAllowed(Problem, status=405, slug="method-not-allowed", title="Method not allowed"):
    """This path does not support the method of the request. Use one that the Allow header lists."""


class BundleNotKept(Problem, status=409, slug="bundle-not-kept", title="The model of the score is missing"):
    """The model that issued this score is missing or damaged.

    Ask the operator to restore the folder bundles/ from a backup.
    """


class IdempotencyKeyInFlight(
    Problem, status=409, slug="idempotency-key-in-flight", title="A request with this key is in progress"
):
    """Another request with this Idempotency-Key is still in progress. Retry after one second."""

    default_headers: ClassVar[Mapping[str, str]] = {"Retry-After": "1"}


class ScoreNotReplayable(Problem, status=409, slug="score-not-replayable", title="The score cannot be replayed"):
    """The stored inputs do not fit the model that issued this score.

    Ask the operator to run `sellerscore ledger verify`.
    """


class ConsentRequestClosed(Problem, status=409, slug="consent-request-closed", title="The consent request is closed"):
    """The consent request was granted or has expired, so it cannot be declined.

    To end a consent, use `DELETE /v1/consents/{id}`.
    """


class ScoresNotComparable(Problem, status=409, slug="scores-not-comparable", title="The scores cannot be compared"):
    """The score in `since` must be an earlier score of the same seller. Use an ID from `GET /v1/scores?seller_id=`."""


class ReviewDecided(Problem, status=409, slug="review-decided", title="The review was already decided"):
    """This review was already decided, and a decision is final. The seller can request another review."""


class CorrectionUnconfirmed(
    Problem, status=409, slug="correction-unconfirmed", title="The correction must be confirmed"
):
    """The correction changes the band of the seller, or its value is unusual.

    Send the new band as confirm_band, or confirm_value with true.
    """


class CorrectionNotActive(Problem, status=409, slug="correction-not-active", title="There is no correction to reverse"):
    """The current figures do not use a correction of this review, so there is nothing to reverse.

    Newer data or a later correction may have replaced it. Reverse the latest correction of the figure.
    """


class TooManyReviews(Problem, status=409, slug="too-many-reviews", title="Too many open reviews"):
    """You have reached the limit of open reviews. Wait until one of them is decided."""


class ScoreErased(Problem, status=410, slug="erased", title="The seller was erased"):
    """The data of this seller were erased, including the content of this score.

    The ledger still proves that it was issued.
    """


class ScorePastRetention(ScoreErased, status=410, slug="past-retention", title="The retention period has ended"):
    """The content of this score was deleted at the end of its retention period.

    The ledger and your receipt still prove that it was issued.
    """


class LinkUsedUp(Problem, status=410, slug="link-used-up", title="This link has expired or was already used"):
    """A login link works once and for ten minutes. Open your score from your marketplace again."""


class PreconditionFailed(
    Problem, status=412, slug="precondition-failed", title="The resource was changed in the meantime"
):
    """The ETag in If-Match is not the current one, so nothing was changed.

    Read the resource again, apply your change to it, and send its new ETag.
    """


class BodyTooLarge(Problem, status=413, slug="body-too-large", title="The body is too large"):
    """The body exceeds the limit of 65536 bytes. Send a smaller body."""


class UnsupportedMediaType(Problem, status=415, slug="unsupported-media-type", title="Unsupported content type"):
    """The body is not declared as JSON. Send JSON with the header `Content-Type: application/json`."""


class ClientGone(Problem, status=499, slug="client-gone", title="The client closed the connection"):
    """The client closed the connection before it had sent the whole body. This response is only logged."""


class IdempotencyKeyReused(
    Problem, status=422, slug="idempotency-key-reused", title="The key belongs to another request"
):
    """This Idempotency-Key was already used for a different request.

    Repeat that request unchanged, or use a new key.
    """


class InvalidRequest(Problem, status=422, slug="invalid-request", title="Invalid values"):
    """The request has values that are not allowed. Correct those listed in `errors` and send the request again."""

    def __init__(self, invalid: Sequence[Mapping[str, str]] = ()) -> None:
        self.invalid = invalid
        super().__init__()


class TooManyRequests(Problem, status=429, slug="too-many-requests", title="Too many requests"):
    """You have exceeded the rate limit of calls or of failed authentications.

    Wait the number of seconds in the Retry-After header.
    """

    default_headers: ClassVar[Mapping[str, str]] = {"Retry-After": "1"}


class InternalError(Problem, status=500, slug="internal-error", title="Internal error"):
    """The service failed; your request is not the cause. Report the request_id to the operator."""


class ScoreNotExplained(Problem, status=500, slug="score-not-explained", title="The score cannot be explained"):
    """The contributions of the current model do not sum to the score, so no score was issued.

    Report the request_id to the operator.
    """


class LedgerDamaged(Problem, status=500, slug="ledger-damaged", title="The stored score is damaged"):
    """The stored score differs from what was written, so it is not returned. Report the request_id to the operator."""


class ClockSetBack(Problem, status=503, slug="clock-set-back", title="The clock of the service is wrong"):
    """The clock of the service is behind the last entry of the ledger, so nothing was stored.

    Ask the operator to correct the clock, then try again.
    """


class ClockSetForward(Problem, status=503, slug="clock-set-forward", title="The clock of the service is wrong"):
    """The clock of the service was set forward while it runs, so nothing was stored.

    Ask the operator to correct the clock, or to restart the service if the clock is right now.
    """


class VectorsUnavailable(Problem, status=503, slug="no-vectors", title="No feature vectors"):
    """The service has no readable feature vectors. Ask the operator to run `sellerscore features` after an ingest."""


class VectorsDoNotFitModel(
    Problem, status=503, slug="vectors-do-not-fit-model", title="The vectors do not fit the model"
):
    """The stored feature vectors do not fit the current model, so nothing was scored.

    Ask the operator to run `sellerscore features` with the catalogue of the model, or to train and promote a new model
    and restart the service.
    """


class LoginUnavailable(Problem, status=503, slug="login-unavailable", title="The login is not available"):
    """The login provider does not respond. Try again after a minute, or open your score from your marketplace."""

    default_headers: ClassVar[Mapping[str, str]] = {"Retry-After": "60"}


class DatabaseUnavailable(Problem, status=503, slug="database-unavailable", title="The database is unavailable"):
    """The database does not respond, so nothing was stored. Retry after a few seconds."""

    default_headers: ClassVar[Mapping[str, str]] = {"Retry-After": "5"}


class NotReady(Problem, status=503, slug="not-ready", title="The service is not ready"):
    """database: the database does not respond."""

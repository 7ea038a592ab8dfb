"""All errors of the API package, as one tree: errors that stop a command, and problems that HTTP callers receive.

ApiError
├── StartError                 the service or a command cannot start
│   ├── SettingsError          a setting has a value that is not allowed
│   ├── KeyRingError           the signing keys are missing, unreadable or readable by others
│   ├── LedgerKeyError         the ledger key is missing, wrong or readable by others
│   ├── DatabaseSetupError     the database cannot be opened or is not durable
│   ├── ModelMissingError      no champion is registered
│   ├── ModelStoreError        the registry or a saved bundle cannot be used
│   └── AddressTakenError      the listen address is not available
├── AccessError                an invalid client, key or credentials file
├── SignatureError             a JWS that no known key signed
├── InputError                 a file that cannot be read or has the wrong content
├── OutputError                a file that cannot be written
└── Problem                    an HTTP error response with a status and a stable type (RFC 9457)
    ├── MalformedJson          400
    ├── NotAuthenticated       401
    ├── InvalidToken           401
    ├── NotSignedIn            401
    ├── LoginFailed            401
    ├── WrongCaller            403
    ├── InsufficientScope      403
    ├── ConsentRequired        403
    ├── FormRefused            403
    ├── RouteUnknown           404
    ├── SellerUnknown          404
    ├── ScoreUnknown           404
    ├── BankUnknown            404
    ├── ConsentUnknown         404
    ├── ConsentRequestUnknown  404
    ├── ReviewUnknown          404
    ├── MethodNotAllowed       405
    ├── BundleNotKept          409
    ├── IdempotencyKeyInFlight 409
    ├── ScoreNotReplayable     409
    ├── ConsentRequestClosed   409
    ├── ScoresNotComparable    409
    ├── ReviewDecided          409
    ├── TooManyReviews         409
    ├── ScoreErased            410
    │   └── ScorePastRetention 410
    ├── LinkUsedUp             410
    ├── BodyTooLarge           413
    ├── UnsupportedMediaType   415
    ├── IdempotencyKeyReused   422
    ├── InvalidRequest         422
    ├── TooManyRequests        429
    ├── InternalError          500
    ├── ScoreNotExplained      500
    ├── LedgerDamaged          500
    ├── VectorsUnavailable     503
    ├── VectorsDoNotFitModel   503
    ├── DatabaseUnavailable    503
    └── NotReady               503
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


class InputError(ApiError):
    """An input file cannot be read or has the wrong content. Nothing was done."""


class OutputError(ApiError):
    """An output file cannot be written, or its type is unknown. Nothing was written."""


class Problem(ApiError):  # noqa: N818 - the word of RFC 9457
    """An error response of type `application/problem+json`.

    Each subclass has a `status`, a stable `slug` (its type is `/problems/<slug>`), a `title`, and a `default_detail`.

    Example: `raise SellerUnknown()` responds with status 404 and type `/problems/unknown-seller`.
    """

    status: ClassVar[int]
    slug: ClassVar[str]
    title: ClassVar[str]
    default_detail: ClassVar[str]
    default_headers: ClassVar[Mapping[str, str]] = {}

    def __init__(self, detail: str | None = None, headers: Mapping[str, str] | None = None) -> None:
        self.detail = detail or self.default_detail
        self.headers = {**self.default_headers, **(headers or {})}
        super().__init__(self.detail)


class MalformedJson(Problem):
    """The body is not JSON in UTF-8, or repeats a name in one object."""

    status, slug, title = 400, "malformed-json", "The body is not valid JSON"
    default_detail = "The body is not valid JSON in UTF-8. Send one JSON object in which each name occurs once."


class NotAuthenticated(Problem):
    """The request has no token."""

    status, slug, title = 401, "not-authenticated", "No access token"
    default_detail = (
        "The request has no access token. Get one at `POST /oauth/token` and send it as `Authorization: Bearer "
        "<token>`."
    )
    default_headers: ClassVar[Mapping[str, str]] = {"WWW-Authenticate": 'Bearer realm="sellerscore"'}


class InvalidToken(Problem):
    """The token was changed, has expired or belongs to another service, or its client was revoked."""

    status, slug, title = 401, "invalid-token", "Invalid access token"
    default_detail = (
        "The access token has expired, was revoked or was not issued by this service. Get a new one at `POST "
        "/oauth/token`."
    )
    default_headers: ClassVar[Mapping[str, str]] = {
        "WWW-Authenticate": 'Bearer realm="sellerscore", error="invalid_token"'
    }


class NotSignedIn(Problem):
    """A page was requested without an active session."""

    status, slug, title = 401, "not-signed-in", "You are not logged in"
    default_detail = "Your session has ended. Log in again from your marketplace."


class LoginFailed(Problem):
    """The login provider did not confirm the identity of the user. The log states the cause, the response does not."""

    status, slug, title = 401, "login-failed", "Login failed"
    default_detail = "The login could not be completed. Please start again."


class WrongCaller(Problem):
    """The endpoint is not available to this kind of client."""

    status, slug, title = 403, "wrong-caller", "Wrong kind of client"
    default_detail = (
        "This endpoint is not available to your kind of client. Use the credentials of a bank, the platform or an "
        "operator, as the API reference states for this endpoint."
    )


class InsufficientScope(Problem):
    """The token lacks the scope of the endpoint."""

    status, slug, title = 403, "insufficient-scope", "Missing scope"
    default_detail = (
        "The access token lacks the scope that this endpoint requires. Request a token with the scope named in the "
        "WWW-Authenticate header, or one with all your scopes."
    )
    default_headers: ClassVar[Mapping[str, str]] = {
        "WWW-Authenticate": 'Bearer realm="sellerscore", error="insufficient_scope"'
    }

    def __init__(self, scope: str | None = None) -> None:
        challenge = self.default_headers["WWW-Authenticate"]
        super().__init__(headers={"WWW-Authenticate": f'{challenge}, scope="{scope}"'} if scope else None)


class ConsentRequired(Problem):
    """No active consent for this seller, bank and purpose. Unknown sellers get the same response."""

    status, slug, title = 403, "consent-required", "Consent required"
    default_detail = (
        "There is no active consent of this seller for your bank and this purpose. Request it with `POST "
        "/v1/consent-requests`."
    )


class FormRefused(Problem):
    """A form of another session or another site."""

    status, slug, title = 403, "form-refused", "The form has expired"
    default_detail = (
        "Nothing was changed, because the form does not belong to your current session. Reload the page and try again."
    )


class RouteUnknown(Problem):
    """No such path."""

    status, slug, title = 404, "not-found", "Unknown path"
    default_detail = "This path does not exist. See /openapi.json for all paths."


class SellerUnknown(Problem):
    """The latest feature snapshot has no vector of the seller."""

    status, slug, title = 404, "unknown-seller", "Unknown seller"
    default_detail = (
        "The latest feature snapshot has no operating data of this seller. Check the seller_id, or try again after "
        "the next delivery of the platform."
    )


class ScoreUnknown(Problem):
    """No score of this bank has the ID."""

    status, slug, title = 404, "unknown-score", "Unknown score"
    default_detail = (
        "No score of your bank has this ID. Use the `id`, or the Location header, of the response that created the "
        "score."
    )


class BankUnknown(Problem):
    """No active bank has the ID."""

    status, slug, title = 404, "unknown-bank", "Unknown bank"
    default_detail = "No active bank has this bank_id. Use the bank_id of the consent request."


class ConsentUnknown(Problem):
    """The caller can see no consent with the ID."""

    status, slug, title = 404, "unknown-consent", "Unknown consent"
    default_detail = "No consent has this ID. Use an ID from `GET /v1/consents`."


class ConsentRequestUnknown(Problem):
    """The caller can see no consent request with the ID."""

    status, slug, title = 404, "unknown-consent-request", "Unknown consent request"
    default_detail = "No consent request has this ID. Use an ID from `GET /v1/consent-requests`."


class ReviewUnknown(Problem):
    """The caller can see no review with the ID."""

    status, slug, title = 404, "unknown-review", "Unknown review"
    default_detail = "No review has this ID. Use an ID from `GET /v1/reviews`."


class MethodNotAllowed(Problem):
    """The path does not support the method."""

    status, slug, title = 405, "method-not-allowed", "Method not allowed"
    default_detail = "This path does not support the method of the request. Use one that the Allow header lists."


class BundleNotKept(Problem):
    """The bundle that issued a score is missing or damaged."""

    status, slug, title = 409, "bundle-not-kept", "The model of the score is missing"
    default_detail = (
        "The model that issued this score is missing or damaged. Ask the operator to restore the folder bundles/ from "
        "a backup."
    )


class IdempotencyKeyInFlight(Problem):
    """Another request with the key is in progress."""

    status, slug, title = 409, "idempotency-key-in-flight", "A request with this key is in progress"
    default_detail = "Another request with this Idempotency-Key is still in progress. Retry after one second."
    default_headers: ClassVar[Mapping[str, str]] = {"Retry-After": "1"}


class ScoreNotReplayable(Problem):
    """The stored inputs do not fit the bundle that issued the score."""

    status, slug, title = 409, "score-not-replayable", "The score cannot be replayed"
    default_detail = (
        "The stored inputs do not fit the model that issued this score. Ask the operator to run `sellerscore ledger "
        "verify`."
    )


class ConsentRequestClosed(Problem):
    """The consent request was already granted or has expired."""

    status, slug, title = 409, "consent-request-closed", "The consent request is closed"
    default_detail = (
        "The consent request was granted or has expired, so it cannot be declined. To end a consent, use `DELETE "
        "/v1/consents/{id}`."
    )


class ScoresNotComparable(Problem):
    """The two scores are not of one seller, or not in order of time."""

    status, slug, title = 409, "scores-not-comparable", "The scores cannot be compared"
    default_detail = (
        "The score in `since` must be an earlier score of the same seller. Use an ID from `GET /v1/scores?seller_id=`."
    )


class ReviewDecided(Problem):
    """A decision on a review is final."""

    status, slug, title = 409, "review-decided", "The review was already decided"
    default_detail = "This review was already decided, and a decision is final. The seller can request another review."


class TooManyReviews(Problem):
    """The seller has reached the limit of open reviews."""

    status, slug, title = 409, "too-many-reviews", "Too many open reviews"
    default_detail = "You have reached the limit of open reviews. Wait until one of them is decided."


class ScoreErased(Problem):
    """The seller was erased. The ledger still proves that the score was issued."""

    status, slug, title = 410, "erased", "The seller was erased"
    default_detail = (
        "The data of this seller were erased, including the content of this score. The ledger still proves that it "
        "was issued."
    )


class ScorePastRetention(ScoreErased):
    """The retention period has ended. The ledger still proves that the score was issued."""

    slug, title = "past-retention", "The retention period has ended"
    default_detail = (
        "The content of this score was deleted at the end of its retention period. The ledger and your receipt still "
        "prove that it was issued."
    )


class LinkUsedUp(Problem):
    """A login link that was used, has expired or never existed."""

    status, slug, title = 410, "link-used-up", "This link has expired or was already used"
    default_detail = "A login link works once and for ten minutes. Open your score from your marketplace again."


class BodyTooLarge(Problem):
    """The body exceeds the size limit."""

    status, slug, title = 413, "body-too-large", "The body is too large"
    default_detail = f"The body exceeds the limit of {MAX_BODY_BYTES} bytes. Send a smaller body."


class UnsupportedMediaType(Problem):
    """The body is not declared as JSON."""

    status, slug, title = 415, "unsupported-media-type", "Unsupported content type"
    default_detail = "The body is not declared as JSON. Send JSON with the header `Content-Type: application/json`."


class IdempotencyKeyReused(Problem):
    """The key was already used for another request."""

    status, slug, title = 422, "idempotency-key-reused", "The key belongs to another request"
    default_detail = (
        "This Idempotency-Key was already used for a different request. Repeat that request unchanged, or use a new "
        "key."
    )


class InvalidRequest(Problem):
    """The request has values that are not allowed. The response lists each of them."""

    status, slug, title = 422, "invalid-request", "Invalid values"
    default_detail = (
        "The request has values that are not allowed. Correct those listed in `errors` and send the request again."
    )

    def __init__(self, invalid: Sequence[Mapping[str, str]] = ()) -> None:
        self.invalid = invalid
        super().__init__()


class TooManyRequests(Problem):
    """The client exceeds its rate limit of calls or of failed authentications."""

    status, slug, title = 429, "too-many-requests", "Too many requests"
    default_detail = (
        "You have exceeded the rate limit of calls or of failed authentications. Wait the number of seconds in the "
        "Retry-After header."
    )
    default_headers: ClassVar[Mapping[str, str]] = {"Retry-After": "1"}


class InternalError(Problem):
    """An error of the service. The log has the cause under the request ID; the response does not."""

    status, slug, title = 500, "internal-error", "Internal error"
    default_detail = "The service failed; your request is not the cause. Report the request_id to the operator."


class ScoreNotExplained(Problem):
    """The contributions do not sum to the score, so no score is issued."""

    status, slug, title = 500, "score-not-explained", "The score cannot be explained"
    default_detail = (
        "The contributions of the current model do not sum to the score, so no score was issued. Report the "
        "request_id to the operator."
    )


class LedgerDamaged(Problem):
    """A stored row differs from what was written, so it is not returned."""

    status, slug, title = 500, "ledger-damaged", "The stored score is damaged"
    default_detail = (
        "The stored score differs from what was written, so it is not returned. Report the request_id to the operator."
    )


class VectorsUnavailable(Problem):
    """There are no readable feature vectors."""

    status, slug, title = 503, "no-vectors", "No feature vectors"
    default_detail = (
        "The service has no readable feature vectors. Ask the operator to run `sellerscore features` after an ingest."
    )


class VectorsDoNotFitModel(Problem):
    """The vectors and the model have different feature catalogues."""

    status, slug, title = 503, "vectors-do-not-fit-model", "The vectors do not fit the model"
    default_detail = (
        "The stored feature vectors do not fit the current model, so nothing was scored. Ask the operator to run "
        "`sellerscore features` with the catalogue of the model, or to train and promote a new model and restart the "
        "service."
    )


class DatabaseUnavailable(Problem):
    """The database does not respond. Nothing was stored, so the request can be repeated."""

    status, slug, title = 503, "database-unavailable", "The database is unavailable"
    default_detail = "The database does not respond, so nothing was stored. Retry after a few seconds."
    default_headers: ClassVar[Mapping[str, str]] = {"Retry-After": "5"}


class NotReady(Problem):
    """A component that scoring needs is unavailable."""

    status, slug, title = 503, "not-ready", "The service is not ready"
    default_detail = "database: the database does not respond."

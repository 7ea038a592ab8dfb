"""Everything that the service refuses, as one tree: what stops a command, and what a caller is told as a problem.

ApiError
├── StartError                 the service or a command cannot begin
│   ├── SettingsError          a setting that cannot hold
│   ├── KeyRingError           signing keys that are no secret, or none
│   ├── LedgerKeyError         a key of the ledger that is no secret, is missing or another
│   ├── DatabaseSetupError     a database that would not keep what it acknowledged
│   ├── ModelMissingError      no champion is registered
│   ├── ModelStoreError        the registry or a kept bundle cannot be used
│   └── AddressTakenError      the address to listen on is not free
├── AccessError                a client, key or credentials file that is not as a command needs it
├── SignatureError             a JWS that none of the known keys signed
├── InputError                 a file that cannot be read or is not what it should be
├── OutputError                a file that cannot be written as asked
└── Problem                    an answer over HTTP, with a status and a stable type (RFC 9457)
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
    ├── ScoreOfEarlierFormat   409
    ├── ConsentRequestClosed   409
    ├── ScoresNotComparable    409
    ├── ScoreErased            410
    │   └── ScorePastRetention 410
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
"""No request of this service comes near it; a larger one is turned away before it is read."""


class ApiError(Exception):
    """Base of all errors of this package; its message is one sentence for the person who reads it."""


class StartError(ApiError):
    """The service or a command cannot begin; nothing was changed."""


class SettingsError(StartError):
    """A setting, from the environment or an option, holds a value that is not allowed."""


class KeyRingError(StartError):
    """The signing keys cannot be read or made, are readable by others, or are none."""


class LedgerKeyError(StartError):
    """The key that wraps the sellers' keys is missing, readable by others, or of another ledger."""


class DatabaseSetupError(StartError):
    """The database cannot be opened, or does not commit as durably as an acknowledged score needs."""


class ModelMissingError(StartError):
    """No model is registered as champion, so there is nothing to score with."""


class ModelStoreError(StartError):
    """Neither the registry nor what is kept gives a whole bundle of the promoted digest, or none can be kept."""


class AddressTakenError(StartError):
    """Another program listens on the address, or this machine does not have it."""


class AccessError(ApiError):
    """A client that there is not, a key that may not be registered, or credentials that are open to others."""


class SignatureError(ApiError):
    """What is said to be signed is not: altered, cut short, or signed by a key that is not known here."""


class InputError(ApiError):
    """A file that was named cannot be read, or holds something else; nothing was done."""


class OutputError(ApiError):
    """An output file of an unknown kind, or where none can stand; nothing was written."""


class Problem(ApiError):  # noqa: N818 - the word of RFC 9457
    """What a caller is told, as `application/problem+json`.

    Each kind has a `status`, a stable `slug` (its type is `/problems/<slug>`), a `title`, and a `usual` detail for
    when there is no more to say.

    Example: `raise SellerUnknown()` answers 404 with type `/problems/unknown-seller`.
    """

    status: ClassVar[int]
    slug: ClassVar[str]
    title: ClassVar[str]
    usual: ClassVar[str]
    usual_headers: ClassVar[Mapping[str, str]] = {}

    def __init__(self, detail: str | None = None, headers: Mapping[str, str] | None = None) -> None:
        self.detail = detail or self.usual
        self.headers = {**self.usual_headers, **(headers or {})}
        super().__init__(self.detail)


class MalformedJson(Problem):
    """The body is not JSON in UTF-8, or names a field twice, which readers take in two ways."""

    status, slug, title = 400, "malformed-json", "The body is not JSON"
    usual = "The body cannot be read as JSON in UTF-8; send one JSON object."


class NotAuthenticated(Problem):
    """No token at all."""

    status, slug, title = 401, "not-authenticated", "A token is needed"
    usual = "Get a token at `POST /oauth/token` and send it as `Authorization: Bearer <token>`."
    usual_headers: ClassVar[Mapping[str, str]] = {"WWW-Authenticate": 'Bearer realm="sellerscore"'}


class InvalidToken(Problem):
    """A token that is altered, expired or of another service, or whose client is revoked."""

    status, slug, title = 401, "invalid-token", "The token is not valid"
    usual = "The token is expired, revoked or not of this service; get another at `POST /oauth/token`."
    usual_headers: ClassVar[Mapping[str, str]] = {
        "WWW-Authenticate": 'Bearer realm="sellerscore", error="invalid_token"'
    }


class NotSignedIn(Problem):
    """A page without a session that holds: there is none, it is over, or it was ended."""

    status, slug, title = 401, "not-signed-in", "You are not logged in"
    usual = "The session is over; log in again from your marketplace."


class LoginFailed(Problem):
    """The provider of logins did not prove who somebody is; the log says why, the answer does not."""

    status, slug, title = 401, "login-failed", "The login failed"
    usual = "The login could not be completed; begin again."


class WrongCaller(Problem):
    """A client of a kind that this endpoint is not for."""

    status, slug, title = 403, "wrong-caller", "This is not for clients of this kind"
    usual = "Clients of this kind have no such call; use the credentials of a client of the kind that has."


class InsufficientScope(Problem):
    """A token that was asked for without the scope that this endpoint needs."""

    status, slug, title = 403, "insufficient-scope", "The token lacks a scope"
    usual = "Ask for a token with the scope that the WWW-Authenticate header names, or for one with all scopes."
    usual_headers: ClassVar[Mapping[str, str]] = {
        "WWW-Authenticate": 'Bearer realm="sellerscore", error="insufficient_scope"'
    }

    def __init__(self, scope: str | None = None) -> None:
        said = self.usual_headers["WWW-Authenticate"]
        super().__init__(headers={"WWW-Authenticate": f'{said}, scope="{scope}"'} if scope else None)


class ConsentRequired(Problem):
    """No consent of that seller for this bank and purpose is in force; said of a seller who does not exist too."""

    status, slug, title = 403, "consent-required", "The seller's consent is needed"
    usual = (
        "No consent of this seller for your bank and this purpose is in force; ask for it with "
        "`POST /v1/consent-requests`."
    )


class FormRefused(Problem):
    """A form that this session was not given, or that another site sent."""

    status, slug, title = 403, "form-refused", "The form is not from this session"
    usual = "Nothing was changed: the form was not made for this session; open the page again and retry."


class RouteUnknown(Problem):
    """A path that this service does not have."""

    status, slug, title = 404, "not-found", "There is nothing at this path"
    usual = "No such path; /openapi.json lists them all."


class SellerUnknown(Problem):
    """A seller of whom the latest snapshot holds no vector."""

    status, slug, title = 404, "unknown-seller", "The seller is not known"
    usual = (
        "No operating data of this seller is in the latest feature snapshot; check the seller_id, or ask again once "
        "the platform has delivered."
    )


class ScoreUnknown(Problem):
    """An id under which no score of this bank is stored."""

    status, slug, title = 404, "unknown-score", "The score is not known"
    usual = "No score is stored under this id; use the id, or the Location header, of the answer that made it."


class BankUnknown(Problem):
    """No bank of this id may call, so no consent can be for it."""

    status, slug, title = 404, "unknown-bank", "The bank is not known"
    usual = "There is no bank of this bank_id, or it was revoked; use the id that its consent request names."


class ConsentUnknown(Problem):
    """An id under which there is no consent that this caller may see."""

    status, slug, title = 404, "unknown-consent", "The consent is not known"
    usual = "No consent is recorded under this id; `GET /v1/consents` lists those there are."


class ConsentRequestUnknown(Problem):
    """An id under which there is no request that this caller may see."""

    status, slug, title = 404, "unknown-consent-request", "The consent request is not known"
    usual = "No consent request is recorded under this id; `GET /v1/consent-requests` lists those there are."


class ReviewUnknown(Problem):
    """An id under which nothing was asked to be looked at, by this seller."""

    status, slug, title = 404, "unknown-review", "The review is not known"
    usual = "No review is recorded under this id; `GET /v1/reviews` lists those there are."


class MethodNotAllowed(Problem):
    """A path that exists, called in a way that it does not answer."""

    status, slug, title = 405, "method-not-allowed", "The path does not answer this method"
    usual = "The Allow header names the methods of this path."


class BundleNotKept(Problem):
    """The bundle that made a score is kept no more, or is damaged, so the score cannot be made again."""

    status, slug, title = 409, "bundle-not-kept", "The model of the score is not kept"
    usual = "The model that made this score is not kept whole; its operator puts bundles/ back from a backup."


class IdempotencyKeyInFlight(Problem):
    """A key under which another request is being worked on."""

    status, slug, title = 409, "idempotency-key-in-flight", "A request with this key is being worked on"
    usual = "Another request with this Idempotency-Key is not answered yet; send this one again after a second."
    usual_headers: ClassVar[Mapping[str, str]] = {"Retry-After": "1"}


class ScoreNotReplayable(Problem):
    """The stored inputs of a score do not meet the bundle that made it: they are not what was scored."""

    status, slug, title = 409, "score-not-replayable", "The score cannot be replayed"
    usual = "The stored inputs do not fit the score's model; `sellerscore ledger verify` tells what changed."


class ScoreOfEarlierFormat(Problem):
    """The score was stored by an earlier version, whose assessments had other fields."""

    status, slug, title = 409, "score-of-earlier-format", "The score was stored in an earlier format"
    usual = "It can be read and its receipt verified, but not replayed, compared or drawn. Request a new score."


class ConsentRequestClosed(Problem):
    """A request that was granted or has expired can be declined no more."""

    status, slug, title = 409, "consent-request-closed", "The consent request is closed"
    usual = "The request was granted or has expired; a consent is ended with `DELETE /v1/consents/{id}`."


class ScoresNotComparable(Problem):
    """Two scores between which there is no change to tell: of two sellers, or not an earlier and a later one."""

    status, slug, title = 409, "scores-not-comparable", "The two scores cannot be compared"
    usual = "Give in `since` an earlier score of the same seller; GET /v1/scores?seller_id= lists them."


class ReviewDecided(Problem):
    """A decision is final: what was decided is decided once."""

    status, slug, title = 409, "review-decided", "The review is decided"
    usual = "The review was decided already, and a decision stands; the seller may ask for another."


class TooManyReviews(Problem):
    """A seller has as many reviews open as may be."""

    status, slug, title = 409, "too-many-reviews", "Too many reviews are open"
    usual = "As many reviews as may be are open at once; wait until one of them is decided."


class ScoreErased(Problem):
    """The seller was erased: that there was a score can still be proved, what it was cannot be read."""

    status, slug, title = 410, "erased", "The score was erased with its seller"
    usual = "The seller was erased, and with them what this score was; the ledger proves that it was given."


class ScorePastRetention(ScoreErased):
    """What the score was is kept no more: that it was given can still be proved."""

    slug, title = "past-retention", "The score is past its time"
    usual = "What this score was is no longer kept; the ledger and your receipt prove that it was given."


class LinkUsedUp(Problem):
    """A login link that was used, has expired, or never was."""

    status, slug, title = 410, "link-used-up", "The link works no more"
    usual = "A login link works once, for ten minutes; open your score from your marketplace again."


class BodyTooLarge(Problem):
    """More bytes than any request of this service needs."""

    status, slug, title = 413, "body-too-large", "The body is too large"
    usual = f"The body is larger than {MAX_BODY_BYTES} bytes, the most that is read."


class UnsupportedMediaType(Problem):
    """A body that does not say that it is JSON."""

    status, slug, title = 415, "unsupported-media-type", "The body is not declared as JSON"
    usual = "Send the body as JSON with the header `Content-Type: application/json`."


class IdempotencyKeyReused(Problem):
    """A key that already stands for another request."""

    status, slug, title = 422, "idempotency-key-reused", "The key stands for another request"
    usual = "This Idempotency-Key was used for another request; repeat that one exactly, or take a new key."


class InvalidRequest(Problem):
    """A request that is readable, with values that are not allowed; the answer lists each."""

    status, slug, title = 422, "invalid-request", "The request holds values that are not allowed"
    usual = "Correct what `errors` lists and send the request again."

    def __init__(self, invalid: Sequence[Mapping[str, str]] = ()) -> None:
        self.invalid = invalid
        super().__init__()


class TooManyRequests(Problem):
    """A client that calls, or fails to prove itself, more often than it may."""

    status, slug, title = 429, "too-many-requests", "Too many requests"
    usual = "More calls, or more failed proofs of a client, than are allowed; wait the seconds that Retry-After says."
    usual_headers: ClassVar[Mapping[str, str]] = {"Retry-After": "1"}


class InternalError(Problem):
    """A fault of the service; what went wrong is in its log under the request id, not in the answer."""

    status, slug, title = 500, "internal-error", "The service failed"
    usual = "An error that is not yours; report it with the request_id."


class ScoreNotExplained(Problem):
    """The model's contributions do not add up, and a score that cannot be explained is not given."""

    status, slug, title = 500, "score-not-explained", "The score cannot be explained"
    usual = (
        "The contributions of the model in force do not add up to its score, so none is given; report the request_id."
    )


class LedgerDamaged(Problem):
    """A row of the ledger is not what was written, so it is not shown as if it were."""

    status, slug, title = 500, "ledger-damaged", "The stored score is damaged"
    usual = "What is stored is not what was written, so it is not shown; report the request_id."


class VectorsUnavailable(Problem):
    """No feature vectors are stored, or they cannot be read."""

    status, slug, title = 503, "no-vectors", "No feature vectors can be read"
    usual = "The service has no readable feature vectors; its operator runs `sellerscore features` after an ingest."


class VectorsDoNotFitModel(Problem):
    """Vectors made by another catalogue than the one that the model was trained with."""

    status, slug, title = 503, "vectors-do-not-fit-model", "The vectors do not fit the model"
    usual = (
        "The stored feature vectors do not meet the model in force, so nothing was scored; its operator runs "
        "`sellerscore features` with the model's catalogue, or trains and promotes a model, and restarts the service."
    )


class DatabaseUnavailable(Problem):
    """The database does not answer; nothing was stored, so the request may be sent again."""

    status, slug, title = 503, "database-unavailable", "The database does not answer"
    usual = "The database does not answer, so nothing was stored; send the request again after a few seconds."
    usual_headers: ClassVar[Mapping[str, str]] = {"Retry-After": "5"}


class NotReady(Problem):
    """A part that scoring needs is not there."""

    status, slug, title = 503, "not-ready", "The service is not ready to score"
    usual = "database: the database does not answer."

"""Login by OpenID Connect against a small provider on loopback that keeps to the protocol, or does not."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey
from pydantic import SecretStr

from api.settings import Settings
from api.web.rendering import COOKIE
from tests.api.conftest import SELLERS, Opener
from tests.api.web.conftest import Browser

CLIENT, SECRET = "sellerscore pages", "s3cret:/"
LOGIN = "__Host-sellerscore-login"


@dataclass
class Provider:
    """A provider that knows one account, and what it changes of each ID token."""

    server: ThreadingHTTPServer
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "k1"}, auto_kid=False))
    signs_with: Any = None
    claims: dict[str, Any] = field(default_factory=dict)
    nonces: dict[str, str] = field(default_factory=dict)
    challenges: dict[str, str] = field(default_factory=dict)

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def agreed(self, address: str) -> tuple[str, str]:
        """Return state and code, as after the seller logged in there."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        assert asked["response_type"] == "code"
        assert (asked["scope"], asked["code_challenge_method"]) == ("openid", "S256")
        code = f"code-{len(self.nonces)}"
        self.nonces[code], self.challenges[code] = asked["nonce"], asked["code_challenge"]
        return asked["state"], code

    def token(self, form: dict[str, str], authorization: str | None) -> dict[str, str] | None:
        both = base64.b64decode((authorization or "").removeprefix("Basic ")).decode()
        digest = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).rstrip(b"=")
        challenge = self.challenges.pop(form["code"], None)
        if both != "sellerscore%20pages:s3cret%3A%2F" or digest.decode() != challenge:
            return None
        now = int(datetime.now(UTC).timestamp())
        claims = {
            "iss": self.issuer,
            "aud": CLIENT,
            "sub": SELLERS[3],
            "nonce": self.nonces[form["code"]],
            "iat": now,
            "exp": now + 300,
            **self.claims,
        }
        claims = {name: value for name, value in claims.items() if value is not None}
        key = self.signs_with or self.key
        algorithm = "ES256" if isinstance(key, ECKey) else "RS256"
        return {"id_token": jwt.encode({"alg": algorithm, "kid": "k1"}, claims, key), "token_type": "Bearer"}


def handler(provider: Provider) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/.well-known/openid-configuration":
                places = {name: f"{provider.issuer}/{name}" for name in ("authorization_endpoint", "token_endpoint")}
                self.answer({"issuer": provider.issuer, **places, "jwks_uri": f"{provider.issuer}/keys"})
            else:
                self.answer({"keys": [provider.key.as_dict(private=False)]})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            form = {name: values[0] for name, values in parse_qs(body).items()}
            self.answer(provider.token(form, self.headers["Authorization"]))

        def answer(self, content: dict[str, Any] | None) -> None:
            self.send_response(400 if content is None else 200)
            self.end_headers()
            self.wfile.write(json.dumps(content).encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler


@pytest.fixture(scope="module")
def running_provider() -> Iterator[Provider]:
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        provider = Provider(server)
        server.RequestHandlerClass = handler(provider)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield provider
        server.shutdown()
        thread.join()


@pytest.fixture
def provider(running_provider: Provider) -> Provider:
    running_provider.claims, running_provider.signs_with = {}, None
    return running_provider


@pytest.fixture
def browser(settings: Settings, provider: Provider, open_client: Opener) -> Iterator[Browser]:
    given = {
        "oidc_issuer": provider.issuer,
        "oidc_client_id": CLIENT,
        "oidc_client_secret": SecretStr(SECRET),
        "public_url": "https://testserver",
    }
    with open_client(settings.model_copy(update=given), ()) as client:
        yield Browser(client)


def came_back(browser: Browser, state: str, code: str, cookie: str) -> Any:
    return browser.get(f"/seller/oidc/callback?state={state}&code={code}", Cookie=f"{LOGIN}={cookie}")


def begun(browser: Browser, provider: Provider) -> tuple[str, str, str]:
    sent = browser.get("/seller/oidc")
    assert sent.status_code == 303
    cookie = sent.headers["set-cookie"]
    assert {"HttpOnly", "Secure", "SameSite=lax", "Path=/"} <= {part.strip() for part in cookie.split(";")}
    return *provider.agreed(sent.headers["location"]), sent.cookies[LOGIN]


def test_a_seller_logs_in_by_the_provider(browser: Browser, provider: Provider) -> None:
    assert 'href="/seller/oidc"' in browser.get("/seller").text
    answer = came_back(browser, *begun(browser, provider))
    assert (answer.status_code, answer.headers["location"]) == (303, "/seller")
    browser.cookie = answer.cookies[COOKIE]
    assert json.loads(browser.get("/seller/download").content)["seller_id"] == SELLERS[3]


def test_an_answer_counts_once_and_in_the_browser_that_began_alone(browser: Browser, provider: Provider) -> None:
    state, code, cookie = begun(browser, provider)
    other_state, other_code, other_cookie = begun(browser, provider)
    assert came_back(browser, state, code, other_cookie).status_code == 401
    assert came_back(browser, other_state, code, cookie).status_code == 401
    assert browser.get(f"/seller/oidc/callback?state={state}&code={code}").status_code == 401
    assert came_back(browser, other_state, other_code, other_cookie).status_code == 303
    assert came_back(browser, other_state, other_code, other_cookie).status_code == 401


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://elsewhere.example"},
        {"aud": "another"},
        {"aud": [CLIENT, "another"]},
        {"nonce": "another"},
        {"nonce": None},
        {"exp": 1_000_000_000},
        {"exp": None},
        {"iat": 4_000_000_000},
        {"iat": None},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": "x" * 201},
        {"sub": "a\nb"},
    ],
    ids=str,
)
def test_an_id_token_that_does_not_prove_it_logs_nobody_in(
    browser: Browser, provider: Provider, claims: dict[str, Any]
) -> None:
    provider.claims = claims
    refused = came_back(browser, *begun(browser, provider))
    assert refused.status_code == 401
    assert COOKIE not in refused.cookies
    assert "The login failed" in refused.text


def test_a_token_of_several_audiences_must_be_ours(browser: Browser, provider: Provider) -> None:
    provider.claims = {"aud": [CLIENT, "another"], "azp": CLIENT}
    assert came_back(browser, *begun(browser, provider)).status_code == 303


@pytest.mark.parametrize("kind", ["rsa", "ec"])
def test_a_token_that_another_key_signed_logs_nobody_in(browser: Browser, provider: Provider, kind: str) -> None:
    if kind == "rsa":
        provider.signs_with = RSAKey.generate_key(2048, {"kid": "k1"}, auto_kid=False)
    else:
        provider.signs_with = ECKey.generate_key("P-256", {"kid": "k1"}, auto_kid=False)
    assert came_back(browser, *begun(browser, provider)).status_code == 401


def test_without_a_provider_there_is_no_such_login(settings: Settings, open_client: Opener) -> None:
    with open_client(settings, ()) as client:
        browser = Browser(client)
        assert browser.get("/seller/oidc").status_code == 404
        assert browser.get("/seller/oidc/callback?state=a&code=b").status_code == 404
        assert "/seller/oidc" not in browser.get("/seller").text


def test_a_provider_that_is_away_is_told_as_a_failed_login(settings: Settings, open_client: Opener) -> None:
    given = {"oidc_issuer": "http://127.0.0.1:9", "oidc_client_id": CLIENT}
    with open_client(settings.model_copy(update=given), ()) as client:
        assert Browser(client).get("/seller/oidc").status_code == 401

"""Login by OpenID Connect with a small provider on loopback that follows the protocol, or does not."""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
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
    """A provider with one account; `claims` and `signs_with` change its ID tokens."""

    server: ThreadingHTTPServer
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "k1"}, auto_kid=False))
    signs_with: Any = None
    claims: dict[str, Any] = field(default_factory=dict)
    nonces: dict[str, str] = field(default_factory=dict)
    challenges: dict[str, str] = field(default_factory=dict)

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def log_in(self, address: str) -> tuple[str, str]:
        """Return state and code, as after a login at the provider."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        assert query["response_type"] == "code"
        assert (query["scope"], query["code_challenge_method"]) == ("openid", "S256")
        code = f"code-{len(self.nonces)}"
        self.nonces[code], self.challenges[code] = query["nonce"], query["code_challenge"]
        return query["state"], code

    def token(self, form: dict[str, str], authorization: str | None) -> dict[str, str] | None:
        credentials = base64.b64decode((authorization or "").removeprefix("Basic ")).decode()
        digest = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).rstrip(b"=")
        challenge = self.challenges.pop(form["code"], None)
        if credentials != "sellerscore%20pages:s3cret%3A%2F" or digest.decode() != challenge:
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
                self.respond({"issuer": provider.issuer, **places, "jwks_uri": f"{provider.issuer}/keys"})
            else:
                self.respond({"keys": [provider.key.as_dict(private=False)]})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            form = {name: values[0] for name, values in parse_qs(body).items()}
            self.respond(provider.token(form, self.headers["Authorization"]))

        def respond(self, content: dict[str, Any] | None) -> None:
            self.send_response(400 if content is None else 200)
            self.end_headers()
            self.wfile.write(json.dumps(content).encode())

        def log_message(self, *_: object) -> None:
            """Log nothing."""

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
    options = {
        "oidc_issuer": provider.issuer,
        "oidc_client_id": CLIENT,
        "oidc_client_secret": SecretStr(SECRET),
        "public_url": "https://testserver",
    }
    with open_client(settings.model_copy(update=options), ()) as client:
        yield Browser(client)


def come_back(browser: Browser, state: str, code: str, cookie: str) -> Any:
    return browser.get(f"/seller/oidc/callback?state={state}&code={code}", Cookie=f"{LOGIN}={cookie}")


def start_login(browser: Browser, provider: Provider) -> tuple[str, str, str]:
    response = browser.get("/seller/oidc")
    assert response.status_code == 303
    cookie = response.headers["set-cookie"]
    assert {"HttpOnly", "Secure", "SameSite=lax", "Path=/"} <= {part.strip() for part in cookie.split(";")}
    return *provider.log_in(response.headers["location"]), response.cookies[LOGIN]


def test_a_seller_logs_in_by_the_provider(browser: Browser, provider: Provider) -> None:
    assert 'href="/seller/oidc"' in browser.get("/seller").text
    response = come_back(browser, *start_login(browser, provider))
    assert (response.status_code, response.headers["location"]) == (303, "/seller")
    browser.cookie = response.cookies[COOKIE]
    assert json.loads(browser.get("/seller/download").content)["seller_id"] == SELLERS[3]


def test_a_code_counts_once_and_only_in_the_browser_of_its_login(browser: Browser, provider: Provider) -> None:
    state, code, cookie = start_login(browser, provider)
    other_state, other_code, other_cookie = start_login(browser, provider)
    assert come_back(browser, state, code, other_cookie).status_code == 401
    assert come_back(browser, other_state, code, cookie).status_code == 401
    assert browser.get(f"/seller/oidc/callback?state={state}&code={code}").status_code == 401
    assert come_back(browser, other_state, other_code, other_cookie).status_code == 303
    assert come_back(browser, other_state, other_code, other_cookie).status_code == 401


@pytest.mark.parametrize(
    ("claim", "values"),
    {
        "iss": ("https://elsewhere.example",),
        "aud": ("another", [CLIENT, "another"]),
        "nonce": ("another", None),
        "exp": (1_000_000_000, None),
        "iat": (4_000_000_000, None),
        "sub": (None, "", 7, "x" * 201, "a\nb"),
    }.items(),
)
def test_an_invalid_id_token_logs_nobody_in(
    browser: Browser, provider: Provider, claim: str, values: tuple[Any, ...]
) -> None:
    for value in values:
        provider.claims = {claim: value}
        response = come_back(browser, *start_login(browser, provider))
        assert response.status_code == 401, value
        assert COOKIE not in response.cookies
        assert "The login failed" in response.text


def test_a_token_with_several_audiences_must_name_us_as_its_party(browser: Browser, provider: Provider) -> None:
    provider.claims = {"aud": [CLIENT, "another"], "azp": CLIENT}
    assert come_back(browser, *start_login(browser, provider)).status_code == 303


def test_a_token_of_another_key_logs_nobody_in(browser: Browser, provider: Provider) -> None:
    for key in (
        RSAKey.generate_key(2048, {"kid": "k1"}, auto_kid=False),
        ECKey.generate_key("P-256", {"kid": "k1"}, auto_kid=False),
    ):
        provider.signs_with = key
        assert come_back(browser, *start_login(browser, provider)).status_code == 401


def test_without_a_provider_there_is_no_oidc_login(settings: Settings, open_client: Opener) -> None:
    with open_client(settings, ()) as client:
        browser = Browser(client)
        assert browser.get("/seller/oidc").status_code == 404
        assert browser.get("/seller/oidc/callback?state=a&code=b").status_code == 404
        assert "/seller/oidc" not in browser.get("/seller").text


@pytest.fixture
def silent_issuer() -> Iterator[str]:
    """The address of a provider that accepts connections and never responds."""
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.slow
def test_a_silent_provider_delays_no_other_request(silent_issuer: str, settings: Settings, open_client: Opener) -> None:
    """More logins wait for the provider than there are threads for requests; scores and checks do not wait."""
    options = {"oidc_issuer": silent_issuer, "oidc_client_id": CLIENT}
    body = {"seller_id": SELLERS[0], "purpose": "credit_application"}
    with open_client(settings.model_copy(update=options)) as client, ThreadPoolExecutor(60) as pool:
        logins = [pool.submit(client.get, "/seller/oidc", follow_redirects=False) for _ in range(60)]
        started = time.monotonic()
        assert client.post("/v1/scores", json=body).status_code == 201
        assert client.get("/health/ready").status_code == 200
        assert time.monotonic() - started < 2
        responses = [login.result() for login in logins]
        assert time.monotonic() - started < 20
        assert {response.status_code for response in responses} == {503}
        assert {response.headers["retry-after"] for response in responses} == {"60"}
        # the circuit breaker is open
        started = time.monotonic()
        assert client.get("/seller/oidc").status_code == 503
        assert time.monotonic() - started < 1
        assert client.get("/health/ready").json()["degraded"] == [
            "oidc: the login provider does not respond; sellers can log in only with links of the platform."
        ]


def test_an_unavailable_provider_is_no_failed_login(settings: Settings, open_client: Opener) -> None:
    """It counts against no address, and the page says what else to do."""
    options = {"oidc_issuer": "http://127.0.0.1:9", "oidc_client_id": CLIENT, "failed_logins": 1}
    with open_client(settings.model_copy(update=options), ()) as client:
        browser = Browser(client)
        responses = [browser.get("/seller/oidc/callback?state=a&code=b", Cookie=f"{LOGIN}=a.b.c") for _ in range(4)]
    assert [response.status_code for response in responses] == [503] * 4
    assert "or open your score from your marketplace" in responses[0].text

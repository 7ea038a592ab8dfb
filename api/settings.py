"""Settings of the service, read from SELLERSCORE_* variables when asked for. No secret has a default."""

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import URL

from api.errors import SettingsError
from features.home import state_folder


def _database(url: str) -> str:
    # the address may hold a password, so the message does not repeat it
    if not url.startswith(("sqlite:///", "postgresql://")):
        raise ValueError("must begin with sqlite:/// and name a file, or with postgresql:// and name a database")
    return url


def _web(url: str) -> str:
    # the address may hold a secret, so the message does not repeat it
    if not url.startswith(("http://", "https://")):
        raise ValueError("must begin with https:// or http://")
    return url


def without_login(url: str) -> str:
    """Return a web address that holds no user or password.

    Raises:
        ValueError: it holds one, which nobody would be told: it would be taken for a part of the host.
    """
    if "@" in urlsplit(_web(url)).netloc:
        raise ValueError(
            "must not hold a user or password before the host; give the receiver's secret in path or query, as in "
            "https://notary.example/checkpoints?key=..., or let the receiver trust this host"
        )
    return url


def _address(url: str) -> str:
    return _web(url).rstrip("/")


def _beside(known: dict[str, Any], name: str) -> str:
    # the home folder is not in `known` where it was refused; a path may hold what an address must escape
    file = known.get("home", Path()) / name
    return URL.create("sqlite", database=str(file)).render_as_string(hide_password=False)


class Settings(BaseSettings):
    """Where the service keeps and finds things, and where it listens.

    Example: with `SELLERSCORE_PORT=8080` set, `load_settings().port` is 8080.
    """

    model_config = SettingsConfigDict(env_prefix="SELLERSCORE_", env_ignore_empty=True, frozen=True)

    home: Annotated[Path, AfterValidator(Path.absolute)] = Field(default_factory=state_folder)
    database_url: Annotated[str, AfterValidator(_database)] = Field(
        default_factory=lambda known: _beside(known, "sellerscore.db")
    )
    mlflow_uri: str = Field(
        # mlflow's own variable and no other, since training reads that one
        validation_alias="MLFLOW_TRACKING_URI",
        default_factory=lambda known: _beside(known, "mlflow.db"),
    )
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65_535, description="0 lets the system choose a free one.")
    public_url: Annotated[str, AfterValidator(_address)] | None = Field(
        default=None, description="Where banks reach the service, as tokens and assertions name it."
    )
    score_validity_days: int = Field(default=30, ge=1, le=366)
    idempotency_days: int = Field(default=7, ge=1, le=366, description="How long an Idempotency-Key is remembered.")
    rate_limit_calls: int = Field(default=6_000, ge=1, description="Calls a client may make in the time below.")
    rate_limit_seconds: int = Field(default=60, ge=1, le=86_400)
    failed_logins: int = Field(default=30, ge=1, description="Failed proofs of one client at one address, likewise.")
    failed_logins_seconds: int = Field(default=60, ge=1, le=86_400)
    refresh_seconds: int = Field(
        default=60, ge=1, le=86_400, description="How often a service looks for another champion and for new keys."
    )
    checkpoint_url: Annotated[str, AfterValidator(without_login)] | None = Field(
        default=None, description="Where signed checkpoints of the ledger are posted while serving."
    )
    checkpoint_minutes: int = Field(default=60, ge=1, le=10_080, description="How often.")
    retention_days: int | None = Field(
        default=None, ge=1, description="Days after which `ledger retain` drops what scores were; for ever if unset."
    )
    oidc_issuer: Annotated[str, AfterValidator(_address)] | None = Field(
        default=None, description="The OpenID Connect provider that logs sellers in, beside the platform's links."
    )
    oidc_client_id: str | None = Field(default=None, description="This service's id at that provider.")
    oidc_client_secret: SecretStr | None = Field(default=None, description="Its secret; none for a public client.")
    oidc_claim: str = Field(default="sub", description="The claim of the ID token that is the platform's seller id.")
    demo_bank: bool = Field(
        default=False,
        description="Where there is no client yet, make a bank to try with, and record a seller's consent for it.",
    )

    @property
    def vectors_path(self) -> Path:
        """The file of feature vectors, written by `sellerscore features`."""
        return self.home / "vectors.db"

    @property
    def operating_path(self) -> Path:
        """The folder of accepted operating data, written by `sellerscore ingest`."""
        return self.home / "operating"

    @property
    def keys_path(self) -> Path:
        """The folder of the service's own keys, each in a file or folder of its name."""
        return self.home / "keys"

    @property
    def receipt_keys_path(self) -> Path:
        """The folder of the keys that sign receipts and checkpoints."""
        return self.keys_path / "receipts"

    @property
    def token_keys_path(self) -> Path:
        """The folder of the keys that sign tokens."""
        return self.keys_path / "tokens"

    @property
    def demo_bank_path(self) -> Path:
        """The file of the demo bank's credentials, made at the first run, for its owner alone."""
        return self.home / "demo-bank.netrc"

    @property
    def issuer(self) -> str:
        """The name of this service in the tokens that it gives: where it is reached."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.public_url or f"http://{host}:{self.port}"


def load_settings(**given: object) -> Settings:
    """Read the settings from the environment; what is `given` and not None comes first.

    Example: `load_settings(port=8080, host=None)` takes the host from SELLERSCORE_HOST or its default.

    Raises:
        SettingsError: a value is not allowed; the message names the variable and the rule, not the value.
    """
    values: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    try:
        return Settings(**values)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        name = "_".join(str(part) for part in first["loc"]).upper()
        raise SettingsError(
            f"The setting {name} (SELLERSCORE_{name} or its option) is not allowed: {first['msg']}."
        ) from error

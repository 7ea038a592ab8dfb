"""Settings of the service, from SELLERSCORE_* variables. No secret has a default."""

from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from sqlalchemy import URL

from api.errors import SettingsError
from features.home import state_folder


def _database(url: str) -> str:
    # the message must not repeat the value, which may hold a password
    if not url.startswith(("sqlite:///", "postgresql://")):
        raise ValueError("must be sqlite:/// and a file, or postgresql:// and a database")
    return url


def _web(url: str) -> str:
    # the message must not repeat the value, which may hold a secret
    if not url.startswith(("http://", "https://")):
        raise ValueError("must start with https:// or http://")
    return url


def without_login(url: str) -> str:
    """Return a URL that has no user or password.

    Raises:
        ValueError: It has one, which would be sent as part of the host.
    """
    if "@" in urlsplit(_web(url)).netloc:
        raise ValueError(
            "must not have a user or password before the host. Put the secret of the receiver into the path or query, "
            "as in https://notary.example/checkpoints?key=..., or configure the receiver to trust this host"
        )
    return url


def _address(url: str) -> str:
    return _web(url).rstrip("/")


def _networks(listed: object) -> object:
    if not isinstance(listed, str):
        return listed
    names = tuple(name.strip() for name in listed.split(","))
    try:
        # the canonical form, because the server compares it as text
        return tuple(str(ip_network(name)) for name in names)
    except ValueError as error:
        raise ValueError(
            "must be IP addresses or networks separated by commas, such as 127.0.0.1,10.0.0.0/8"
        ) from error


def _in_home(values: dict[str, Any], name: str) -> str:
    # `home` is absent if it was invalid; a path may hold characters that a URL must escape
    file = values.get("home", Path()) / name
    return URL.create("sqlite", database=str(file)).render_as_string(hide_password=False)


class Settings(BaseSettings):
    """Settings of the service: state folder, databases, addresses, limits and periods.

    Example: with `SELLERSCORE_PORT=8080` set, `load_settings().port` is 8080.
    """

    model_config = SettingsConfigDict(env_prefix="SELLERSCORE_", env_ignore_empty=True, frozen=True)

    home: Annotated[Path, AfterValidator(Path.absolute)] = Field(default_factory=state_folder)
    database_url: Annotated[str, AfterValidator(_database)] = Field(
        default_factory=lambda values: _in_home(values, "sellerscore.db")
    )
    mlflow_uri: str = Field(
        # MLflow's own variable, which training uses too
        validation_alias="MLFLOW_TRACKING_URI",
        default_factory=lambda values: _in_home(values, "mlflow.db"),
    )
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65_535, description="0 selects a free port.")
    public_url: Annotated[str, AfterValidator(_address)] | None = Field(
        default=None, description="Address at which banks reach the service; tokens and assertions contain it."
    )
    workers: int = Field(default=1, ge=1, le=64, description="Processes that serve; each has its own connections.")
    max_connections: int = Field(
        default=1_000,
        ge=1,
        le=100_000,
        description="Connections of a process at the same time; beyond it, idle ones are closed.",
    )
    trusted_proxies: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_networks)] = Field(
        default=(), description="Addresses or networks whose X-Forwarded-For states the address of the caller."
    )
    score_validity_days: int = Field(default=30, ge=1, le=366)
    idempotency_days: int = Field(default=7, ge=1, le=366, description="How long an Idempotency-Key is stored.")
    rate_limit_calls: int = Field(default=6_000, ge=1, description="Calls per client in the time below.")
    rate_limit_seconds: int = Field(default=60, ge=1, le=86_400)
    failed_logins: int = Field(default=30, ge=1, description="Failed authentications per client and address.")
    failed_logins_seconds: int = Field(default=60, ge=1, le=86_400)
    refresh_seconds: int = Field(
        default=60, ge=1, le=86_400, description="Interval of checks for a new champion and new keys."
    )
    checkpoint_url: Annotated[str, AfterValidator(without_login)] | None = Field(
        default=None, description="URL to which signed checkpoints of the ledger are posted."
    )
    checkpoint_minutes: int = Field(default=60, ge=1, le=10_080, description="Interval of checkpoints.")
    retention_days: int | None = Field(
        default=None,
        ge=1,
        description="Days after which `ledger retain` deletes the contents of scores; never if unset.",
    )
    oidc_issuer: Annotated[str, AfterValidator(_address)] | None = Field(
        default=None, description="OpenID Connect provider for seller logins, in addition to links of the platform."
    )
    oidc_client_id: str | None = Field(default=None, description="Client ID of this service at the provider.")
    oidc_client_secret: SecretStr | None = Field(default=None, description="Client secret; unset for a public client.")
    oidc_claim: str = Field(default="sub", description="Claim of the ID token with the platform's seller ID.")
    demo_bank: bool = Field(
        default=False,
        description="If there is no client yet, create a demo bank and record a seller's consent for it.",
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
    def checkpoints_path(self) -> Path:
        """The folder of the checkpoints that the service writes every few seconds."""
        return self.home / "checkpoints"

    @property
    def keys_path(self) -> Path:
        """The folder of the service's own keys."""
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
        """The private file of the demo bank's credentials, created at the first start."""
        return self.home / "demo-bank.netrc"

    @property
    def issuer(self) -> str:
        """The issuer in tokens: the address of the service."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.public_url or f"http://{host}:{self.port}"


def load_settings(**overrides: object) -> Settings:
    """Read the settings from the environment. Overrides that are not None take precedence.

    Example: `load_settings(port=8080, host=None)` takes the host from SELLERSCORE_HOST or its default.

    Raises:
        SettingsError: A value is not allowed. The message names the variable and the rule, not the value.
    """
    values: dict[str, Any] = {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings(**values)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        name = "_".join(str(part) for part in first["loc"]).upper()
        raise SettingsError(
            f"The value of the setting {name} (SELLERSCORE_{name} or its option) is invalid: {first['msg']}."
        ) from error

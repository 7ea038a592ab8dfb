"""Fixtures of all API tests: a registered bundle, stored vectors, databases, and the running app."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import lightgbm
import numpy as np
import pytest
import time_machine

from api.app import create_app
from api.kit.database import open_database
from api.operations.demo import demo_bank
from api.settings import Settings
from features.store.vectors import Snapshot, VectorStore
from scoring import Bundle, BundleParts, Policy, Reference, pack
from scoring.bands import Band, Bands
from scoring.model import Calibration
from scoring.scale import Scale
from scoring.sheet import FeatureEntry, FeatureSheet, HistoryThreshold
from tests.api.postgres import database_name, fresh_database, server
from tests.api.started import Started, consent, demo_credentials, register_of
from tests.counts import SOAKING
from tests.statements import reason_catalogue

if TYPE_CHECKING:
    import httpx
    from starlette.testclient import TestClient

POSTGRESQL = pytest.param("postgresql", marks=pytest.mark.slow)
POSTGRESQL_IN_A_SOAK = pytest.param("postgresql", marks=[pytest.mark.slow, pytest.mark.soak])
Opener = Callable[..., "AbstractContextManager[TestClient]"]
"""Opens settings. `consenting` are the sellers whose consent the demo bank gets; by default all."""

CATALOGUE = "sha256:" + "c" * 64
AS_OF = date(2026, 1, 31)
ELIGIBLE_BY = (
    "days_since_first_order",
    "settled_net_sales_365d",
    "rush_order_share_180d",
    "unmoved_parcel_share_180d",
    "orders_beyond_visits_180d",
)
"""The features that eligibility reads."""
NAMES = ("days_on_platform", *(f"signal_{number:02}" for number in range(8)), *ELIGIBLE_BY, "signal_13")
SIGNS = (-1, 1, 1, -1, 1, -1, 1, -1, 1, -1, -1, 1, 1, 1, 1)
"""The direction of each feature: +1 if a higher value raises risk."""
SELLERS = tuple(f"S-{number:03}" for number in range(60))
NEWCOMER = "卖家 new"
EVERYONE = (*SELLERS, NEWCOMER)
NOW = datetime(2026, 2, 1, 9, tzinfo=UTC)
"""Start of the clock of these tests: the day after `AS_OF`, so that its data are fresh."""


def snapshot_of(day: date) -> Snapshot:
    """Return a snapshot whose tables end on a day; `today` if another process reads them."""
    return Snapshot(day, "data-1", CATALOGUE, {"orders": day, "refunds": day})


SNAPSHOT = snapshot_of(AS_OF)
_START = monotonic()


def pytest_configure(config: pytest.Config) -> None:
    # starlette prefers a client of another name, which is not among our dependencies
    config.addinivalue_line("filterwarnings", "ignore:Using `httpx` with `starlette.testclient` is deprecated")
    # mlflow's own tables use it
    config.addinivalue_line("filterwarnings", "ignore:The ``noload`` loader strategy is deprecated")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that needs a database on SQLite, and also on PostgreSQL if it is marked `databases`.

    Tests of SQL, locks and durability are marked. `make soak` runs all others on PostgreSQL too.
    """
    if "dialect" in metafunc.fixturenames:
        dialects = ["sqlite"]
        if metafunc.definition.get_closest_marker("databases") is not None:
            dialects.append(POSTGRESQL)
        elif SOAKING:
            dialects.append(POSTGRESQL_IN_A_SOAK)
        metafunc.parametrize("dialect", dialects, scope="module")


def train_model(matrix: Any, bad: Any, signs: Mapping[str, int], rounds: int, **parameters: int) -> str:
    """Return the text of a small monotone model; `signs` has the direction of each feature by name."""
    fixed = {"objective": "binary", "num_leaves": 7, "verbose": -1, "num_threads": 1, "seed": 1}
    data = lightgbm.Dataset(matrix, bad.astype(float), feature_name=list(signs))
    constraints = {"monotone_constraints": list(signs.values())}
    return str(lightgbm.train({**fixed, **constraints, **parameters}, data, rounds).model_to_string())


@pytest.fixture(scope="session")
def bundle_files() -> dict[str, bytes]:
    entries = tuple(
        FeatureEntry(
            name,
            name.replace("_", " ").capitalize(),
            "days" if place == 0 else "ratio",
            sign,
            actionable=True,
            structural=False,
            reason_group=f"group_{place % 6}",
            typical=0.5,
            tables=("orders",),
        )
        for place, (name, sign) in enumerate(zip(NAMES, SIGNS, strict=True))
    )
    sheet = FeatureSheet(CATALOGUE, entries, (HistoryThreshold(NAMES[0], 90.0),), ("orders", "refunds"), 7)
    rng = np.random.default_rng(7)
    matrix = rng.random((1500, len(NAMES)))
    bad = rng.random(1500) < 1 / (1 + np.exp(3 - 2 * matrix[:, 1] - 2 * matrix[:, 2] + matrix[:, 3]))
    model = train_model(matrix, bad, dict(zip(NAMES, SIGNS, strict=True)), 30)
    bands = Bands((Band("A", 0.05), Band("B", 0.1), Band("C", 0.2), Band("D", 0.4), Band("E", 1.0)))
    policy = Policy(Calibration(1.1, 0.2), Scale(), bands, "90+ days past due within 12 months")
    reference = Reference("Training sellers, 1,500 loans", {"auc": 0.7}, {"lightgbm": lightgbm.__version__}, "tables")
    return pack(BundleParts(model, sheet, policy, reason_catalogue(sheet.entries), reference))


@pytest.fixture(scope="session")
def bundle(bundle_files: dict[str, bytes]) -> Bundle:
    return Bundle.from_files(bundle_files)


_KNOWN: dict[frozenset[tuple[str, bytes]], Bundle] = {}


@pytest.fixture(scope="package", autouse=True)
def moved_clock() -> Iterator[None]:
    """Start the clock of these tests at `NOW`; a test may move it further.

    It continues if a worker leaves the package and returns, so that prepared state is never in the future.
    """
    with time_machine.travel(NOW + timedelta(seconds=monotonic() - _START), tick=True):
        yield


@pytest.fixture
def today() -> Iterator[date]:
    """Run a test at the time of the machine, for other processes, whose clock no test moves."""
    now = time_machine.escape_hatch.datetime.datetime.now(UTC)
    with time_machine.travel(now, tick=True):
        yield now.date()


@pytest.fixture(scope="package", autouse=True)
def bundles_once() -> Iterator[None]:
    """Verify and compile the same files once: each service that a test starts loads the same bundle."""
    read = Bundle.from_files

    def once(files: Mapping[str, bytes]) -> Bundle:
        same = frozenset(files.items())
        if same not in _KNOWN:
            _KNOWN[same] = read(files)
        return _KNOWN[same]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Bundle, "from_files", once)
        yield


def register(uri: str, files: dict[str, bytes], scratch: Path, tags: dict[str, str] | None = None) -> str:
    """Register the bundle as a new version with tags and make it champion, as `promote` does."""
    import mlflow

    client = mlflow.MlflowClient(uri, uri)
    folder = scratch / "model" / "artifacts" / "bundle"
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    experiment = client.create_experiment(f"e-{scratch.name}", artifact_location=(scratch / "runs").as_uri())
    run = client.create_run(experiment)
    client.log_artifacts(run.info.run_id, str(scratch / "model"), "model")
    if not client.search_registered_models("name = 'sellerscore'"):
        client.create_registered_model("sellerscore")
    version = client.create_model_version("sellerscore", f"{run.info.artifact_uri}/model", run.info.run_id, tags)
    client.set_registered_model_alias("sellerscore", "champion", version.version)
    return str(version.version)


def fill(home: Path, snapshot: Snapshot = SNAPSHOT) -> VectorStore:
    """Store a vector of each seller, and of a newcomer without enough history to be scored."""
    rng = np.random.default_rng(3)
    rows = [(seller, (400.0, *rng.random(len(NAMES) - 2).tolist(), None)) for seller in SELLERS]
    store = VectorStore(home / "vectors.db")
    store.replace(snapshot, [*rows, (NEWCOMER, (10.0, *(0.5,) * (len(NAMES) - 1)))])
    return store


def other_catalogue() -> Snapshot:
    return replace(SNAPSHOT, catalogue="sha256:" + "d" * 64, data_version="data-2")


@pytest.fixture(scope="session")
def registry(bundle_files: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a registry with a champion, created once, because that takes seconds."""
    folder = tmp_path_factory.mktemp("registry")
    uri = f"sqlite:///{folder}/mlflow.db"
    register(uri, bundle_files, folder)
    return uri


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The address of a real PostgreSQL server."""
    with server() as address:
        yield address


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite database at the newest schema, to copy."""
    file = tmp_path_factory.mktemp("migrated") / "scores.db"
    open_database(f"sqlite:///{file}").dispose()
    return file


@pytest.fixture(scope="session")
def migrated_template(postgres: str) -> Iterator[str]:
    """The name of a PostgreSQL database at the newest schema, to copy."""
    with fresh_database(postgres) as address:
        open_database(address).dispose()
        yield database_name(address)


@contextmanager
def migrated_database(request: pytest.FixtureRequest, dialect: str, folder: Path) -> Iterator[str]:
    """Yield the address of a database without rows."""
    if dialect == "sqlite":
        # a URL must escape these characters
        file = folder / "some" / "folder 100%" / "scores.db"
        file.parent.mkdir(parents=True)
        shutil.copy(request.getfixturevalue("migrated_file"), file)
        yield f"sqlite:///{file}"
        return
    template = request.getfixturevalue("migrated_template")
    with fresh_database(request.getfixturevalue("postgres"), template) as address:
        yield address


@pytest.fixture
def database(request: pytest.FixtureRequest, dialect: str, tmp_path: Path) -> Iterator[str]:
    """The address of a database without rows."""
    with migrated_database(request, dialect, tmp_path) as address:
        yield address


@pytest.fixture
def empty_database(request: pytest.FixtureRequest, dialect: str, tmp_path: Path) -> Iterator[str]:
    """The address of a database without tables."""
    if dialect == "sqlite":
        yield f"sqlite:///{tmp_path}/some/folder 100%/scores.db"
        return
    with fresh_database(request.getfixturevalue("postgres")) as address:
        yield address


@pytest.fixture(scope="session")
def filled_vectors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that `fill` writes, to copy."""
    folder = tmp_path_factory.mktemp("vectors")
    fill(folder)
    return folder / "vectors.db"


@pytest.fixture
def settings(registry: str, filled_vectors: Path, tmp_path: Path) -> Settings:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    shutil.copy(filled_vectors, home / "vectors.db")
    return Settings(home=home, MLFLOW_TRACKING_URI=registry, demo_bank=True)


@pytest.fixture
def stored_in(settings: Settings, database: str) -> Settings:
    """The settings, with a database of the kind that the test runs on."""
    return settings.model_copy(update={"database_url": database})


@pytest.fixture(scope="session")
def started(registry: str, tmp_path_factory: pytest.TempPathFactory) -> Started:
    """State folders and databases of services that started once, to copy."""
    return Started(registry, tmp_path_factory)


@pytest.fixture(scope="session")
def open_client(started: Started) -> Opener:
    """Start the app with some settings, and call it with a token of its demo bank, if it has one.

    A new bank gets the consents of the sellers for every purpose.
    """
    # imported late, because it warns before the filter of this file is active
    from starlette.testclient import TestClient

    @contextmanager
    def opened(settings: Settings, consenting: Sequence[str] = EVERYONE) -> Iterator[TestClient]:
        started.copy_into(settings, tuple(consenting))
        is_new = not settings.demo_bank_path.exists()
        with TestClient(create_app(settings), raise_server_exceptions=False) as client:
            services = client.app.state.services
            if demo_bank(settings.demo_bank_path, register_of(services), services.auth.secrets, datetime.now(UTC)):
                client.headers["Authorization"] = f"Bearer {token_for(client, settings)}"
                if is_new:
                    consent(services, bank_of(client), *consenting)
            yield client

    return opened


def bank_of(client: TestClient) -> str:
    """Return the ID of the demo bank, which is the name of its chain."""
    return demo_credentials(client.app.state.services.settings)[0]


def token_for(client: httpx.Client, settings: Settings) -> str:
    """Return a token of the demo bank."""
    answer = client.post("/oauth/token", data={"grant_type": "client_credentials"}, auth=demo_credentials(settings))
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


@pytest.fixture(scope="module")
def shared_service(
    registry: str, filled_vectors: Path, open_client: Opener, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TestClient]:
    home = tmp_path_factory.mktemp("shared") / "home"
    home.mkdir(mode=0o700)
    shutil.copy(filled_vectors, home / "vectors.db")
    with open_client(Settings(home=home, MLFLOW_TRACKING_URI=registry, demo_bank=True)) as opened:
        yield opened


@pytest.fixture
def shared_client(shared_service: TestClient) -> Iterator[TestClient]:
    """A client like `client` of a service that all tests of a module share; they must store nothing in it."""
    headers = shared_service.headers.copy()
    yield shared_service
    shared_service.headers = headers
    shared_service.cookies.clear()


@pytest.fixture
def client(settings: Settings, open_client: Opener) -> Iterator[TestClient]:
    """A bank with a token of all its scopes."""
    with open_client(settings) as opened:
        yield opened

"""A marketplace in which a service has given scores for two midnights of the past."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
import time_machine
from click.testing import Result
from typer.testing import CliRunner

import sellerscore
from api.app import open_services
from api.consents import repository as consents
from api.consents.repository import Consent
from api.kit.database import insert_row, transaction
from api.kit.fields import Purpose
from api.kit.middleware import RequestMetrics
from api.models.bundle_store import load_bundle, read_pointer, save_bundle
from api.scores import issuance
from api.scores.schemas import ScoreRequest
from api.services import Services
from api.settings import Settings
from features.catalogue import CATALOGUE, digest
from features.ingest import open_store
from features.materialize import rows_of
from features.pipeline import accepted_rows, compute_frame, covered_days
from features.store.vectors import Snapshot, VectorStore
from scoring import Bundle
from scoring.bundle import BundleParts, pack
from tests.frames import cached_frames
from tests.world import shared_world

MIDNIGHTS = (date(2024, 10, 1), date(2024, 11, 1))
END = "2026-01-01"
SELLERS = 90
SECOND = 40

Run = Callable[..., Result]


@dataclass(frozen=True)
class Served:
    """A state folder whose service issued scores: the scored sellers, and the second bundle that scored some."""

    home: Path
    sellers: tuple[str, ...]
    other: str

    @property
    def settings(self) -> Settings:
        return Settings(home=self.home, MLFLOW_TRACKING_URI=f"sqlite:///{self.home}/mlflow.db")


@pytest.fixture(scope="package", autouse=True)
def frames_once() -> Iterator[None]:
    with cached_frames():
        yield


def borrowers(home: Path) -> tuple[str, ...]:
    """Sellers who borrowed around those midnights first, the latest first, so that their loans meet scores."""
    loans = accepted_rows(open_store(home / "operating"), "loans").sort_values(["disbursed_at", "loan_id"])
    near = loans["disbursed_at"].between(pd.Timestamp("2024-09-20"), pd.Timestamp("2024-12-01"))
    return tuple(dict.fromkeys([*loans.loc[near, "seller_id"][::-1], *loans["seller_id"]]))[:SELLERS]


def other_model(settings: Settings) -> str:
    """Keep a second bundle, the champion's with another calibration, and return its digest."""
    own = load_bundle(settings, read_pointer(settings, "champion").digest)
    calibration = replace(own.policy.calibration, intercept=own.policy.calibration.intercept + 1)
    policy = replace(own.policy, calibration=calibration)
    files = pack(BundleParts(own.model.text, own.sheet, policy, own.reasons, own.reference))
    digest_of_other = Bundle.from_files(files).digest
    save_bundle(settings, digest_of_other, files)
    return digest_of_other


def grant_consents(services: Services, sellers: tuple[str, ...]) -> None:
    now = datetime.now(UTC)
    with transaction(services.engine, writes=True) as connection:
        for seller in sellers:
            terms = (seller, "bank-0", Purpose.CREDIT_APPLICATION, now, now + timedelta(days=90))
            services.ledger.seller(connection, seller)
            insert_row(connection, consents.consents, Consent(f"of-{seller}", *terms, None, now, "tests"))


def issue(services: Services, sellers: tuple[str, ...]) -> None:
    for seller in sellers:
        request = ScoreRequest(seller_id=seller, purpose=Purpose.CREDIT_APPLICATION)
        asyncio.run(issuance.issue_score(services, "bank-0", request))


def _serve_the_tested_model(home: Path) -> None:
    """Forget the final fit: it was trained on all loans of the past, so that none of them could test its scores."""
    with closing(sqlite3.connect(home / "mlflow.db")) as registry, registry:
        assert registry.execute("DELETE FROM params WHERE key = 'served_before'").rowcount == 1


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Served:
    """Scores as the service issues and stores them; some sellers twice, some by a second model."""
    home = shared_world(tmp_path_factory).copy(tmp_path_factory.mktemp("served")).home
    _serve_the_tested_model(home)
    settings, sellers = Settings(home=home, MLFLOW_TRACKING_URI=f"sqlite:///{home}/mlflow.db"), borrowers(home)
    store, vectors = open_store(home / "operating"), VectorStore(home / "vectors.db")
    pairs = pd.DataFrame([(seller, day) for seller in sellers for day in MIDNIGHTS], columns=["seller_id", "as_of"])
    computed = compute_frame(store, pairs)
    with open_services(settings, RequestMetrics()) as services:
        for day in MIDNIGHTS:
            covers = dict.fromkeys(covered_days(store), day)
            rows = computed[computed.index.get_level_values("as_of") == pd.Timestamp(day)]
            vectors.replace(Snapshot(day, store.version, digest(CATALOGUE), covers), rows_of(rows))
            with time_machine.travel(datetime(day.year, day.month, day.day, 9, tzinfo=UTC)):
                if day == MIDNIGHTS[0]:
                    grant_consents(services, sellers)
                issue(services, (*sellers, *sellers[:5]))
        other = other_model(settings)
        second = replace(services, champion=replace(services.champion, bundle=load_bundle(settings, other)))
        with time_machine.travel(datetime(day.year, day.month, day.day, 10, tzinfo=UTC)):
            issue(second, sellers[:SECOND])
    return Served(home, sellers, other)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command over a state folder; its errors are raised."""

    def invoke(home: Path, *arguments: object) -> Result:
        monkeypatch.setenv("SELLERSCORE_HOME", str(home))
        runner = CliRunner(env={"COLUMNS": "160", "NO_COLOR": "1"})
        return runner.invoke(sellerscore.app, ["monitor", *map(str, arguments)], catch_exceptions=False)

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return invoke

"""The service and the commands of the ledger: first start, scores, consents, retention, erasure, rotations, models."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from sqlalchemy import func, select

import api.app
from api.app import open_services
from api.auth.clients import list_clients
from api.auth.scopes import ClientKind
from api.auth.signing_keys import KeyRing
from api.consents.repository import consents
from api.consents.service import ConsentTerms, grant_consent, revoke_consent
from api.errors import ApiError, SellerUnknown
from api.kit.database import transaction
from api.kit.fields import Purpose
from api.kit.middleware import RequestMetrics
from api.ledger.checks import Scope
from api.ledger.encryption import seller_key
from api.ledger.local_checkpoints import LocalCheckpoints, read_local_checkpoints
from api.ledger.master_key import rotate_master_key
from api.ledger.verification import verify
from api.models.bundle_store import ServedModel, load_bundle, read_pointer, save_bundle, save_pointer
from api.operations.ledger_checks import all_checks
from api.operations.retention import drop_expired, erase_seller
from api.scores.issuance import issue_score
from api.scores.repository import scores
from api.scores.schemas import ScoreRequest
from api.services import Services
from api.settings import Settings
from features.errors import FeaturesError
from scoring import Bundle
from tests.api.conftest import SELLERS, fill, snapshot_of
from tests.api.started import register_of
from tests.faults.runner import Acknowledged, Call

BANK_SELLERS: Final = SELLERS[:4]
ERASED: Final = SELLERS[1]
_RECORDED_BY: Final = "tests"


def settings_of(folder: Path) -> Settings:
    return Settings(home=folder)


class Service:
    """A running service of one bank on a state folder."""

    def __init__(self, folder: Path, files: Mapping[str, bytes]) -> None:
        self._settings = settings_of(folder)
        self._files = files
        self._opening: AbstractContextManager[Services] | None = None
        self.services: Services

    def open(self) -> None:
        self._opening = open_services(self._settings, RequestMetrics())
        self.services = self._opening.__enter__()

    def close(self) -> None:
        assert self._opening is not None
        self._opening.__exit__(None, None, None)

    @property
    def bank_id(self) -> str:
        return next(iter(list_clients(self.services.engine, ClientKind.BANK))).id

    def create_bank(self) -> None:
        register_of(self.services).create(ClientKind.BANK, "bank", now=datetime.now(UTC))

    def grant_all(self) -> None:
        for seller in BANK_SELLERS:
            self.grant(seller, Purpose.CREDIT_APPLICATION)

    def grant(self, seller: str, purpose: Purpose = Purpose.ACCOUNT_REVIEW) -> str:
        # the same terms give the same consent
        day = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)
        terms = ConsentTerms(seller, self.bank_id, str(purpose), timedelta(days=30), day)
        with transaction(self.services.engine, writes=True) as connection:
            return grant_consent(connection, self.services.ledger, terms, _RECORDED_BY).id

    def revoke(self) -> str:
        with transaction(self.services.engine, writes=True) as connection:
            granted = select(consents.c.id).where(
                consents.c.seller_id == BANK_SELLERS[2], consents.c.purpose == str(Purpose.CREDIT_APPLICATION)
            )
            consent_id = str(connection.execute(granted).scalar_one())
            revoke_consent(connection, self.services.ledger, consent_id, _RECORDED_BY)
        return consent_id

    def score(self, key: str, seller: str = BANK_SELLERS[0]) -> str:
        request = ScoreRequest(seller_id=seller, purpose=Purpose.CREDIT_APPLICATION)
        return asyncio.run(issue_score(self.services, self.bank_id, request, key=key)).score.body.decode()

    def checkpoint(self) -> None:
        settings, services = self._settings, self.services
        saved = LocalCheckpoints(
            settings.checkpoints_path, services.engine, keys=lambda: services.receipts, degraded=services.degraded
        )
        saved.keep_conflict()
        saved.save()

    def drop(self) -> None:
        drop_expired(self.services.engine, self.services.receipts, before=self._prepared_until(), now=datetime.now(UTC))

    def _prepared_until(self) -> datetime:
        return datetime.fromisoformat((self._settings.home / "prepared-until").read_text())

    def erase(self) -> None:
        try:
            erase_seller(
                self.services.engine,
                self.services.receipts,
                self.services.vectors,
                seller_id=ERASED,
                reason="asked",
                now=datetime.now(UTC),
                operating=self._settings.operating_path,
            )
        except SellerUnknown:
            with transaction(self.services.engine) as connection:
                if seller_key(connection, ERASED) is not None:
                    raise

    def rotate_receipt_keys(self) -> None:
        KeyRing.rotate(self._settings.receipt_keys_path, datetime.now(UTC))

    def rotate_master_key(self) -> None:
        rotate_master_key(self._settings.keys_path, self.services.engine, pause=0.0)

    def save_model(self) -> str:
        digest = Bundle.from_files(self._files).digest
        save_bundle(self._settings, digest, self._files)
        model = ServedModel(self.services.champion.bundle, "sellerscore", "2")
        save_pointer(self._settings, "champion", model)
        return digest


class FirstStart:
    """An empty state folder: the database is migrated, keys are created, and a bank gets its first scores."""

    allowed_errors: tuple[type[Exception], ...] = (ApiError, FeaturesError, OSError)
    starts_threads = False

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = files
        model = ServedModel(Bundle.from_files(files), "sellerscore", "1")
        # fetching a model from the registry changes nothing in the folder but the files of `save_model`
        api.app.load_champion = lambda _: model  # type: ignore[attr-defined]
        api.app.load_challenger = lambda _: None  # type: ignore[attr-defined]

    def prepare(self, folder: Path) -> None:
        fill(folder, snapshot_of(datetime.now(UTC).date()))

    def open(self, folder: Path) -> _FirstStart:
        return _FirstStart(folder, self._files)

    def may_be_silent(self, call: Call, step: str) -> bool:  # noqa: ARG002
        """Return whether only the checkpoint of SQLite at the end failed.

        The next process repeats that checkpoint; until then the write-ahead log has the data.
        """
        return step == "close"

    def check(self, folder: Path, acknowledged: Acknowledged, call: Call) -> Iterator[str]:
        service = Service(folder, self._files)
        service.open()
        yield from self._check_scores(service, acknowledged)
        yield from _verify(service)
        yield from _leftovers(folder, call)
        service.score("the next request")
        service.close()

    def _check_scores(self, service: Service, acknowledged: Acknowledged) -> Iterator[str]:
        returned = {
            name.removeprefix("score "): body for name, body in acknowledged.items() if name.startswith("score ")
        }
        for key, body in returned.items():
            seller = json.loads(body)["seller_id"]
            if (seller != ERASED or "erase" not in acknowledged) and service.score(key, seller) != body:
                yield f"the score of the key {key} is another one"
        with transaction(service.services.engine) as connection:
            stored = connection.execute(select(func.count()).select_from(scores)).scalar_one()
        if stored != len(returned) + self.prepared_scores:
            yield f"{stored} scores are stored, {len(returned)} were returned"

    prepared_scores = 0


class _FirstStart(Service):
    @property
    def steps(self) -> Mapping[str, Callable[[], Any]]:
        return {
            "open": self.open,
            "create bank": self.create_bank,
            "grant all": self.grant_all,
            "score a": lambda: self.score("a"),
            "checkpoint": self.checkpoint,
            "close": self.close,
        }


class Operation(FirstStart):
    """A service in operation."""

    prepared_scores = 2

    def prepare(self, folder: Path) -> None:
        super().prepare(folder)
        service = Service(folder, self._files)
        service.open()
        service.create_bank()
        service.grant_all()
        service.score("early 0")
        service.score("early 1", ERASED)
        (folder / "prepared-until").write_text(datetime.now(UTC).isoformat())
        service.checkpoint()
        service.close()

    def open(self, folder: Path) -> _Operation:
        return _Operation(folder, self._files)

    def check(self, folder: Path, acknowledged: Acknowledged, call: Call) -> Iterator[str]:
        yield from super().check(folder, acknowledged, call)
        settings = settings_of(folder)
        yield from (
            f"{file.name} contains the erased seller"
            for file in folder.glob("*.db*")
            if ERASED.encode() in file.read_bytes()
        )
        keys = {path.name for path in settings.keys_path.iterdir() if path.name[0] != "."}
        if keys != {"client-secrets", "idempotency", "ledger-master", "receipts", "tokens"}:
            yield f"the folder of keys contains {sorted(keys)}"
        pointer = read_pointer(settings, "champion")
        if pointer is None or load_bundle(settings, acknowledged["save model"]).digest != acknowledged["save model"]:
            yield "the model was not saved"


class _Operation(Service):
    @property
    def steps(self) -> Mapping[str, Callable[[], Any]]:
        return {
            "open": self.open,
            "score a": lambda: self.score("a"),
            "score b": lambda: self.score("b", ERASED),
            "grant": lambda: self.grant(BANK_SELLERS[0]),
            "revoke": self.revoke,
            "checkpoint": self.checkpoint,
            "drop": self.drop,
            "erase": self.erase,
            "rotate receipt keys": self.rotate_receipt_keys,
            "rotate master key": self.rotate_master_key,
            "score c": lambda: self.score("c", BANK_SELLERS[3]),
            "save model": self.save_model,
            "last checkpoint": self.checkpoint,
            "close": self.close,
        }


def _verify(service: Service) -> Iterator[str]:
    services = service.services
    jwks = KeyRing.read(services.settings.receipt_keys_path).jwks
    local = read_local_checkpoints(services.settings.checkpoints_path, jwks)
    report = verify(services.engine, services.ledger, jwks, all_checks(jwks), scope=Scope(local=local))
    yield from (f"verification: {fault}" for fault in report.faults)


def _leftovers(folder: Path, call: Call) -> Iterator[str]:
    left = [path.relative_to(folder) for path in folder.rglob("*") if path.name.startswith(".")]
    if call.name not in {"unlink", "unlinkat"}:
        yield from (f"{path} is left" for path in left)

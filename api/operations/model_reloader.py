"""The model reloader: picks up a new champion, challenger or signing keys while the service runs.

A new model is loaded, verified and warmed up; then the container of services is replaced. Running requests keep the
former one. A model or key that cannot be used is rejected and reported, and the former stays active.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from typing import Final

from starlette.datastructures import State

from api.auth.signing_keys import KeyRing, Use, read_ring
from api.clients.records import LedgerClients
from api.errors import KeyRingError, ModelMissingError, StartError
from api.kit.background import DegradedConditions, RepeatingTask
from api.models.bundle_store import ServedModel, drop_pointer, save_pointer
from api.models.registry import CHALLENGER, CHAMPION, RegistryUnavailableError, fetch_current
from api.scores import shadow as shadow_scoring
from api.scores.inputs import to_vector
from api.services import Services, ShadowScorer
from api.settings import Settings
from features.errors import StoreError
from features.store.vectors import VectorStore
from scoring import BundleError, ScoringError, assess

logger = logging.getLogger(__name__)

_VECTORS_VERIFIED: Final = 50
"""Stored vectors that a new champion must assess before it becomes active."""


class ModelReloader:
    """Checks for changes and replaces `state.services`. Nothing else replaces it.

    Example: `ModelReloader(app.state).reload()` returns the number of seconds until the next check.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self._rejected: tuple[ServedModel, ...] = ()
        # conditions of the challenger are only logged
        self._challenger_conditions = DegradedConditions()

    @property
    def _services(self) -> Services:
        services: Services = self._state.services
        return services

    def reload(self) -> float:
        """Apply all changes, and return the number of seconds until the next check."""
        self._reload_keys()
        self._reload_models()
        return float(self._services.settings.refresh_seconds)

    def close(self) -> None:
        """Stop the current shadow scorer."""
        if self._services.shadow is not None:
            self._services.shadow.close()

    def _reload_keys(self) -> None:
        services = self._services
        try:
            receipts, tokens = (read_ring(services.settings, use) for use in (Use.RECEIPTS, Use.TOKENS))
        except KeyRingError as error:
            services.degraded.report(
                "keys", "the signing keys cannot be read; the former keys stay active.", str(error)
            )
            return
        services.degraded.report("keys", None)
        if receipts.jwks != services.receipts.jwks:
            clients = LedgerClients(receipts.jwks)
            self._state.services = replace(services, auth=replace(services.auth, receipts=receipts, clients=clients))
            logger.info(
                "receipts are signed by %s; %d keys are published", _signer(receipts), len(receipts.jwks["keys"])
            )
        if tokens.jwks != services.auth.tokens.ring.jwks:
            services.auth.tokens.replace_keys(tokens)
            logger.info("tokens are signed by %s", _signer(tokens))

    def _reload_models(self) -> None:
        services = self._services
        try:
            champion = self._champion(services)
            shadow = self._shadow(services, champion)
        except RegistryUnavailableError as error:
            what = f"the model registry does not respond; version {services.champion.version} stays active."
            services.degraded.report("registry", what, str(error))
            return
        services.degraded.report("registry", None)
        if champion is services.champion and shadow is services.shadow:
            return
        self._state.services = replace(services, champion=champion, shadow=shadow)
        if champion is not services.champion:
            logger.info("model version %s replaces version %s", champion.version, services.champion.version)
        if services.shadow is not None and shadow is not services.shadow:
            services.shadow.close()

    def _champion(self, services: Services) -> ServedModel:
        """Return the champion of the registry, or the current one if that cannot be used."""
        serving = services.champion
        try:
            found = fetch_current(services.settings, CHAMPION, (serving, *self._rejected))
            if found is not serving:
                self._rejected = (found,)
                _verify_on_vectors(found, services.vectors)
                save_pointer(services.settings, CHAMPION, found)
        except (StartError, ScoringError) as error:
            what = f"the champion of the registry cannot be used; version {serving.version} stays active."
            services.degraded.report("model", what, _reason(error))
            return serving
        self._rejected = ()
        services.degraded.report("model", None)
        return found

    def _shadow(self, services: Services, champion: ServedModel) -> ShadowScorer | None:
        """Return the shadow scorer, or None if the challenger is the champion."""
        now = services.shadow
        try:
            found = _challenger(services.settings, champion, None if now is None else now.challenger)
        except (StartError, ScoringError) as error:
            self._challenger_conditions.report("challenger", "it cannot be used.", _reason(error))
            return now
        self._challenger_conditions.report("challenger", None)
        if found is None or found.bundle.digest == champion.bundle.digest:
            return None
        return (
            now if now is not None and found is now.challenger else shadow_scoring.ShadowScorer(found, services.engine)
        )


def _challenger(settings: Settings, champion: ServedModel, now: ServedModel | None) -> ServedModel | None:
    """Return the challenger of the registry, loading it if it is new; None if there is none."""
    loaded = (champion,) if now is None else (champion, now)
    try:
        found = fetch_current(settings, CHALLENGER, loaded)
    except ModelMissingError:
        drop_pointer(settings, CHALLENGER)
        return None
    if not any(found is each for each in loaded):
        save_pointer(settings, CHALLENGER, found)
    return found


@contextmanager
def run_reloader(state: State) -> Iterator[RepeatingTask]:
    """Reload in the background during the block. `wake` of the yielded task reloads at once."""
    reloader = ModelReloader(state)
    task = RepeatingTask("reloader", reloader.reload, first=float(state.services.settings.refresh_seconds))
    try:
        yield task
    finally:
        task.close()
        reloader.close()


def _verify_on_vectors(served: ServedModel, vectors: VectorStore) -> None:
    """Assess some stored vectors, if there are any.

    Raises:
        ScoringError: The model does not fit them, or cannot explain its scores.
    """
    try:
        stored = [to_vector(each) for each in islice(vectors.all_latest(), _VECTORS_VERIFIED)]
    except StoreError:
        return
    assess(served.bundle, stored)


def _reason(error: Exception) -> str:
    if isinstance(error, StartError | BundleError):
        return str(error)
    # the message of a scoring error may name a seller, and logs must not
    kind = type(error).__name__
    return f"It cannot assess the stored vectors ({kind}). Promote a model of their catalogue, or compute them again."


def _signer(ring: KeyRing) -> str:
    return str(ring.keys[-1].thumbprint())

"""What may change while the service runs, looked at now and then: champion, challenger, signing keys.

Another model is loaded, proved and warmed beside the one that serves; then one reference is replaced. Requests that
began before end with what they began with. What cannot be used is refused and told, and the former serves on.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from typing import Final

from starlette.datastructures import State

from api.errors import KeyRingError, ModelMissingError, StartError
from api.kept_bundles import drop_pointer
from api.keyring import KeyRing
from api.keys.rings import Use, read
from api.model_store import CHALLENGER, CHAMPION, RegistryAwayError, Served, latest, remember
from api.repeating import Repeating
from api.services import Services
from api.settings import Settings
from api.shadow.service import Shadow
from api.troubles import Troubles
from api.vectors import to_vector
from features.errors import StoreError
from features.store.vectors import VectorStore
from scoring import BundleError, ScoringError, assess

logger = logging.getLogger(__name__)

_PROVED_ON: Final = 50
"""Stored vectors that another champion must assess before it serves."""


class Watch:
    """Looks for changes and replaces `state.services`; nobody else does while it runs.

    Example: `Watch(app.state).look()` returns the seconds until it should look again.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self._refused: tuple[Served, ...] = ()
        # of a challenger nothing is told but in the log
        self._unseen = Troubles()

    @property
    def _services(self) -> Services:
        found: Services = self._state.services
        return found

    def look(self) -> float:
        """Take up what has changed, and return the seconds until the next look."""
        self._take_up_keys()
        self._take_up_models()
        return float(self._services.settings.refresh_seconds)

    def close(self) -> None:
        """Let the challenger that scores now end its work."""
        if self._services.shadow is not None:
            self._services.shadow.close()

    def _take_up_keys(self) -> None:
        services = self._services
        try:
            receipts, tokens = (read(services.settings, use) for use in (Use.RECEIPTS, Use.TOKENS))
        except KeyRingError as error:
            services.troubles.tell(
                "keys", "the signing keys cannot be read again; those read before serve on.", str(error)
            )
            return
        services.troubles.tell("keys", None)
        if receipts.jwks != services.receipts.jwks:
            self._state.services = replace(services, receipts=receipts)
            logger.info(
                "receipts are signed by %s; %d keys are published", _signer(receipts), len(receipts.jwks["keys"])
            )
        if tokens.jwks != services.access.tokens.ring.jwks:
            services.access.tokens.take_up(tokens)
            logger.info("tokens are signed by %s", _signer(tokens))

    def _take_up_models(self) -> None:
        services = self._services
        try:
            champion = self._champion(services)
            shadow = self._shadow(services, champion)
        except RegistryAwayError as error:
            what = f"the model registry does not answer; version {services.champion.version} serves on."
            services.troubles.tell("registry", what, str(error))
            return
        services.troubles.tell("registry", None)
        if champion is services.champion and shadow is services.shadow:
            return
        self._state.services = replace(services, champion=champion, shadow=shadow)
        if champion is not services.champion:
            logger.info("model version %s serves in place of version %s", champion.version, services.champion.version)
        if services.shadow is not None and shadow is not services.shadow:
            services.shadow.close()

    def _champion(self, services: Services) -> Served:
        """Return the champion that is to serve: the registry's where it can, else the one that does."""
        serving = services.champion
        try:
            found = latest(services.settings, CHAMPION, (serving, *self._refused))
            if found is not serving:
                self._refused = (found,)
                _prove(found, services.vectors)
                remember(services.settings, CHAMPION, found)
        except (StartError, ScoringError) as error:
            what = f"the registry's champion cannot be taken; version {serving.version} serves on."
            services.troubles.tell("model", what, _reason(error))
            return serving
        self._refused = ()
        services.troubles.tell("model", None)
        return found

    def _shadow(self, services: Services, champion: Served) -> Shadow | None:
        """Return the challenger at work; one that is the champion would score everything twice."""
        now = services.shadow
        try:
            found = _challenger(services.settings, champion, None if now is None else now.challenger)
        except (StartError, ScoringError) as error:
            self._unseen.tell("challenger", "it cannot be used.", _reason(error))
            return now
        self._unseen.tell("challenger", None)
        if found is None or found.bundle.digest == champion.bundle.digest:
            return None
        return now if now is not None and found is now.challenger else Shadow(found, services.engine)


def _challenger(settings: Settings, champion: Served, now: Served | None) -> Served | None:
    """Return the registry's challenger, loaded if it is neither the champion nor the one at work; None without any."""
    known = (champion,) if now is None else (champion, now)
    try:
        found = latest(settings, CHALLENGER, known)
    except ModelMissingError:
        drop_pointer(settings, CHALLENGER)
        return None
    if not any(found is each for each in known):
        remember(settings, CHALLENGER, found)
    return found


@contextmanager
def watching(state: State) -> Iterator[Repeating]:
    """Watch while the block runs, in a thread; what is yielded can be woken with `soon`."""
    watch = Watch(state)
    thread = Repeating("watch", watch.look, first=float(state.services.settings.refresh_seconds))
    try:
        yield thread
    finally:
        thread.close()
        watch.close()


def _prove(served: Served, vectors: VectorStore) -> None:
    """Assess some stored vectors, where there are any.

    Raises:
        ScoringError: the model does not fit them, or cannot explain what it says.
    """
    try:
        stored = [to_vector(each) for each in islice(vectors.all_latest(), _PROVED_ON)]
    except StoreError:
        return
    assess(served.bundle, stored)


def _reason(error: Exception) -> str:
    if isinstance(error, StartError | BundleError):
        return str(error)
    # what scoring says of a vector may name its seller, whom no log names
    kind = type(error).__name__
    return f"It cannot assess the stored vectors ({kind}); promote a model of their catalogue, or make them anew."


def _signer(ring: KeyRing) -> str:
    return str(ring.keys[-1].thumbprint())

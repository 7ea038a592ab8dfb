"""The whole of monitoring: every model that gave scores, study by study, and the age of the data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Final

from training.evidence.finding import Finding
from training.labels import LabelConfig
from training.monitor.answers import answers
from training.monitor.calibration import calibration
from training.monitor.freshness import freshness
from training.monitor.models import Models, short
from training.monitor.outcomes import Outcomes, outcomes
from training.monitor.period import period
from training.monitor.population import drift
from training.monitor.shadow import shadow
from training.monitor.vintages import vintages
from training.monitor.watched import Watched
from training.unseen import label_config

if TYPE_CHECKING:
    import pandas as pd

    from scoring import Bundle
    from training.monitor.config import MonitorConfig
    from training.monitor.reference import References

STUDIES: Final[tuple[Callable[[Watched], Finding], ...]] = (answers, drift, vintages, calibration, shadow)
"""What is asked of each model, in the order to show it."""

Step = Callable[[str], None]
"""Is told what begins, for a progress display."""


@dataclass(frozen=True)
class Given:
    """What monitoring looks at.

    Attributes:
        scores: a frame of `ledger.SCORES` as `ledger.until` returns it.
        shadow: a frame of `ledger.SHADOW`.
        models: those that gave the scores.
        champion: the bundle in force, None where there is none.
        references: of training populations; their source is also that of outcomes.
        today: the midnight of monitoring.
        asked_for: the digest of a bundle whose alarms count in any case, as the champion's do.
    """

    scores: pd.DataFrame
    shadow: pd.DataFrame
    models: Models
    champion: Bundle | None
    references: References
    today: date
    asked_for: str = ""


@dataclass(frozen=True)
class OfModel:
    """What was found of one model."""

    watched: Watched
    findings: tuple[Finding, ...]

    @property
    def alarms(self) -> tuple[str, ...]:
        """Alarms of all studies; they count only where the model is in use."""
        return tuple(alarm for finding in self.findings for alarm in finding.alarms)

    @property
    def name(self) -> str:
        """What to call the model."""
        return self.watched.model.name


@dataclass(frozen=True)
class Monitoring:
    """What was found on one day.

    Attributes:
        today: the midnight of monitoring.
        period: whether anything was scored in the days that are now.
        freshness: the age of the data.
        models: the champion first, then those in use, then by how lately each gave a score.
        troubles: what kept something from being monitored or logged; each is an alarm.
    """

    today: date
    period: Finding
    freshness: Finding
    models: tuple[OfModel, ...]
    troubles: tuple[str, ...] = ()

    @property
    def nothing_scored(self) -> bool:
        """Whether no model gave any score in the days that are now, so that no alarm could come of one."""
        return self.period.figures["scored"] == 0

    @property
    def said(self) -> str:
        """What there is to say before all else, where nothing was scored; else empty."""
        return self.period.said if self.nothing_scored else ""

    @property
    def alarms(self) -> tuple[str, ...]:
        """Every alarm that counts, with whom it is about; those of models not in use stand in their own part alone."""
        in_use = (each for each in self.models if each.watched.in_use)
        of_models = (f"{each.name.capitalize()}: {alarm}" for each in in_use for alarm in each.alarms)
        return (*self.troubles, *self.freshness.alarms, *of_models)


def monitor(given: Given, config: MonitorConfig, step: Step = lambda _: None) -> Monitoring:
    """Look at every model that gave scores, and at the age of the data.

    Args:
        given: the scores and what is known around them.
        config: the limits.
        step: told what begins.

    Raises:
        LabelError: the label table of outcomes cannot be read.
        StoreError: the operating data cannot be read.
    """
    found = [_studied(each, step) for each in _watched(given, config)]
    found.sort(key=_rank, reverse=True)
    step("age of the data")
    store = given.references.source.store
    bundle = given.champion or (found[0].watched.model.bundle if found else None)
    return Monitoring(
        given.today,
        period(given.scores, given.today, config.drift.days),
        freshness(store.covers_through, given.today, bundle, config.freshness),
        tuple(found),
        tuple(_troubles(given)),
    )


def _rank(found: OfModel) -> tuple[bool, bool, pd.Timestamp]:
    watched = found.watched
    return watched.in_force, watched.in_use, watched.scores["as_of"].max()


def _watched(given: Given, config: MonitorConfig) -> Iterator[Watched]:
    known: dict[tuple[str, LabelConfig], Outcomes] = {}
    source = given.references.source
    for digest, model in given.models.known.items():
        labels = LabelConfig() if model.version is None else label_config(model.version)
        definition = model.bundle.policy.default_definition
        if (definition, labels) not in known:
            found = outcomes(source.store, definition, given.today, source.table, labels)
            known[definition, labels] = found
        scores = given.scores[given.scores["model"] == digest].reset_index(drop=True)
        champion = given.champion is not None and digest == given.champion.digest
        yield Watched(
            model,
            scores,
            known[definition, labels],
            given.shadow,
            given.references,
            given.today,
            config,
            in_force=champion or digest == given.asked_for,
        )


def _studied(watched: Watched, step: Step) -> OfModel:
    found = []
    for study in STUDIES:
        step(f"{watched.model.name}: {study.__name__}")
        found.append(study(watched))
    return OfModel(watched, tuple(found))


def _troubles(given: Given) -> Iterator[str]:
    if given.models.registry_away:
        yield f"{given.models.registry_away} Versions are not known, and nothing is logged there."
    for digest in given.models.lost:
        count = int((given.scores["model"] == digest).sum())
        yield (
            f"{count:,} scores are of the bundle {short(digest)}, which is neither kept nor registered, so they are "
            "not monitored; restore it from a backup of the state folder."
        )

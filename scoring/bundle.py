"""The model bundle: everything that a score depends on, as files with a manifest of their digests.

`pack` writes the files, `Bundle.from_files` verifies and reads them; no other code depends on the format. Neither
accesses the disk.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Final, get_args

from scoring.bands import Band, Bands
from scoring.canonical import canonical_json, sha256
from scoring.errors import BundleError
from scoring.explain import verify_tables
from scoring.model import Calibration, ExplainedBy, Model
from scoring.policy import Policy
from scoring.reason_catalogue import GroupEntry, ReasonCatalogue, ReasonEntry, Texts, Wording
from scoring.scale import Scale
from scoring.sheet import Activity, FeatureEntry, FeatureSheet, HistoryThreshold, Reach, Sizes
from scoring.track_record import TrackRecord

if TYPE_CHECKING:
    from scoring.frames import Frame, FrameExplanation

FORMAT: Final = 2
MANIFEST: Final = "manifest.json"
_MODEL, _FEATURES, _POLICY, _REASONS, _REFERENCE = FILES = (
    "model.txt",
    "features.json",
    "policy.json",
    "reasons.json",
    "reference.json",
)
"""The files of a bundle, without its manifest."""


@dataclass(frozen=True)
class Reference:
    """The reference population of the contributions, and facts about the training of the model.

    `validation` has metrics by name, `libraries` the library versions. `explained_by` states how contributions are
    computed; older bundles have no value, and LightGBM computes them. `track_record` has the outcomes of the loans
    that the model was tested on. `intended_use` states what the model is for and what not, one paragraph per item.
    Older bundles have neither.
    """

    population: str
    validation: Mapping[str, float]
    libraries: Mapping[str, str]
    explained_by: ExplainedBy = "pred_contrib"
    track_record: TrackRecord | None = None
    intended_use: tuple[str, ...] = ()


@dataclass(frozen=True)
class BundleParts:
    """The content of a bundle before it is packed into files; training creates it."""

    model_text: str
    sheet: FeatureSheet
    policy: Policy
    reasons: ReasonCatalogue
    reference: Reference


@dataclass(frozen=True)
class Bundle:
    """A verified bundle, ready to score. `digest` is the SHA-256 of its manifest and identifies the bundle."""

    digest: str
    model_digest: str
    model: Model
    sheet: FeatureSheet
    policy: Policy
    reasons: ReasonCatalogue
    reference: Reference

    @classmethod
    def from_files(cls, files: Mapping[str, bytes]) -> Bundle:
        """Verify the files against their manifest and each other, and build the bundle.

        Args:
            files: content by file name, as read from a `bundle/` folder.

        Raises:
            BundleError: a file is missing, extra, altered or unreadable, or contradicts another; or the model cannot
                be explained in the way that the bundle states.
        """
        _verify(files)
        try:
            sheet = _sheet(json.loads(files[_FEATURES]))
            policy = _policy(json.loads(files[_POLICY]))
            reasons = read_reasons(json.loads(files[_REASONS]))
            reference = _reference(json.loads(files[_REFERENCE]), policy.bands)
            model = Model.from_text(files[_MODEL].decode(), reference.explained_by)
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise BundleError(f"A file of the bundle does not follow format {FORMAT}: {error!r}") from error
        model.require(sheet)
        reasons.require(sheet)
        verify_tables(model)
        return cls(sha256(files[MANIFEST]), sha256(files[_MODEL]), model, sheet, policy, reasons, reference)

    def score_frame(self, frame: Frame, covers_through: Mapping[str, date] | None = None) -> Frame:
        """Return outcome, score, band and probability of default of each row, equal to those of `scoring.assess`.

        A row is scored as if it was requested on the day of its `as_of`.

        Example: `bundle.score_frame(frame(store, pairs), store.covers_through)["score"]` has 612.0 for a seller with
        that score and NaN for a seller with too short a history.

        Args:
            frame: a pandas DataFrame (or a mapping of columns) with a column for each feature of the sheet.
            covers_through: the midnight through which each delivered table is complete, as a store states it. Without
                it, every table counts as delivered, so that no outcome is `insufficient_data` or `stale_data`. With
                it, the frame needs `as_of`, as a column or as a level of its index.

        Returns:
            A frame of the same type and index with the columns `outcome`, `score`, `band` and
            `probability_of_default`; the last three are missing unless the outcome is `scored`.

        Raises:
            VectorError: a feature is missing, or a value is not a finite number.
        """
        from scoring.frames import score_frame

        return score_frame(self.model, self.sheet, self.policy, frame, covers_through)

    def explain_frame(self, frame: Frame, covers_through: Mapping[str, date] | None = None) -> FrameExplanation[Frame]:
        """Return the points of each feature in each row, which add up to the score with the base, and SHAP values.

        Example: `shap.plots.waterfall(shap.Explanation(**bundle.explain_frame(frame).as_shap())[0])`.

        Args:
            frame: as for `score_frame`.
            covers_through: as for `score_frame`.

        Raises:
            VectorError: a feature is missing, or a value is not a finite number.
            ExplanationError: contributions are not finite or do not add up.
        """
        from scoring.frames import explain_frame

        return explain_frame(self.model, self.sheet, self.policy, frame, covers_through)


def pack(parts: BundleParts) -> dict[str, bytes]:
    """Write the parts as the files of a bundle, with the manifest; the same parts give the same bytes.

    Raises:
        BundleError: the parts contradict each other, so that the bundle could not be read.
    """
    json_parts: dict[str, FeatureSheet | Policy | ReasonCatalogue | Reference] = {
        _FEATURES: parts.sheet,
        _POLICY: parts.policy,
        _REASONS: parts.reasons,
        _REFERENCE: parts.reference,
    }
    try:
        json_files = {name: canonical_json(asdict(part)) for name, part in json_parts.items()}
    except (TypeError, ValueError) as error:
        raise BundleError(f"A part of the bundle cannot be written as JSON: {error}.") from error
    files = {_MODEL: parts.model_text.encode(), **json_files}
    manifest = {"format": FORMAT, "files": {name: sha256(content) for name, content in files.items()}}
    packed = {**files, MANIFEST: canonical_json(manifest)}
    Bundle.from_files(packed)
    return packed


def _verify(files: Mapping[str, bytes]) -> None:
    if MANIFEST not in files:
        raise BundleError(f"The bundle has no {MANIFEST}; found: {', '.join(sorted(files)) or 'nothing'}.")
    try:
        manifest = json.loads(files[MANIFEST])
        declared, declared_format = dict(manifest["files"]), manifest["format"]
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(f"The bundle's {MANIFEST} cannot be read: {error!r}") from error
    if declared_format != FORMAT:
        raise BundleError(
            f"The bundle is of format {declared_format!r}; this program reads format {FORMAT}. Train and promote a "
            "model with this program."
        )
    if set(declared) != set(FILES) or set(files) != {*FILES, MANIFEST}:
        differing = sorted(
            set(declared).symmetric_difference(FILES) | set(files).symmetric_difference({*FILES, MANIFEST})
        )
        raise BundleError(f"The bundle's files are not those of its format; missing or extra: {', '.join(differing)}.")
    altered = sorted(name for name in FILES if sha256(files[name]) != declared[name])
    if altered:
        raise BundleError(f"The content of {', '.join(altered)} does not match the digest in the bundle's manifest.")


def _reference(data: dict[str, Any], bands: Bands) -> Reference:
    optional = {
        "track_record": TrackRecord.read(data.get("track_record")),
        "intended_use": tuple(data.get("intended_use", ())),
    }
    reference = Reference(**{**data, **optional})
    if reference.explained_by not in get_args(ExplainedBy):
        raise BundleError(
            f"The bundle is explained by {reference.explained_by!r}; allowed are: {', '.join(get_args(ExplainedBy))}."
        )
    if not all(map(math.isfinite, reference.validation.values())):
        raise BundleError(f"Each validation metric must be a finite number; found {dict(reference.validation)}.")
    record = reference.track_record
    if record and tuple(band.name for band in record.bands) != bands.names:
        raise BundleError(f"The track record must have the bundle's bands, {', '.join(bands.names)}.")
    return reference


def _sheet(data: dict[str, Any]) -> FeatureSheet:
    return FeatureSheet(
        catalogue=data["catalogue"],
        entries=tuple(map(_entry, data["entries"])),
        history=tuple(HistoryThreshold(**threshold) for threshold in data["history"]),
        required_tables=tuple(data["required_tables"]),
        max_age_days=data["max_age_days"],
        sizes=_sizes(data["sizes"]),
        activity=Activity(**data["activity"]) if data["activity"] else None,
    )


def _entry(data: dict[str, Any]) -> FeatureEntry:
    reach = tuple(None if size_reach is None else Reach(**size_reach) for size_reach in data["reach"])
    return FeatureEntry(**{**data, "reach": reach, "tables": tuple(data["tables"])})


def _sizes(data: dict[str, Any] | None) -> Sizes | None:
    return Sizes(data["feature"], tuple(data["limits"]), data["days"]) if data else None


def _policy(data: dict[str, Any]) -> Policy:
    return Policy(
        calibration=Calibration(**data["calibration"]),
        scale=Scale(**data["scale"]),
        bands=Bands(tuple(Band(**band) for band in data["bands"]["items"])),
        default_definition=data["default_definition"],
    )


def read_reasons(data: dict[str, Any]) -> ReasonCatalogue:
    """Return the reason catalogue in plain values, the form of `training/reasons.json` and of bundles.

    Raises:
        KeyError, TypeError: a part is missing or has another type.
    """
    return ReasonCatalogue(
        version=data["version"],
        groups=tuple(GroupEntry(group["name"], Wording(**group["label"])) for group in data["groups"]),
        entries=tuple(
            ReasonEntry(entry["feature"], _texts(entry["side"]), _texts(entry["missing"])) for entry in data["entries"]
        ),
        tables={name: Wording(**label) for name, label in data["tables"].items()},
        not_delivered=_texts(data["not_delivered"]),
        too_old=_texts(data["too_old"]),
    )


def _texts(data: dict[str, Any]) -> Texts:
    return Texts(**{audience: Wording(**data[audience]) for audience in ("bank", "seller", "letter")})

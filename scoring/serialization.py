"""Serialization of an assessment to canonical JSON: the bytes that are stored, signed and compared.

`serialize_assessment(assessment)` equals `canonical_json(assessment.to_dict())` and is faster. The text that describes
a feature is the same in every assessment of a bundle, so it is cached; only the value and the points of each
contribution are formatted on every call.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from scoring.assessment import Assessment, Contribution, Explanation
from scoring.canonical import canonical_json

_CACHE_SIZE: Final = 4_096
"""Features of some dozens of bundles, each a few hundred bytes."""

_PLAIN_FIELDS: Final = (
    "outcome",
    "score",
    "band",
    "probability_of_default",
    "default_definition",
    "requested_on",
    "as_of",
    "data_through",
)


def serialize_assessment(assessment: Assessment) -> bytes:
    """Return the canonical JSON of an assessment.

    Example: `json.loads(serialize_assessment(assessment))["score"]` is 625.

    Raises:
        ValueError: a number is NaN or infinite.
    """
    explanation = assessment.explanation
    members = {name: canonical_json(getattr(assessment, name)) for name in _PLAIN_FIELDS}
    members["explanation"] = b"null" if explanation is None else _serialize_explanation(explanation)
    members["shortfalls"] = canonical_json([vars(shortfall) for shortfall in assessment.shortfalls])
    members["table_gaps"] = canonical_json([vars(gap) for gap in assessment.table_gaps])
    members["versions"] = canonical_json(vars(assessment.versions))
    return _join_members(members)


def _serialize_explanation(explanation: Explanation) -> bytes:
    contributions = ",".join(map(_serialize_contribution, explanation.contributions))
    return _join_members(
        {
            "base_points": canonical_json(explanation.base_points),
            "contributions": f"[{contributions}]".encode(),
            "groups": canonical_json([group._asdict() for group in explanation.groups]),
            "reasons": canonical_json([vars(reason) for reason in explanation.reasons]),
            "reference_population": canonical_json(explanation.reference_population),
        }
    )


def _serialize_contribution(contribution: Contribution) -> str:
    feature, label, value, unit, typical, points, reason_group = contribution
    before_points, before_value = _feature_text(feature, label, unit, _serialize_number(typical), reason_group)
    return f"{before_points}{points}{before_value}{_serialize_number(value)}}}"


# `typical` comes as text: as cache keys, 0.0 and -0.0 would be equal, but their JSON differs
@lru_cache(_CACHE_SIZE)
def _feature_text(feature: str, label: str, unit: str, typical: str, reason_group: str | None) -> tuple[str, str]:
    """Return the text before the points, and the text between the points and the value, which is last."""
    before_points = canonical_json({"feature": feature, "label": label}).decode()
    group_text, unit_text = canonical_json(reason_group).decode(), canonical_json(unit).decode()
    before_value = f',"reason_group":{group_text},"typical":{typical},"unit":{unit_text},"value":'
    return before_points.removesuffix("}") + ',"points":', before_value


def _serialize_number(value: float | None) -> str:
    if value is None:
        return "null"
    # the common case first; x - x is zero only for a finite x
    if type(value) is float and value - value == 0.0:
        return float.__repr__(value)
    return canonical_json(value).decode()


def _join_members(members: dict[str, bytes]) -> bytes:
    return b"{" + b",".join(b'"%b":%b' % (name.encode(), members[name]) for name in sorted(members)) + b"}"

"""How an assessment is written: the canonical JSON of its plain values, without making all of those first.

What a bundle says of a feature is the same in every assessment, so it is written once and remembered; of each
contribution only the value and the points are written anew. `canonical_json(assessment.to_dict())` is what it comes to.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from scoring.canonical import canonical_json

if TYPE_CHECKING:
    from scoring.assess import Assessment, Contribution, Explanation

_REMEMBERED: Final = 4_096
"""Features of some dozens of bundles, each a few hundred bytes."""


def assessment_bytes(assessment: Assessment) -> bytes:
    """Return the canonical JSON of an assessment.

    Raises:
        ValueError: a number is NaN or infinite.
    """
    explanation = assessment.explanation
    members = {name: canonical_json(getattr(assessment, name)) for name in _PLAIN}
    members["explanation"] = b"null" if explanation is None else _explanation(explanation)
    members["shortfalls"] = canonical_json([vars(each) for each in assessment.shortfalls])
    members["table_gaps"] = canonical_json([vars(each) for each in assessment.table_gaps])
    members["versions"] = canonical_json(vars(assessment.versions))
    return _object(members)


_PLAIN: Final = (
    "outcome",
    "score",
    "band",
    "probability_of_default",
    "default_definition",
    "requested_on",
    "as_of",
    "data_through",
)


def _explanation(explanation: Explanation) -> bytes:
    contributions = ",".join(map(_contribution, explanation.contributions))
    return _object(
        {
            "base_points": canonical_json(explanation.base_points),
            "contributions": f"[{contributions}]".encode(),
            "groups": canonical_json([each._asdict() for each in explanation.groups]),
            "reasons": canonical_json([vars(each) for each in explanation.reasons]),
            "reference_population": canonical_json(explanation.reference_population),
        }
    )


def _contribution(each: Contribution) -> str:
    feature, label, value, unit, typical, points, reason_group = each
    before, between = _of_feature(feature, label, unit, _number(typical), reason_group)
    return f"{before}{points}{between}{_number(value)}}}"


# zero and minus zero are equal and written differently, so numbers come here as they are written
@lru_cache(_REMEMBERED)
def _of_feature(feature: str, label: str, unit: str, typical: str, reason_group: str | None) -> tuple[str, str]:
    """Return what is written before the points, and what between them and the value, which comes last."""
    before = canonical_json({"feature": feature, "label": label}).decode()
    group, in_unit = canonical_json(reason_group).decode(), canonical_json(unit).decode()
    between = f',"reason_group":{group},"typical":{typical},"unit":{in_unit},"value":'
    return before.removesuffix("}") + ',"points":', between


def _number(value: float | None) -> str:
    if value is None:
        return "null"
    # what nearly all values are; x - x is zero of finite ones alone
    if type(value) is float and value - value == 0.0:
        return float.__repr__(value)
    return canonical_json(value).decode()


def _object(members: dict[str, bytes]) -> bytes:
    return b"{" + b",".join(b'"%b":%b' % (name.encode(), members[name]) for name in sorted(members)) + b"}"

"""The text form of Prometheus (version 0.0.4): families of samples, each with its help and type."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Sample:
    """One number of a family; `suffix` is what a histogram puts behind the family's name."""

    suffix: str
    labels: Labels
    value: float


@dataclass(frozen=True)
class Family:
    """Samples that are one thing measured; `kind` is counter, gauge or histogram."""

    name: str
    kind: str
    about: str
    samples: tuple[Sample, ...]


def labelled(names: Sequence[str], values: Sequence[str]) -> Labels:
    """Return labels by name.

    Example:
        >>> labelled(("method", "route"), ("GET", "/v1/scores"))
        (('method', 'GET'), ('route', '/v1/scores'))
    """
    return tuple(zip(names, values, strict=True))


def gauge(name: str, about: str, value: float, labels: Labels = ()) -> Family:
    """Return a family of one number that goes up and down."""
    return Family(name, "gauge", about, (Sample("", labels, value),))


def written(families: Iterable[Family]) -> str:
    """Return families as Prometheus reads them.

    Example: `written([gauge("rows", "Rows of all chains.", 3)])` is the lines `# HELP rows Rows of all chains.`,
    `# TYPE rows gauge` and `rows 3`.
    """
    return "".join(line + "\n" for family in families for line in _lines(family))


def _lines(family: Family) -> list[str]:
    head = [f"# HELP {family.name} {family.about}", f"# TYPE {family.name} {family.kind}"]
    return head + [f"{family.name}{each.suffix}{_braced(each.labels)} {each.value}" for each in family.samples]


def _braced(labels: Labels) -> str:
    inner = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels)
    return f"{{{inner}}}" if inner else ""


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")

"""Targets of the benchmarks, what they print, and the time of a call."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final


@dataclass(frozen=True)
class Target:
    """A bound for a figure; `aim` is a stricter goal."""

    bound: float
    at_most: bool = True
    aim: str = ""

    def __str__(self) -> str:
        return f"{'<=' if self.at_most else '>='} {self.bound:g}{self.aim}"

    def met(self, value: float) -> bool:
        """Return whether a value is within the bound."""
        return value <= self.bound if self.at_most else value >= self.bound


def print_figures(figures: Mapping[str, float], targets: Mapping[str, Target]) -> None:
    """Print one line per figure, with its target if it has one."""
    width = max(map(len, figures))
    for name, value in figures.items():
        target = targets.get(name)
        verdict = "" if target is None else f"  {'met' if target.met(value) else 'MISSED'}: {target}"
        print(f"{name:<{width}}  {value:>12{',.0f' if value >= 10_000 else '.4g'}}{verdict}", flush=True)


print_step: Final = partial(print, flush=True)
"""Prints a step, which begins with the name of its group."""


def time_call(work: Callable[[], object]) -> float:
    """Return the wall seconds of a call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started

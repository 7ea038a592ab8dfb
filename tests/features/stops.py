"""Stop a writer before a change of the disk, by an error that no handler catches or by SIGKILL."""

from __future__ import annotations

import multiprocessing
import os
import pkgutil
import signal
from collections.abc import Callable

import pytest

CHANGES = (
    *("os.fsync", "os.replace", "shutil.rmtree"),
    *(f"pathlib.Path.{name}" for name in ("rename", "replace", "unlink")),
)
"""The functions that change the disk."""


class Stopped(BaseException):
    """Simulates the end of the process: no handler catches it."""


def stopped(step: int, work: Callable[..., object], *args: object) -> bool:
    """Run `work`, stop it before its change of this number and before all later ones, and return whether it stopped."""

    def stop() -> None:
        raise Stopped

    try:
        _run(step, stop, work, *args)
    except Stopped:
        return True
    return False


def killed(step: int, work: Callable[..., object], *args: object) -> bool:
    """Run `work` in a new process that is killed before its change of this number; return whether it was killed."""
    process = multiprocessing.get_context("spawn").Process(target=_run, args=(step, _kill, work, *args))
    process.start()
    process.join(120)
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _run(step: int, stop: Callable[[], None], work: Callable[..., object], *args: object) -> None:
    left = step

    def counted(real: Callable[..., object]) -> Callable[..., object]:
        def change(*given: object, **named: object) -> object:
            nonlocal left
            left -= 1
            if left < 0:
                stop()
            return real(*given, **named)

        return change

    with pytest.MonkeyPatch.context() as patch:
        for name in CHANGES:
            patch.setattr(name, counted(pkgutil.resolve_name(name)))
        work(*args)

"""Worker processes: starts several of one function, replaces those that end, and passes signals on to them."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Final

from api.errors import StartError

logger = logging.getLogger(__name__)

# a fork would copy locks that other threads hold
_SPAWN: Final = multiprocessing.get_context("spawn")

_PAUSE_SECONDS: Final = 2.0
"""Shortest time between two replacements, so that processes that cannot start do not use up the processor."""


class Workers:
    """Runs `work(*arguments, report)` in several processes.

    Only the first process has a `report`, a connection to which it sends one message: a text when it is ready, or a
    `StartError`. The others start afterwards, so that one process creates what does not exist yet. SIGHUP is blocked
    in a process until `work` unblocks it; SIGINT stays blocked.

    Example: `Workers(4, serve_requests, (settings, listener)).run(print, stop_seconds=15.0)`.
    """

    def __init__(self, number: int, work: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        self._number = number
        self._target = (work, arguments)
        self._processes: list[BaseProcess] = []

    def run(self, echo: Callable[[str], None], stop_seconds: float) -> None:
        """Run until an exception, such as that of a signal handler; then send SIGTERM to all processes.

        Args:
            echo: Receives the text of the first process.
            stop_seconds: Time to end. Processes that take longer are killed.

        Raises:
            StartError: The first process reported it, or ended before it was ready.
        """
        signal.signal(signal.SIGHUP, self._forward)
        try:
            echo(self._start_first())
            self._processes += [self._start() for _ in range(1, self._number)]
            while True:
                self._replace_ended()
        finally:
            self._stop(stop_seconds)

    def _start_first(self) -> str:
        receiver, sender = _SPAWN.Pipe(duplex=False)
        with receiver, sender:
            self._processes.append(self._start(sender))
            # otherwise the end of the process would not end the pipe
            sender.close()
            try:
                message = receiver.recv()
            except EOFError as error:
                raise StartError("The first worker process ended at its start. The log states the cause.") from error
        if isinstance(message, StartError):
            raise message
        return str(message)

    def _start(self, report: Connection | None = None) -> BaseProcess:
        process = _SPAWN.Process(target=_run, args=(*self._target, report), daemon=True)
        # the process inherits the mask: without a handler, these signals would end it with a traceback
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP, signal.SIGINT})
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return process

    def _replace_ended(self) -> None:
        wait([each.sentinel for each in self._processes])
        for place, process in enumerate(self._processes):
            if not process.is_alive():
                self._processes[place] = self._start()
                logger.error(
                    "worker process %s ended (code %s); process %s replaces it",
                    process.pid,
                    process.exitcode,
                    self._processes[place].pid,
                )
                time.sleep(_PAUSE_SECONDS)

    def _forward(self, number: int, _frame: object) -> None:
        for process in self._processes:
            if process.pid is not None and process.is_alive():
                os.kill(process.pid, number)

    def _stop(self, seconds: float) -> None:
        for process in self._processes:
            process.terminate()
        deadline = time.monotonic() + seconds
        for process in self._processes:
            process.join(max(0.0, deadline - time.monotonic()))
            if process.is_alive():
                logger.error("worker process %s did not end in time and is killed", process.pid)
                process.kill()
                process.join()


def _run(work: Callable[..., None], arguments: tuple[Any, ...], report: Connection | None) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    work(*arguments, report)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        # a killed parent cannot stop its processes, which would keep the address
        os.kill(os.getpid(), signal.SIGTERM)

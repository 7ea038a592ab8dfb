"""Worker processes: errors at the start, and a process that does not end."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from api.errors import StartError
from api.kit.workers import Workers


def refuse(report: Connection) -> None:
    report.send(StartError("There is no model."))


def crash(_report: Connection) -> None:
    os._exit(3)


def ignore_the_end(folder: str, report: Connection | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    Path(folder, str(os.getpid())).touch()
    if report is not None:
        report.send("ready")
    while True:
        time.sleep(60)


@pytest.fixture(autouse=True)
def own_signals() -> Iterator[None]:
    before = signal.getsignal(signal.SIGHUP)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize(("work", "message"), [(refuse, "^There is no model"), (crash, "ended at its start")])
def test_an_error_of_the_first_process_ends_the_others(work: object, message: str) -> None:
    with pytest.raises(StartError, match=message):
        Workers(3, work, ()).run(pytest.fail, stop_seconds=20.0)


def test_a_process_that_does_not_end_is_killed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def interrupt(text: str) -> None:
        assert text == "ready"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Workers(2, ignore_the_end, (str(tmp_path),)).run(interrupt, stop_seconds=0.0)
    (pid,) = (int(path.name) for path in tmp_path.iterdir())
    assert not Path(f"/proc/{pid}").exists()
    assert "did not end in time" in caplog.text

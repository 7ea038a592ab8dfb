"""Who does something in the registry, so that others can tell whether he is still at it: host, process, its start.

Only what is surely gone is called gone: another host's process, or one that this system does not show, may be at work.
"""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_MACHINE: Final = Path("/etc/machine-id")
_STARTED: Final = 19
"""Place of the start among the fields of /proc/PID/stat that follow the command's name."""


@dataclass(frozen=True)
class Process:
    """A process: where it runs, its number there, and when it started, in the words of that host.

    Two processes of one number never start at the same tick of the same boot. Where a system does not tell, `started`
    is empty, and a process of that number that is there counts as this one.

    Example: `Process("scoring-1/5e0c11d2", 4711, "0d1f2c7e 8812345")`.
    """

    host: str
    pid: int
    started: str

    @classmethod
    def own(cls) -> Process:
        """Return this process."""
        return cls(_here(), os.getpid(), _started(os.getpid()))

    @classmethod
    def read(cls, text: str) -> Process | None:
        """Return the process that `str` wrote down, None where it is no such text."""
        host, _, rest = text.partition(" ")
        pid, _, started = rest.partition(" ")
        return cls(host, int(pid), started) if host and pid.isdecimal() else None

    def __str__(self) -> str:
        return f"{self.host} {self.pid} {self.started}".rstrip()

    def is_gone(self) -> bool:
        """Return whether it surely ended: it was of this host, and its number is free or another's by now."""
        return self.host == _here() and (
            not _is_there(self.pid) or bool(self.started and _started(self.pid) not in {"", self.started})
        )


def _here() -> str:
    """Return the host's name, and what tells machines of one name apart, and containers that count processes anew."""
    told = [_told(_MACHINE.read_text), _told(lambda: str((_PROC / "self" / "ns" / "pid").readlink()))]
    return f"{socket.gethostname()}/{hashlib.sha256(' '.join(told).encode()).hexdigest()[:8]}"


def _told(ask: Callable[[], str]) -> str:
    """Return what the system tells, nothing where it does not."""
    try:
        return ask()
    except OSError:
        return ""


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return not _has_ended(pid)


def _fields(pid: int) -> list[str]:
    """Return what Linux tells of a process after its command's name, which may hold spaces; nothing elsewhere."""
    return _told((_PROC / str(pid) / "stat").read_text).rpartition(")")[2].split()


def _has_ended(pid: int) -> bool:
    """Return whether nothing is left of a process but its number, until its parent asks how it ended."""
    return _fields(pid)[:1] in (["Z"], ["X"])


def _started(pid: int) -> str:
    """Return the boot and the tick at which a process started; nothing where the system does not tell."""
    fields, boot = _fields(pid), _told((_PROC / "sys" / "kernel" / "random" / "boot_id").read_text)
    return f"{boot.partition('-')[0]} {fields[_STARTED]}" if boot and len(fields) > _STARTED else ""

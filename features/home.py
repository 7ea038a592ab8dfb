"""The state folder: `var/` in the working directory, or the folder in SELLERSCORE_HOME; and who has access to it."""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

_PRIVATE: Final = (
    "bundles",
    "champion.json",
    "checkpoints",
    "demo-bank.netrc",
    "keys",
    "mlartifacts",
    "monitor",
    "operating",
    "reports",
    *(
        f"{name}.db{suffix}"
        for name in ("mlflow", "sellerscore", "vectors")
        for suffix in ("", "-journal", "-shm", "-wal")
    ),
)
"""What the commands write to the state folder. Other files in it, such as deliveries, belong to the user."""

_OTHERS: Final = 0o077
"""The permissions of the group and of all other users."""


def state_folder() -> Path:
    """Return the folder of all state, which may not exist yet.

    Example: with `SELLERSCORE_HOME=/srv/sellerscore`, `state_folder()` is `Path("/srv/sellerscore")`. An empty value
    selects the default.
    """
    return Path(os.environ.get("SELLERSCORE_HOME") or "var").absolute()


def keep_private(folder: Path) -> None:
    """Create all files of this process for its user only, and restrict existing ones in a state folder.

    Example: after `keep_private(Path("var"))`, `var/sellerscore.db` has the mode 0600 and `var/operating` 0700.
    """
    os.umask(_OTHERS)
    for path in _accessible(folder / name for name in _PRIVATE):
        # a file of another user, which that user must restrict
        with suppress(PermissionError):
            path.chmod(path.stat().st_mode & ~_OTHERS)


def _accessible(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield those of the paths to which others have access, and for a folder everything in it."""
    for path in paths:
        with suppress(OSError):
            if not path.is_symlink() and path.stat().st_mode & _OTHERS:
                yield path
                if path.is_dir():
                    yield from _accessible(path.iterdir())

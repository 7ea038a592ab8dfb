"""The state folder: `var/` in the working directory, or the folder in SELLERSCORE_HOME; and who has access to it."""

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from features.errors import StoreError

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


def state_folder() -> Path:
    """Return the folder of all state, which may not exist yet.

    Example: with `SELLERSCORE_HOME=/srv/sellerscore`, `state_folder()` is `Path("/srv/sellerscore")`. An empty value
    selects the default.
    """
    return Path(os.environ.get("SELLERSCORE_HOME") or "var").absolute()


def keep_private(folder: Path) -> None:
    """Create all files of this process for its user only, and restrict existing ones in a state folder.

    SELLERSCORE_UMASK changes which permissions are removed; the default is 077.

    Example: after `keep_private(Path("var"))`, `var/sellerscore.db` has the mode 0600 and `var/operating` 0700.

    Raises:
        StoreError: The value of SELLERSCORE_UMASK is not a mask.
    """
    text = os.environ.get("SELLERSCORE_UMASK") or "077"
    if not re.fullmatch("0?[0-7]{3}", text):
        raise StoreError(f"Invalid SELLERSCORE_UMASK '{text}'. Use three octal digits, such as 077 or 027.")
    mask = int(text, 8)
    os.umask(mask)
    for path in _accessible((folder / name for name in _PRIVATE), mask):
        # a file of another user, which that user must restrict
        with suppress(PermissionError):
            path.chmod(path.stat().st_mode & ~mask)


def _accessible(paths: Iterable[Path], mask: int) -> Iterator[Path]:
    """Yield those of the paths that have permissions in the mask, and for a folder everything in it."""
    for path in paths:
        with suppress(OSError):
            if not path.is_symlink() and path.stat().st_mode & mask:
                yield path
                if path.is_dir():
                    yield from _accessible(path.iterdir(), mask)

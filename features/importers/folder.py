"""A folder that is written whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from features.errors import DeliveryError


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """Yield a draft folder that takes the place of `out` at the end of the block, unless the block raises.

    Raises:
        DeliveryError: `out` holds files already, or cannot be written.
    """
    try:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise DeliveryError(f"{out} is not empty; name a new folder for the delivery")
        out.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
        try:
            yield draft
            draft.chmod(0o755)
            draft.replace(out)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise DeliveryError(f"{out} lies under a file; name a new folder for the delivery") from error
    except OSError as error:
        raise DeliveryError(
            f"{out} cannot be written: {error.strerror or error}; name a new folder where you may write"
        ) from error

"""The one state folder: `var/` beside the working directory, or where SELLERSCORE_HOME says."""

import os
from pathlib import Path


def state_folder() -> Path:
    """Return the folder that holds all state; it need not exist yet.

    Example: with `SELLERSCORE_HOME=/srv/sellerscore` set, `state_folder()` is `Path("/srv/sellerscore")`;
    an empty value means the default.
    """
    return Path(os.environ.get("SELLERSCORE_HOME") or "var").absolute()

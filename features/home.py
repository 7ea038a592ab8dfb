"""The state folder: `var/` in the working directory, or the folder in SELLERSCORE_HOME."""

import os
from pathlib import Path


def state_folder() -> Path:
    """Return the folder of all state, which may not exist yet.

    Example: with `SELLERSCORE_HOME=/srv/sellerscore`, `state_folder()` is `Path("/srv/sellerscore")`. An empty value
    selects the default.
    """
    return Path(os.environ.get("SELLERSCORE_HOME") or "var").absolute()

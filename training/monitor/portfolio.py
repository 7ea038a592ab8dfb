"""A file that `sellerscore score-portfolio` wrote, as scores that were given."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from scoring.assessment import SCALE_LIMIT
from scoring.explain import contributions
from scoring.points import to_points
from training.monitor.errors import MonitorError
from training.monitor.ledger import SCORED, SCORES

if TYPE_CHECKING:
    import pandas as pd

    from scoring import Bundle

_POINTS: Final = "points_"
_NEEDED: Final = ("seller_id", "outcome", "score", "probability_of_default", "base_points")


def read_portfolio(path: Path, bundle: Bundle, as_of: date | None, valid_days: int) -> pd.DataFrame:
    """Read a portfolio as a frame of `ledger.SCORES`.

    The file names neither its model nor its midnight. That the bundle made it is checked by its columns and its base
    points; the midnight is given, or stands in a column `as_of` that somebody added, so that the files of several
    months can be put together.

    Args:
        path: a .csv or .parquet file.
        bundle: what made it.
        as_of: the midnight of all rows, where the file has no column for it.
        valid_days: for how many days each score may be relied on.

    Raises:
        MonitorError: the file cannot be read, is no portfolio or another model's, or nobody says of which midnight.
    """
    import pandas as pd

    rows = _read(path)
    _require_columns(path, list(rows.columns), bundle)
    _require_base(path, rows["base_points"], bundle)
    return pd.DataFrame(
        {
            "score_id": [f"{path.name}:{line}" for line in range(2, len(rows) + 2)],
            "model": bundle.digest,
            "seller_id": rows["seller_id"].astype(str),
            "as_of": _midnights(path, rows, as_of),
            "scored_at": pd.Series(pd.NaT, index=rows.index, dtype="datetime64[us]"),
            "valid_days": float(valid_days),
            "outcome": rows["outcome"].astype(str),
            "score": _numbers(path, rows, "score"),
            "probability_of_default": _numbers(path, rows, "probability_of_default"),
            "values": None,
        },
        columns=list(SCORES),
    )


def _read(path: Path) -> pd.DataFrame:
    import pandas as pd
    import pyarrow as pa

    readers: dict[str, Callable[[Path], pd.DataFrame]] = {".csv": _read_csv, ".parquet": pd.read_parquet}
    if path.suffix not in readers:
        raise MonitorError(f"The portfolio {path.name} must end in one of {', '.join(readers)}.")
    try:
        return readers[path.suffix](path)
    except OSError as error:
        raise MonitorError(f"The portfolio {path} cannot be read ({error.strerror or error}).") from error
    except (ValueError, pa.ArrowException) as error:
        reason = str(error).strip().splitlines()[0]
        raise MonitorError(f"The portfolio {path.name} cannot be read as {path.suffix[1:]}: {reason}") from error


def _read_csv(path: Path) -> pd.DataFrame:
    import pandas as pd

    # an id such as 007 or NA is text
    return pd.read_csv(
        path,
        dtype={"seller_id": str, "outcome": str, "as_of": str},
        keep_default_na=False,
        na_values={name: [""] for name in ("score", "probability_of_default", "base_points")},
    )


def _require_columns(path: Path, columns: list[str], bundle: Bundle) -> None:
    lacking = [name for name in _NEEDED if name not in columns]
    if lacking:
        raise MonitorError(
            f"The file {path.name} lacks the columns {', '.join(lacking)}; give one that `sellerscore score-portfolio` "
            "wrote."
        )
    found = {name.removeprefix(_POINTS) for name in columns if name.startswith(_POINTS)}
    differing = sorted(found ^ {*(entry.name for entry in bundle.sheet.scored_entries), SCALE_LIMIT})
    if differing:
        raise MonitorError(
            f"The portfolio {path.name} is of another model than {bundle.digest[:19]}: {len(differing)} features are "
            f"not those of both, the first is {differing[0]}; name its model with --portfolio-model."
        )


def _require_base(path: Path, found: pd.Series, bundle: Bundle) -> None:
    """Refuse a file whose base points, of which each model has one number, are another's."""
    bases = set(found.dropna().unique().tolist())
    own = base_points(bundle)
    if bases - {own}:
        raise MonitorError(
            f"The portfolio {path.name} has the base points {', '.join(f'{each:g}' for each in sorted(bases))} and the "
            f"model {bundle.digest[:19]} has {own}; name the model that made it with --portfolio-model."
        )


def base_points(bundle: Bundle) -> int:
    """Return the base points of every score of a bundle."""
    any_row = np.full((1, len(bundle.sheet.names)), np.nan)
    explained = contributions(bundle.model, any_row)
    return to_points(explained, bundle.policy.calibration, bundle.policy.scale, bundle.sheet.scored).base


def _midnights(path: Path, rows: pd.DataFrame, as_of: date | None) -> pd.Series:
    import pandas as pd

    if "as_of" not in rows.columns:
        if as_of is None:
            raise MonitorError(
                f"The portfolio {path.name} does not say as of which midnight it is; give --as-of YYYY-MM-DD (what "
                "`sellerscore score` shows beside the seller), or add a column as_of."
            )
        return pd.Series(pd.Timestamp(as_of), index=rows.index, dtype="datetime64[us]")
    found = pd.to_datetime(rows["as_of"], format="ISO8601", errors="coerce").astype("datetime64[us]")
    broken = (found.isna() | (found != found.dt.normalize())).to_numpy()
    if broken.any():
        line = int(broken.argmax()) + 2
        raise MonitorError(f"The portfolio {path.name} needs a date (YYYY-MM-DD) for as_of; row {line} has none.")
    return found


def _numbers(path: Path, rows: pd.DataFrame, column: str) -> pd.Series:
    """Return a column of numbers that are there exactly where the outcome is `scored`."""
    import pandas as pd

    found = pd.to_numeric(rows[column], errors="coerce").astype(float)
    broken = (found.notna() != (rows["outcome"] == SCORED)).to_numpy()
    if broken.any():
        line = int(broken.argmax()) + 2
        raise MonitorError(
            f"The portfolio {path.name} needs a {column} where the outcome is {SCORED} and nowhere else; row {line} "
            "breaks this."
        )
    return found

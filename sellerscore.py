"""The public Python API, and the console command.

    import sellerscore

    features = sellerscore.frame()
    scores = sellerscore.load_bundle().score_frame(features)

The command mounts the commands of each package, and prints errors as one sentence with exit code 2. It also passes the
scores of the service to monitoring, because `training` must not import `api`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

import api.cli.main
import features.cli
import features.import_cli
import training.cli
import training.monitor.cli
from api.errors import ApiError, StartError
from features.errors import FeaturesError
from features.home import keep_private, state_folder
from scoring.errors import BundleError, ScoringError
from training.errors import TrainingError

if TYPE_CHECKING:
    import pandas as pd

    from scoring import Bundle
    from training.monitor.score_log import ScoreSource

__all__ = ["app", "frame", "load_bundle", "main"]

app = typer.Typer(
    help="A credit score for online sellers that adds up: from operating data to points, reasons and proof.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def frame(pairs: pd.DataFrame | None = None, *, home: str | Path | None = None) -> pd.DataFrame:
    """Return the features of (seller, midnight) pairs as a DataFrame with a column for each feature, NaN if missing.

    Example: `sellerscore.frame()` has a row for each seller as of the latest midnight, such as
    `("S-000001", 2026-01-01)`, and `sellerscore.frame(pairs)` a row for each row of `pairs`, in the same order.

    Args:
        pairs: columns `seller_id` and `as_of` (dates, timestamps at midnight or ISO dates); by default every seller as
            of the latest midnight that is covered for the seller.
        home: the state folder; by default SELLERSCORE_HOME, else `var`.

    Returns:
        A frame of float64 columns in catalogue order, indexed by (seller_id, as_of).

    Raises:
        CatalogueError: the pairs lack a column or a value, or an `as_of` is not a midnight in UTC.
        StoreError: no data were ingested, or the store does not cover a date or has no such seller as of a date.
    """
    from features.ingest import open_store
    from features.pipeline import frame as compute
    from features.pipeline import latest_sellers

    store = open_store(_home(home) / "operating")
    return compute(store, latest_sellers(store) if pairs is None else pairs)


def load_bundle(version: str | int = "champion", *, home: str | Path | None = None) -> Bundle:
    """Return the bundle of a model version, for `Bundle.score_frame` and `Bundle.explain_frame`.

    Example: `sellerscore.load_bundle().score_frame(sellerscore.frame())["score"]` has 612.0 for a seller with that
    score.

    Args:
        version: a number, such as 3, or an alias; by default the champion.
        home: the state folder; by default SELLERSCORE_HOME, else `var`. MLFLOW_TRACKING_URI replaces its registry.

    Raises:
        RegistryError: there is no such version, or the registry cannot be reached.
        BundleError: the files of the bundle do not verify.
    """
    from training import registry

    versions = registry.Registry.in_folder(_home(home))
    return registry.load_bundle(versions, registry.find_version(versions, version))


def _home(folder: str | Path | None) -> Path:
    return state_folder() if folder is None else Path(folder).absolute()


def _score_source() -> ScoreSource:
    """Return the scores and bundles of the service for monitoring."""
    from api.models.bundle_store import load_bundle
    from api.models.registry import load_champion
    from api.scores.export import export_scores, export_shadow_scores
    from api.settings import load_settings
    from training.monitor.score_log import SCORES, SHADOW, ScoreSource

    settings = load_settings()

    def bundle_by_digest(digest: str) -> Bundle | None:
        try:
            return load_bundle(settings, digest)
        except (StartError, BundleError):
            return None

    def champion() -> Bundle | None:
        try:
            return load_champion(settings).bundle
        except StartError:
            return None

    return ScoreSource(
        scores=lambda: _frame(export_scores(settings), list(SCORES)),
        shadow=lambda: _frame(export_shadow_scores(settings), list(SHADOW)),
        bundle=bundle_by_digest,
        champion=champion,
    )


def _frame(rows: Iterable[object], columns: list[str]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame((vars(row) for row in rows), columns=columns)


for commands in (
    training.cli.app,
    training.monitor.cli.monitor_app(_score_source),
    features.cli.app,
    features.import_cli.app,
    api.cli.main.app,
):
    app.add_typer(commands)


def main() -> None:
    """Run the command line; print expected errors as one sentence on standard error, without a traceback."""
    try:
        keep_private(state_folder())
        app()
    except (FeaturesError, ScoringError, TrainingError, ApiError) as error:
        print(f"sellerscore: {error}", file=sys.stderr)  # noqa: T201 - the only place that prints errors
        sys.exit(2)
    except OSError as error:
        # for example a read-only folder or a full disk: the user can fix it
        print(f"sellerscore: {error.strerror or error}: {error.filename or 'no file name'}", file=sys.stderr)  # noqa: T201
        sys.exit(2)


if __name__ == "__main__":
    main()

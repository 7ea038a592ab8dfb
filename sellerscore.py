"""The console command: mounts the commands of each package, and prints errors as one sentence with exit code 2.

It also passes the scores of the service to monitoring, because `training` must not import `api`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
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

app = typer.Typer(
    help="A credit score for online sellers that adds up: from operating data to points, reasons and proof.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


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

"""The console command: mounts each package's commands, and turns what they refuse into one sentence and exit code 2."""

import sys

import typer

import api.cli
import features.cli
import training.cli
from api.errors import ApiError
from features.errors import FeaturesError
from scoring.errors import ScoringError
from training.errors import TrainingError

app = typer.Typer(
    help="A credit score for online sellers that adds up: from operating data to points, reasons and proof.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for package in (training.cli, features.cli, api.cli):
    app.add_typer(package.app)


def main() -> None:
    """Run the command line; what our packages refuse is a plain sentence on standard error, never a traceback."""
    try:
        app()
    except (FeaturesError, ScoringError, TrainingError, ApiError) as error:
        print(f"sellerscore: {error}", file=sys.stderr)  # noqa: T201 - the one place that speaks for the whole command
        sys.exit(2)
    except OSError as error:
        # a folder that may not be written, a full disk: the reader's to mend, not a defect of ours
        print(f"sellerscore: {error.strerror or error}: {error.filename or 'no file named'}", file=sys.stderr)  # noqa: T201
        sys.exit(2)


if __name__ == "__main__":
    main()

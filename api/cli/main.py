"""The commands `serve`, `score` and `score-portfolio`, and the mounting of the other API commands.

Heavy libraries are imported inside the commands. `sellerscore.py` prints errors as one sentence.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.auth.scopes import ClientKind
from api.cli.auth import commands_of, keys_app, link
from api.cli.ledger import ledger_app, receipts_app
from api.cli.output import OutputOption, print_result, track_progress
from features.output import Output, print_json

if TYPE_CHECKING:
    from api.cli.preview import ScorePreview
    from features.store.vectors import VectorBlock
    from scoring import Bundle

app = typer.Typer(no_args_is_help=True, add_completion=False)

app.add_typer(receipts_app)
app.add_typer(ledger_app, name="ledger")
app.add_typer(keys_app, name="keys")
for _kind in ClientKind:
    _commands = commands_of(_kind)
    if _kind is ClientKind.OPERATOR:
        _commands.command("link")(link)
    app.add_typer(_commands, name=str(_kind))


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; default 127.0.0.1.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; default 8000; 0 for any free port.")] = None,
    workers: Annotated[
        int | None,
        typer.Option(help="Number of processes that serve; default 1. Several need PostgreSQL to be faster."),
    ] = None,
    demo: Annotated[
        bool,
        typer.Option("--demo", help="Create a demo bank, its products and a seller's consent."),
    ] = False,
) -> None:
    """Serve the HTTP API with the champion model, and print a curl command that scores a seller.

    If banks reach the service at another address, set SELLERSCORE_PUBLIC_URL to it; tokens and assertions contain it.

    Example: sellerscore serve --port 8000
    Example: sellerscore serve --workers 4
    Example: sellerscore serve --demo
    """
    from api.server import run
    from api.settings import load_settings

    run(load_settings(host=host, port=port, workers=workers, demo_bank=demo or None), typer.echo)


@app.command()
def score(
    seller_id: Annotated[
        str | None,
        typer.Argument(help="ID of a seller in the latest feature snapshot; default: the first with a score."),
    ] = None,
    to_band: Annotated[
        str | None, typer.Option("--to-band", help="Target band of the advice; default: the next better one.")
    ] = None,
    svg: Annotated[Path | None, typer.Option(help="Also write the waterfall chart to this SVG file.")] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Print the score of one seller with reasons, changes since the previous snapshot, and advice.

    For internal use: the score is not signed and not stored.

    Example: sellerscore score S-000005
    Example: sellerscore score S-000005 --to-band A --svg waterfall.svg
    """
    from rich.console import Console

    from api.cli.preview import NOTICE, preview_score, render_preview
    from api.kit.fields import utc_now
    from api.settings import load_settings

    preview = preview_score(load_settings(), seller_id, utc_now().date(), to_band)
    if svg is not None:
        _write_svg(svg, preview)
    if output is Output.JSON:
        print_json({**preview.to_dict(), "notice": NOTICE})
    else:
        Console().print(render_preview(preview))


@app.command("score-portfolio")
def score_portfolio(
    out: Annotated[Path, typer.Option(help="Output file: .csv or .parquet.")],
    output: OutputOption = Output.TABLE,
) -> None:
    """Score every seller of the latest snapshot and write the scores to a file.

    For internal use: the scores are not signed and not stored.

    Example: sellerscore score-portfolio --out portfolio.csv
    """
    from api.cli.preview import NOTICE
    from api.kit.fields import utc_now
    from api.scores.portfolio import require_writable, write_portfolio

    require_writable(out)
    bundle, blocks = _champion_and_vectors()
    with track_progress("Scoring sellers") as advance:
        report = write_portfolio(bundle, blocks, utc_now().date(), out, advance)
    lines = [
        *(f"{outcome:<22}{count:>9,}" for outcome, count in report.outcomes.items()),
        f"{'all':<22}{report.sellers:>9,}  in {out}",
        *_ends_of_data(report.sellers_by_as_of),
        f"Points sum to the score in {report.summing:,} of {report.scored:,} scored rows.",
        NOTICE,
    ]
    print_result(output, {"notice": NOTICE, "out": str(out), **asdict(report)}, lines)


def _ends_of_data(sellers_by_day: Mapping[str, int]) -> Iterator[str]:
    """Yield the day on which the data of sellers end, and how many end earlier."""
    if sellers_by_day:
        (latest, _), *earlier = sellers_by_day.items()
        count = sum(sellers for _, sellers in earlier)
        yield f"Data through {latest}. Sellers whose data end earlier: {count:,} (column as_of)."


def _write_svg(path: Path, preview: ScorePreview) -> None:
    from api.errors import OutputError
    from api.web.waterfall import waterfall_svg

    try:
        path.write_text(waterfall_svg(preview.seller_id, preview.assessment, alone=True), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"The chart cannot be written to {path} ({error.strerror}). Use another file.") from error


def _champion_and_vectors() -> tuple[Bundle, Iterator[VectorBlock]]:
    from api.models.registry import load_champion
    from api.settings import load_settings
    from features.store.vectors import VectorStore

    settings = load_settings()
    vectors = VectorStore(settings.vectors_path)
    vectors.newest()  # fails before the model is fetched
    return load_champion(settings).bundle, vectors.latest_blocks()

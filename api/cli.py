"""The commands that read the registered model: `serve`, `score` and `score-portfolio`; other rooms' are mounted.

Heavy libraries are imported inside the commands. Errors are raised; `sellerscore.py` turns them into one sentence.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import api.keys.cli
import api.ledger.cli
import api.receipts.cli
from api.access.cli import commands_of
from api.access.rights import Kind
from api.seller_sessions.cli import link

if TYPE_CHECKING:
    from api.looked import Looked
    from features.store.vectors import StoredVector
    from scoring import Bundle

app = typer.Typer(no_args_is_help=True, add_completion=False)

app.add_typer(api.receipts.cli.app)
app.add_typer(api.ledger.cli.app, name="ledger")
app.add_typer(api.keys.cli.app, name="keys")
for _kind in Kind:
    _commands = commands_of(_kind)
    if _kind is Kind.OPERATOR:
        _commands.command("link")(link)
    app.add_typer(_commands, name=str(_kind))

_AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a program.")]


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; 127.0.0.1 unless set.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 8000 unless set, 0 for any free one.")] = None,
    demo: Annotated[
        bool,
        typer.Option("--demo", help="Make a bank, its products and a seller's consent to try with."),
    ] = False,
) -> None:
    """Serve the HTTP API with the champion model, and print a curl that scores a seller.

    Where banks reach it at another address, set SELLERSCORE_PUBLIC_URL to that: tokens and signed assertions name it.

    Example: sellerscore serve --port 8000
    Example: sellerscore serve --demo
    """
    from api.server import run
    from api.settings import load_settings

    run(load_settings(host=host, port=port, demo_bank=demo or None), typer.echo)


@app.command()
def score(
    seller_id: Annotated[
        str | None, typer.Argument(help="A seller of the latest feature snapshot; the first that has a score if none.")
    ] = None,
    to_band: Annotated[
        str | None, typer.Option("--to-band", help="The band that advice aims at; the next better one if none.")
    ] = None,
    svg: Annotated[Path | None, typer.Option(help="Write the waterfall as SVG into this file too.")] = None,
    as_json: _AsJson = False,
) -> None:
    """Print one seller's score, why it is what it is, what changed since the snapshot before, and what would help.

    Internal and unsigned: nothing is stored.

    Example: sellerscore score S-000005
    Example: sellerscore score S-000005 --to-band A --svg waterfall.svg
    """
    from rich.console import Console

    from api.looked import look
    from api.moments import utc_now
    from api.pictures.terminal import NOTICE, shown
    from api.settings import load_settings

    looked = look(load_settings(), seller_id, utc_now().date(), to_band)
    if svg is not None:
        _write_svg(svg, looked)
    if as_json:
        _print_json({**looked.to_dict(), "notice": NOTICE})
    else:
        Console().print(shown(looked))


@app.command("score-portfolio")
def score_portfolio(
    out: Annotated[Path, typer.Option(help="File to write: .csv or .parquet.")],
    as_json: _AsJson = False,
) -> None:
    """Score every seller of the latest snapshot into a file. Internal and unsigned: nothing is stored.

    Example: sellerscore score-portfolio --out portfolio.csv
    """
    from api.moments import utc_now
    from api.pictures.terminal import NOTICE
    from api.portfolio import require_writable, write_portfolio
    from api.progress import counting

    require_writable(out)
    bundle, stored = _champion_and_vectors()
    with counting("Scoring sellers") as advance:
        report = write_portfolio(bundle, stored, utc_now().date(), out, advance)
    if as_json:
        _print_json({"notice": NOTICE, "out": str(out), **asdict(report)})
        return
    for outcome, count in report.outcomes.items():
        typer.echo(f"{outcome:<22}{count:>9,}")
    typer.echo(f"{'all':<22}{report.sellers:>9,}  in {out}")
    typer.echo(f"Points sum to the score in {report.summing:,} of {report.scored:,} scored rows.")
    typer.echo(NOTICE)


def _write_svg(path: Path, looked: Looked) -> None:
    from api.errors import OutputError
    from api.pictures.svg import waterfall_svg

    try:
        path.write_text(waterfall_svg(looked.seller_id, looked.assessment, alone=True), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"The picture cannot be written to {path} ({error.strerror}); name another file.") from error


def _champion_and_vectors() -> tuple[Bundle, Iterator[StoredVector]]:
    from api.model_store import load_champion
    from api.settings import load_settings
    from features.store.vectors import VectorStore

    settings = load_settings()
    vectors = VectorStore(settings.vectors_path)
    next(vectors.all_latest(), None)  # refused before the model is fetched
    return load_champion(settings).bundle, vectors.all_latest()


def _print_json(value: object) -> None:
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))

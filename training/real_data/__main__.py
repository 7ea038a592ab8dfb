"""Run the studies; write docs/real-data.md, and real-data.json in the state folder."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

from features.errors import FeaturesError
from features.home import state_folder
from training.console import show_steps
from training.errors import TrainingError
from training.real_data import credit, firms, koubei, koubei_page


def main() -> None:
    """Run all studies on the data folder, `SELLERSCORE_SHARED_DATA` or by default `../shared/data`."""
    from rich.console import Console

    source = Path(os.environ.get("SELLERSCORE_SHARED_DATA", "../shared/data"))
    if not source.is_dir():
        sys.exit(f"There is no data folder at {source}. Set SELLERSCORE_SHARED_DATA to its path.")
    home = state_folder() / "real-data"
    shutil.rmtree(home, ignore_errors=True)
    try:
        with show_steps("Starting") as step:
            firm_results = firms.study(source / "sme-invoices", home, step)
            merchant_results = koubei.study(source / "koubei", home / "koubei", step)
            table_results = credit.study(source / "tabular", step)
    except (FeaturesError, TrainingError) as error:
        sys.exit(f"real-data: {error}")
    figures = firms.figures(firm_results) | koubei.figures(merchant_results) | credit.figures(table_results)
    (state_folder() / "real-data.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    pages = (koubei_page.page(merchant_results), firms.page(firm_results), credit.page(table_results))
    Path("docs/real-data.md").write_text("# Results on real data\n\n" + "\n".join(pages), encoding="utf-8")
    Console().print_json(data=figures)


if __name__ == "__main__":
    main()

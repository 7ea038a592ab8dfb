"""Run the studies and write docs/real-data.md, and real-data.json in the state folder."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

from features.errors import FeaturesError
from features.home import state_folder
from training.errors import TrainingError
from training.real_data import credit, credit_page, firms, firms_page, koubei, koubei_page
from training.steps import shown_steps


def main() -> None:
    """Study what lies in the data folder, `../shared/data` or where SELLERSCORE_SHARED_DATA says."""
    from rich.console import Console

    source = Path(os.environ.get("SELLERSCORE_SHARED_DATA", "../shared/data"))
    if not source.is_dir():
        sys.exit(f"There are no data at {source}; name their folder with SELLERSCORE_SHARED_DATA.")
    home = state_folder() / "real-data"
    shutil.rmtree(home, ignore_errors=True)
    try:
        with shown_steps("Starting") as step:
            found = firms.study(source / "sme-invoices", home, step)
            merchants = koubei.study(source / "koubei", home / "koubei", step)
            judged = credit.study(source / "tabular", step)
    except (FeaturesError, TrainingError) as error:
        sys.exit(f"real-data: {error}")
    figures = firms.figures(found) | koubei.figures(merchants) | credit.figures(judged)
    (state_folder() / "real-data.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    pages = (koubei_page.page(merchants), firms_page.page(found), credit_page.page(judged))
    Path("docs/real-data.md").write_text("# On real data\n\n" + "\n".join(pages), encoding="utf-8")
    Console().print_json(data=figures)


if __name__ == "__main__":
    main()

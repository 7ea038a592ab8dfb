"""The report: one page of HTML with everything in it, no script, no network, light and dark, narrow and wide."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from training.evidence.card_blocks import of_frame
from training.monitor.charts import charts

if TYPE_CHECKING:
    from jinja2 import Environment

    from training.monitor.config import MonitorConfig
    from training.monitor.watch import Monitoring


def render(found: Monitoring, config: MonitorConfig) -> str:
    """Return the page; what came with the data is escaped.

    Example: `Path("monitor.html").write_text(render(monitor(given, config), config))`.
    """
    return (
        _environment()
        .get_template("report.html")
        .render(found=found, config=config, charts=lambda finding: list(charts(finding, config)), of_frame=of_frame)
    )


@cache
def _environment() -> Environment:
    import jinja2

    return jinja2.Environment(
        loader=jinja2.PackageLoader("training.monitor", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )

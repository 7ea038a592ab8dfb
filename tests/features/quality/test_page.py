"""The quality page is self-contained, escapes all names, hides personal data, and shows the numbers of the analysis."""

import json
import re
from dataclasses import replace
from datetime import datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest
from typer.testing import CliRunner

import features.cli
from features.errors import StoreError
from features.ingest import IngestReport, ingest, open_store, read_report
from features.quality import write_page
from features.quality.analysis import Quality, analyse_delivery
from features.quality.coverage import Days
from features.quality.findings import findings
from features.quality.page import WIDTH, Axis, axis, bar, render, strip
from tests.features.ingest import damage
from tests.features.ingest.build import AT, order, seller, store, write_some
from tests.features.quality.deliveries import BUYER, HOSTILE, START, Deliveries

pytestmark = pytest.mark.slow

VOID = {"meta"}


class Reader(HTMLParser):
    """Parse a page into tags, attributes and words; each tag must be closed."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="session")
def pages(first: Quality, second: Quality) -> tuple[str, str]:
    return render(first), render(second)


@pytest.mark.parametrize("number", [0, 1])
def test_the_page_is_self_contained_and_escapes_values_and_hides_buyers(number: int, pages: tuple[str, str]) -> None:
    page = pages[number]
    reader = Reader(page)
    assert not re.search(r"https?://|url\(|@import|javascript:", page)
    assert not {"script", "link", "img", "iframe", "object", "form"} & {tag for tag, _ in reader.tags}
    names = {name for _, attributes in reader.tags for name in attributes}
    assert not {name for name in names if name.startswith("on")}
    assert not {"src", "srcset", "style"} & names
    targets = {f"#{attributes.get('id')}" for _, attributes in reader.tags}
    assert {attributes["href"] for tag, attributes in reader.tags if tag == "a"} <= targets
    charts = [attributes for tag, attributes in reader.tags if tag == "svg"]
    assert charts
    assert all("aria-label" in chart or chart.get("aria-hidden") == "true" for chart in charts)
    assert any((attributes.get("content") or "").startswith("default-src 'none'") for _, attributes in reader.tags)
    assert "<script" not in page.casefold()
    assert "alert('x')<" not in page
    assert BUYER not in page
    if number == 0:
        assert "hidden" in page
        assert HOSTILE in reader.text, "the name is shown unchanged, as text"


def test_the_first_page_has_counts_and_findings_but_no_drift(pages: tuple[str, str], deliveries: Deliveries) -> None:
    text = Reader(pages[0]).text
    assert "This is the first delivery, so there is nothing to compare with." in text
    orders = deliveries.reports[0].table("orders")
    assert f"quarantined: 45 {orders.read:,} {orders.accepted:,} 7 45 2.9%" in text
    assert "orders: no rows on 2 days: 2024-01-21 to 2024-01-22." in text
    assert "orders: far fewer rows than in the weeks before on 1 day: 2024-02-03." in text
    assert "refunds: never delivered, so this is missing: sales after refunds" in text
    assert "channel_not_allowed 15 rows" in text


def test_erased_rows_have_a_status_of_their_own(first: Quality, pages: tuple[str, str]) -> None:
    assert "its seller was erased" not in Reader(pages[0]).text, "not shown without erased rows"
    assert 'class="erased"' not in pages[0]
    one, *others = first.tables
    gone = replace(one.report, read=one.report.read + 1_234, erased=1_234)
    page = render(replace(first, tables=(replace(one, report=gone), *others)))
    reader = Reader(page)
    labels = [name for _, attributes in reader.tags if (name := attributes.get("data-is")) is not None]
    assert labels.count("erased") == labels.count("quarantined") == len(first.tables)
    assert f"{gone.rejected:,} 1,234 " in reader.text
    assert "or erased, since its seller was erased. The counts add up" in reader.text
    rectangles = [
        attributes for tag, attributes in reader.tags if tag == "rect" and attributes.get("class") == "erased"
    ]
    assert len(rectangles) == 2, "in the legend and in the table"


def test_the_second_page_shows_drift_and_rejected_tables(pages: tuple[str, str]) -> None:
    text = Reader(pages[1]).text
    assert "traffic: rejected as a whole. traffic.parquet lacks day, channel" in text
    assert "orders: channel has drifted (PSI " in text
    assert "orders: amount, US dollars has drifted" in text
    assert re.search(r"channel [\d.]+ [\d.]+ to [\d.]+ act all others: \d+\.\d%, before 0%", text)


def test_a_delivery_without_quarantined_rows_and_one_that_is_not_in_the_store(base_store: Path, tmp_path: Path) -> None:
    held = open_store(base_store)
    report = read_report(base_store, held.deliveries[0].delivery_id)
    text = Reader(write_page(held, report, "d", tmp_path / "deep" / "page.html").read_text()).text
    assert "traffic: never delivered" in text
    assert "No row is quarantined." in text
    with pytest.raises(StoreError, match="does not have the delivery 0000"):
        write_page(held, IngestReport("0" * 64, (), {}), "d", tmp_path / "page.html")
    assert not list(tmp_path.glob("*.html"))


def test_a_bar_is_split_by_counts_and_hides_none() -> None:
    parts = [(part.kind, part.x, part.width) for part in bar({"a": 3, "b": 0, "c": 1})]
    assert parts == [("a", 0, 750), ("c", 750, 250)]
    thin = bar({"a": 10**7, "b": 1})
    assert thin[1].width > 5
    assert sum(part.width for part in thin) == pytest.approx(WIDTH, abs=0.2)
    assert bar({"a": 0}) == ()


def test_a_strip_shows_gaps_and_counts_rows_off_the_axis() -> None:
    day = START.date()
    days = {day.replace(day=number): 100 for number in range(1, 11) if number != 4}
    on = axis([days])
    assert on == Axis(Days(min(days), max(days)), 1)
    assert on is not None
    gap = day.replace(day=4)
    rectangles = strip({**days, day.replace(year=1999): 2}, [Days(gap, gap)], None, on)
    assert rectangles.gaps == "M300.0 0h100.0v10h-100.0z"
    assert rectangles.levels == ("", "", "", "", "M0.0 0h300.0v10h-300.0zM400.0 0h600.0v10h-600.0z")
    assert rectangles.beyond == 2
    # a long axis is in weeks and ignores outliers
    years = {day + timedelta(days=number): 1000 for number in range(1000)}
    long = axis([years, {day.replace(year=1995): 1, **years}])
    assert long is not None
    assert (long.span.first, long.step) == (day, 7)
    assert axis([{}]) is None


@pytest.fixture
def home(base_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_vectors: None) -> Path:  # noqa: ARG001
    """A state folder with a store; vectors are not computed."""
    monkeypatch.setenv("SELLERSCORE_HOME", str(tmp_path / "h"))
    (tmp_path / "h").mkdir()
    base_store.rename(tmp_path / "h" / "operating")
    return tmp_path / "h"


def _run(*arguments: str | Path) -> tuple[int, str, str]:
    result = CliRunner().invoke(features.cli.app, ["ingest", *map(str, arguments)])
    return result.exit_code, result.stdout, result.stderr


def test_the_command_writes_the_page_and_prints_its_path(home: Path, tmp_path: Path) -> None:
    delivery = write_some(tmp_path / "monday", stores=[store("T2"), store("T3", seller_id="S9")])
    code, out, _ = _run(delivery, "--report")
    (page,) = (home / "reports").iterdir()
    stored = open_store(home / "operating").deliveries[-1]
    assert (code, page.name) == (0, f"{stored.delivery_id[:12]}.html")
    assert f"Data quality: {page}" in out.splitlines()
    assert "Delivery “monday”" in page.read_text()
    named = tmp_path / "elsewhere" / "page.html"
    code, out, errors = _run(delivery, "--report-file", named, "--output", "json")
    assert (code, json.loads(out)["already_ingested"]) == (0, True)
    assert f"Data quality: {named}" in errors
    assert named.read_text() == page.read_text(), "the page is reproducible"


@pytest.mark.soak
def test_a_repeated_delivery_has_a_page_of_its_own(home: Path, tmp_path: Path) -> None:
    waiting = write_some(tmp_path / "w", stores=[store("T2"), store("T3", seller_id="S9")])
    _run(waiting, "--report")
    _run(write_some(tmp_path / "r", sellers=[seller("S9")]))
    code, _, _ = _run(waiting, "--report")
    names = sorted(page.name for page in (home / "reports").iterdir())
    assert code == 0
    assert len(names) == 2
    assert names[0].removesuffix("-2.html") == names[1].removesuffix(".html")


def test_a_delivery_with_a_rejected_table_has_a_page(home: Path, tmp_path: Path) -> None:
    delivery = write_some(tmp_path / "delivery", stores=[store("T2")], orders=[order()])
    damage.truncate(delivery)
    code, _, errors = _run(delivery, "--report")
    assert code == 2
    assert errors.strip().splitlines()[-1].startswith("sellerscore: orders.parquet cannot be read as parquet")
    (page,) = (home / "reports").iterdir()
    assert "orders: rejected as a whole. orders.parquet cannot be read as parquet" in Reader(page.read_text()).text


def test_the_first_rows_of_one_shop_are_not_late_because_another_shop_is_complete(
    base_store: Path, tmp_path: Path
) -> None:
    listed: dict[str, object] = {"covers_stores": "listed", "covers_through": {"stores": "2024-03-10"}}
    ingest(write_some(tmp_path / "a", listed, stores=[store("T2")]), base_store)
    report = ingest(write_some(tmp_path / "b", listed, stores=[store("T3", known_at=AT)]), base_store)
    quality = analyse_delivery(open_store(base_store), report, "b")
    assert not any("at or before" in finding.text for finding in findings(quality))
    assert quality.by_store


def test_backdated_rows_and_a_delivery_without_accepted_rows(base_store: Path, tmp_path: Path) -> None:
    terms: dict[str, object] = {"covers_through": {"stores": "2024-03-10"}}
    ingest(write_some(tmp_path / "a", terms, stores=[store("T2")]), base_store)
    later = write_some(tmp_path / "b", stores=[store("T3"), store("T4", known_at=datetime(2024, 3, 12))])  # noqa: DTZ001
    report = ingest(later, base_store)
    lines = [finding.text for finding in findings(analyse_delivery(open_store(base_store), report, "b"))]
    assert any(line.startswith("stores: 1 row with known_at at or before 2024-03-10") for line in lines)
    report = ingest(write_some(tmp_path / "d", stores=[store(), store("T9", seller_id="S9")]), base_store)
    text = Reader(write_page(open_store(base_store), report, "d", tmp_path / "page.html").read_text()).text
    assert "stores duplicate: 1 quarantined: 1 2 0 1 1 50.0%" in text
    assert "No table with accepted rows was delivered before" in text

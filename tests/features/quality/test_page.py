"""The page stands alone, tells no secret, believes no name, and says what the numbers say."""

import json
import re
from dataclasses import replace
from datetime import datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest
from typer.testing import CliRunner

import features.cli
from features.errors import StoreError
from features.ingest import IngestReport, ingest, open_store
from features.quality import write_page
from features.quality.analysis import Quality, analyse_delivery
from features.quality.coverage import Days
from features.quality.findings import findings
from features.quality.page import WIDTH, Axis, axis, bar, render, strip
from tests.features.ingest.build import seller, store, write_some
from tests.features.quality.made import BUYER, DAYS, HOSTILE, START, Made, spoilt

pytestmark = pytest.mark.slow

VOID = {"meta"}


class Reader(HTMLParser):
    """Reads a page, expects each tag to be closed, and keeps tags, attributes and words."""

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


@pytest.mark.parametrize("place", [0, 1])
def test_the_page_stands_alone_and_is_well_formed(place: int, pages: tuple[str, str]) -> None:
    page = pages[place]
    reader = Reader(page)
    assert not re.search(r"https?://|url\(|@import|javascript:", page)
    assert not {"script", "link", "img", "iframe", "object", "form"} & {tag for tag, _ in reader.tags}
    names = {name for _, attributes in reader.tags for name in attributes}
    assert not {name for name in names if name.startswith("on")}
    assert not {"src", "srcset", "style"} & names
    assert all(attributes["href"].startswith("#") for tag, attributes in reader.tags if tag == "a")  # type: ignore[union-attr]
    targets = {attributes.get("id") for _, attributes in reader.tags}
    assert all(attributes["href"][1:] in targets for tag, attributes in reader.tags if tag == "a")  # type: ignore[index]
    charts = [attributes for tag, attributes in reader.tags if tag == "svg"]
    assert charts
    assert all("aria-label" in each or each.get("aria-hidden") == "true" for each in charts)
    assert any(attributes.get("content", "").startswith("default-src 'none'") for _, attributes in reader.tags)  # type: ignore[union-attr]


@pytest.mark.parametrize("place", [0, 1])
def test_what_came_with_the_delivery_is_text_and_nothing_else(place: int, pages: tuple[str, str]) -> None:
    page = pages[place]
    assert "<script" not in page.casefold()
    assert "alert('x')<" not in page
    reader = Reader(page)
    title = HOSTILE.replace("/", "_") if place else "delivery 0"
    assert place == 1 or title in reader.text
    if place == 0:
        assert HOSTILE in reader.text, "a marketplace's name is shown as it came, as text"


@pytest.mark.parametrize("place", [0, 1])
def test_no_buyer_is_named(place: int, pages: tuple[str, str]) -> None:
    assert BUYER not in pages[place]
    assert "hidden" in pages[0]


def test_the_first_page_says_what_it_cannot_compare_and_counts_in_words(pages: tuple[str, str], made: Made) -> None:
    text = Reader(pages[0]).text
    assert "This is the first delivery: there is nothing to compare with." in text
    orders = made.reports[0].table("orders")
    assert f"quarantined: 45 {orders.read:,} {orders.accepted:,} 7 45 2.9%" in text
    assert "orders: no row on 2 days: 2024-01-21 to 2024-01-22." in text
    assert "orders: far fewer rows than in the weeks before on 1 day: 2024-02-03." in text
    assert "refunds: never came, so this is unknown: sales after refunds" in text
    assert "channel_not_allowed 15 rows" in text


def test_rows_of_erased_sellers_are_a_fate_of_their_own(first: Quality, pages: tuple[str, str]) -> None:
    assert "its seller was erased" not in Reader(pages[0]).text, "who has none is not told of it"
    assert 'class="erased"' not in pages[0]
    one, *others = first.tables
    gone = replace(one.fates, read=one.fates.read + 1_234, erased=1_234)
    page = render(replace(first, tables=(replace(one, fates=gone), *others)))
    reader = Reader(page)
    fates = [name for _, attributes in reader.tags if (name := attributes.get("data-is")) is not None]
    assert fates.count("erased") == fates.count("quarantined") == len(first.tables)
    assert f"{gone.rejected:,} 1,234 " in reader.text
    assert "erased: its seller was erased, and nothing of it is kept. They add up" in reader.text
    drawn = [attributes for tag, attributes in reader.tags if tag == "rect" and attributes.get("class") == "erased"]
    assert len(drawn) == 2, "the legend's and the table's"


def test_the_second_page_says_what_moved_and_what_was_set_aside(pages: tuple[str, str]) -> None:
    text = Reader(pages[1]).text
    assert "traffic: set aside as a whole. traffic.parquet lacks day, channel" in text
    assert "orders: channel differs from before (PSI " in text
    assert "orders: amount, US dollars differs from before" in text
    assert re.search(r"channel [\d.]+ [\d.]+ to [\d.]+ act all others: \d+\.\d%, before 0%", text)


def test_a_delivery_without_fault_says_so(begun: Path, tmp_path: Path) -> None:
    held = open_store(begun)
    report = held.report(held.deliveries[0].delivery_id)
    page = write_page(held, report, "d", tmp_path / "deep" / "page.html").read_text()
    text = Reader(page).text
    assert "traffic: never came" in text
    assert "quarantine No row is." in text


def test_a_delivery_that_the_store_lacks_has_no_page(begun: Path, tmp_path: Path) -> None:
    lost = IngestReport("0" * 64, (), {})
    with pytest.raises(StoreError, match="does not hold the delivery 0000"):
        write_page(open_store(begun), lost, "d", tmp_path / "page.html")
    assert not list(tmp_path.glob("*.html"))


def test_a_bar_is_as_wide_as_its_counts_and_hides_none() -> None:
    assert [(part.kind, part.x, part.width) for part in bar({"a": 3, "b": 0, "c": 1})] == [
        ("a", 0, 750),
        ("c", 750, 250),
    ]
    thin = bar({"a": 10**7, "b": 1})
    assert thin[1].width > 5
    assert sum(part.width for part in thin) == pytest.approx(WIDTH, abs=0.2)
    assert bar({"a": 0}) == ()


def test_a_strip_shows_gaps_and_counts_what_lies_off_it() -> None:
    days = {START.date().replace(day=day): 100 for day in range(1, 11) if day != 4}
    on = axis([days])
    assert on == Axis(Days(min(days), max(days)), 1)
    assert on is not None
    gap = START.date().replace(day=4)
    drawn = strip({**days, START.date().replace(year=1999): 2}, [Days(gap, gap)], None, on)
    assert drawn.gaps == "M300.0 0h100.0v10h-100.0z"
    assert drawn.levels == ("", "", "", "", "M0.0 0h300.0v10h-300.0zM400.0 0h600.0v10h-600.0z")
    assert drawn.beyond == 2


def test_an_axis_of_years_is_in_whole_weeks_and_not_stretched_by_a_few_rows() -> None:
    day = START.date()
    years = {day.fromordinal(day.toordinal() + n): 1000 for n in range(1000)}
    long = axis([years, {day.replace(year=1995): 1, **years}])
    assert long is not None
    assert (long.span.first, long.step) == (day, 7)
    assert axis([{}]) is None


@pytest.fixture
def home(begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder with the begun store; vectors are not computed."""
    monkeypatch.setenv("SELLERSCORE_HOME", str(tmp_path / "h"))
    monkeypatch.setattr("features.cli._land", lambda **_: None)  # `test_vectors` lands a delivery
    (tmp_path / "h").mkdir()
    begun.rename(tmp_path / "h" / "operating")
    return tmp_path / "h"


def _run(*arguments: str | Path) -> tuple[int, str, str]:
    result = CliRunner().invoke(features.cli.app, ["ingest", *map(str, arguments)])
    return result.exit_code, result.stdout, result.stderr


def test_the_command_writes_the_page_and_says_where(home: Path, tmp_path: Path) -> None:
    delivery = write_some(tmp_path / "monday", stores=[store("T2"), store("T3", seller_id="S9")])
    code, out, _ = _run(delivery, "--report")
    (page,) = (home / "reports").iterdir()
    stored = open_store(home / "operating").deliveries[-1]
    assert (code, page.name) == (0, f"{stored.delivery_id[:12]}.html")
    assert f"Quality of its data: {page}" in out.splitlines()
    assert "Delivery “monday”" in page.read_text()
    named = tmp_path / "elsewhere" / "page.html"
    code, out, errors = _run(delivery, "--report-file", named, "--json")
    assert (code, json.loads(out)["already_ingested"]) == (0, True)
    assert f"Quality of its data: {named}" in errors
    assert named.read_text() == page.read_text(), "the same delivery, the same page"


@pytest.mark.soak
def test_a_second_take_has_a_page_of_its_own(home: Path, tmp_path: Path) -> None:
    waiting = write_some(tmp_path / "w", stores=[store("T2"), store("T3", seller_id="S9")])
    _run(waiting, "--report")
    _run(write_some(tmp_path / "r", sellers=[seller("S9")]))
    code, _, _ = _run(waiting, "--report")
    names = sorted(page.name for page in (home / "reports").iterdir())
    assert code == 0
    assert len(names) == 2
    assert names[0].removesuffix("-2.html") == names[1].removesuffix(".html")


def test_a_page_is_written_of_what_went_in_beside_a_spoilt_file(home: Path, tmp_path: Path) -> None:
    code, _, errors = _run(spoilt(tmp_path), "--report")
    assert code == 2
    assert errors.strip().splitlines()[-1].startswith("sellerscore: orders.parquet cannot be read as parquet")
    (page,) = (home / "reports").iterdir()
    assert "orders: set aside as a whole. orders.parquet cannot be read as parquet" in Reader(page.read_text()).text


def test_a_delivery_of_nothing_new_has_a_page(begun: Path, tmp_path: Path) -> None:
    rows = [store(), store("T9", seller_id="S9")]
    report = ingest(write_some(tmp_path / "d", stores=rows), begun)
    page = write_page(open_store(begun), report, "d", tmp_path / "page.html").read_text()
    text = Reader(page).text
    assert "stores duplicate: 1 quarantined: 1 2 0 1 1 50.0%" in text
    assert "No table of this delivery with accepted rows was stored before" in text
    assert f"{DAYS} days" not in text


def test_rows_known_before_an_earlier_delivery_was_complete_are_pointed_out(begun: Path, tmp_path: Path) -> None:
    terms: dict[str, object] = {"covers_through": {"stores": "2024-03-10"}}
    ingest(write_some(tmp_path / "a", terms, stores=[store("T2")]), begun)
    again = write_some(tmp_path / "b", stores=[store("T3"), store("T4", known_at=datetime(2024, 3, 12))])  # noqa: DTZ001
    report = ingest(again, begun)
    found = analyse_delivery(open_store(begun), report, "b")
    words = [each.words for each in findings(found)]
    assert any(line.startswith("stores: 1 row came now that the platform says it knew by 2024-03-10") for line in words)

"""The origin of the rows: stated in `delivery.json`, stored with the delivery, and absent from older ones."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from features.errors import DeliveryError
from features.ingest import ingest, open_store
from tests.features.ingest.build import order, write, write_orders


def test_the_stated_source_is_stored_with_its_delivery(tmp_path: Path) -> None:
    ingest(write(tmp_path / "d", {"source": "  orders of marketplace X "}), tmp_path / "s")
    store = open_store(tmp_path / "s")
    assert [each.source for each in store.deliveries] == ["orders of marketplace X"]
    assert store.origins == ("orders of marketplace X",)


def test_a_delivery_without_a_source_is_named_by_its_id(tmp_path: Path) -> None:
    report = ingest(write(tmp_path / "d"), tmp_path / "s")
    assert open_store(tmp_path / "s").origins == (
        f"operating data of 1 delivery as ingested: {report.delivery_id[:8]}",
    )


def test_mixed_origins_are_all_listed_in_their_order(tmp_path: Path) -> None:
    ingest(write(tmp_path / "d", {"source": "simulated by sellerscore, seed 7"}), tmp_path / "s")
    for number in (2, 3):
        ingest(write_orders(tmp_path / f"d{number}", order(f"O{number}")), tmp_path / "s")
    simulated, ingested = open_store(tmp_path / "s").origins
    assert simulated == "simulated by sellerscore, seed 7"
    assert ingested.startswith("operating data of 2 deliveries as ingested: ")


def test_many_deliveries_without_a_source_are_counted_and_some_named(tmp_path: Path) -> None:
    ingest(write(tmp_path / "d"), tmp_path / "s")
    store = open_store(tmp_path / "s")
    many = tuple(replace(store.deliveries[0], delivery_id=f"{number:064x}"[::-1]) for number in range(9))
    (text,) = replace(store, deliveries=many).origins
    assert text.startswith("operating data of 9 deliveries as ingested: 00000000, 10000000")
    assert text.endswith(" and 4 more")


def test_a_store_from_before_sources_were_stored_can_be_read(tmp_path: Path) -> None:
    ingest(write(tmp_path / "d", {"source": "marketplace X"}), tmp_path / "s")
    manifest = tmp_path / "s" / "manifest.json"
    content = json.loads(manifest.read_text())
    del content["deliveries"][0]["source"]
    manifest.write_text(json.dumps(content))
    assert open_store(tmp_path / "s").deliveries[0].source is None


@pytest.mark.parametrize("source", ["", "  ", 7, ["x"], "two\nlines", "x" * 201])
def test_a_source_that_is_no_line_of_text_is_refused(tmp_path: Path, source: object) -> None:
    delivery = write(tmp_path / "d", {"source": source})
    with pytest.raises(DeliveryError, match=r"source is .*; expected one line of 1 to 200 characters"):
        ingest(delivery, tmp_path / "s")

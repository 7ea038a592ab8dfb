"""Files from outside: named pipes, devices and large files are refused without waiting; links to files are read."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from features.errors import DeliveryError, MappingError
from features.importers import ImportOptions, find_mapping, import_delivery, write_template
from features.importers.exports import find_files
from features.ingest import ingest, open_store
from features.ingest.delivery import open_delivery
from features.regular_files import open_regular, read_small_file
from tests.features.ingest.build import AT, accepted, order, store, write, write_orders, write_some

Work = Callable[[Path], object]


def pipe(path: Path) -> Path:
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    return path


def test_a_link_to_a_file_is_read_unless_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    assert read_small_file(tmp_path / "link") == b"content"
    with pytest.raises(OSError, match="Too many levels of symbolic links"):
        open_regular(tmp_path / "link", follow=False)


def test_what_is_not_a_regular_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "endless").symlink_to("/dev/zero")
    for path, reason in (
        (pipe(tmp_path / "pipe"), "it is a named pipe, not a regular file"),
        (tmp_path / "endless", "it is a device, not a regular file"),
        (tmp_path, "Is a directory"),
        (tmp_path / "none", "No such file or directory"),
    ):
        with pytest.raises(OSError, match=reason):
            open_regular(path)


def test_a_small_file_has_a_limit_and_is_as_large_as_it_states(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    assert read_small_file(tmp_path / "file", 5) == b"12345"
    with pytest.raises(OSError, match="it has 5 bytes, and at most 4 are read"):
        read_small_file(tmp_path / "file", 4)
    # files of the kernel state no size, and some never end
    assert read_small_file(Path("/proc/self/status")) == b""


@pytest.mark.parametrize("name", ["delivery.json", "orders.parquet"])
def test_a_delivery_with_a_pipe_is_refused(name: str, tmp_path: Path) -> None:
    delivery = write(tmp_path / "d", orders=[order()])
    pipe(delivery / name)
    with pytest.raises(DeliveryError, match=rf"{name} (cannot be read: it is a named pipe|is not a file)"):
        ingest(delivery, tmp_path / "store")


def test_a_link_to_a_pipe_is_named_as_such(tmp_path: Path) -> None:
    delivery = write(tmp_path / "d", orders=[order()])
    reading, writing = os.pipe()
    try:
        (delivery / "traffic.csv").symlink_to(f"/dev/fd/{reading}")
        (rejected,) = ingest(delivery, tmp_path / "store").rejected_tables
    finally:
        os.close(reading)
        os.close(writing)
    assert rejected.why == "traffic.csv leads to a pipe or a device, not to a file. Deliver a regular file."


def test_links_to_the_files_of_a_delivery_are_read(tmp_path: Path) -> None:
    delivery, links = write(tmp_path / "d", orders=[order()]), tmp_path / "links"
    shutil.copytree(delivery, links / "files")
    for path in (links / "files").iterdir():
        (links / path.name).symlink_to(path)
    ingest(links, tmp_path / "store")
    assert ingest(delivery, tmp_path / "store").already_ingested


def test_a_link_to_outside_the_delivery_is_not_read(tmp_path: Path) -> None:
    key = "81c7" * 16
    (tmp_path / "key").write_text(key)
    delivery = write(tmp_path / "d", orders=[order()])
    (delivery / "traffic.csv").symlink_to(tmp_path / "key")
    report = ingest(delivery, tmp_path / "store")
    (rejected,) = report.rejected_tables
    assert rejected.why == "traffic.csv is a link to a file outside the delivery. Deliver the file itself."
    (delivery / "delivery.json").symlink_to(tmp_path / "key")
    with pytest.raises(DeliveryError, match=r"delivery.json is a link to a file outside the delivery"):
        ingest(delivery, tmp_path / "store")


def test_a_file_that_becomes_a_link_to_outside_is_not_copied(tmp_path: Path) -> None:
    delivery = write(tmp_path / "d", orders=[order()])
    opened = open_delivery(delivery, AT.date())
    (tmp_path / "copies").mkdir()
    shutil.move(delivery / "orders.parquet", tmp_path / "other")
    (delivery / "orders.parquet").symlink_to(tmp_path / "other")
    with pytest.raises(DeliveryError, match=r"orders.parquet is a link to a file outside the delivery"):
        opened.copy(tmp_path / "copies")


def test_a_long_column_name_is_shortened(tmp_path: Path) -> None:
    key = "81c7" * 16
    delivery = write(tmp_path / "d", orders=[order()])
    (delivery / "traffic.csv").write_text(key)
    (rejected,) = ingest(delivery, tmp_path / "store").rejected_tables
    assert f"the one column '{key[:39]}…'" in rejected.why
    assert key[:40] not in rejected.why
    (delivery / "delivery.json").write_text(json.dumps({key: 1}))
    with pytest.raises(DeliveryError, match=f"'{key[:39]}…' is unknown"):
        ingest(delivery, tmp_path / "store")


@pytest.mark.parametrize("target", ["none.csv", "orders.csv"], ids=["dangling", "loop"])
def test_a_link_that_leads_nowhere_is_a_rejected_table(target: str, base_store: Path, tmp_path: Path) -> None:
    delivery = write_some(tmp_path / "d", {"covers_through": {"orders": "2024-05-01"}}, stores=[store("T2")])
    (delivery / "orders.csv").symlink_to(target)
    report = ingest(delivery, base_store)
    assert [table.table for table in report.rejected_tables] == ["orders"]
    assert report.ignored_files == ()
    assert "orders" not in report.covers_through
    assert open_store(base_store).covers_through["orders"] == AT.date(), "unchanged"


def test_the_folder_of_an_export_has_no_links_to_outside_but_a_named_file_may_be_one(tmp_path: Path) -> None:
    mapping = find_mapping("online-retail")
    (pattern, *_) = mapping.sources[0].files
    (tmp_path / "other.csv").write_text("a\n")
    link = tmp_path / "export" / pattern.replace("*", "")
    link.parent.mkdir()
    link.symlink_to(tmp_path / "other.csv")
    with pytest.raises(DeliveryError, match=r"is a link to a file outside the export"):
        find_files(mapping, link.parent)
    assert list(find_files(mapping, link).values()) == [[link]]


@pytest.mark.parametrize(
    "replace", [shutil.move, lambda new, path: path.write_bytes(new.read_bytes())], ids=["moved", "overwritten"]
)
def test_a_file_that_is_replaced_during_an_ingest_is_not_read(
    replace: Callable[[Path, Path], object], base_store: Path, tmp_path: Path
) -> None:
    delivery, same, other = (
        write_orders(tmp_path / name, order(order_id))
        for name, order_id in (("d", "O1"), ("same", "O1"), ("other", "O2"))
    )

    def replace_orders(progress: str) -> None:
        if progress == "orders: 1 row to read":  # the digest is computed by then
            replace(other / "orders.parquet", delivery / "orders.parquet")

    report = ingest(delivery, base_store, replace_orders)
    assert [row["order_id"] for row in accepted(open_store(base_store), "orders")] == ["O0", "O1"]
    assert ingest(same, base_store).delivery_id == report.delivery_id
    entry = base_store / "deliveries" / report.delivery_id
    assert sorted(path.name for path in entry.iterdir()) == ["accepted", "quarantined", "report.json"]


def replace_mapping(folder: Path) -> None:
    write_template(folder / "mapping")
    find_mapping(str(pipe(folder / "mapping" / "mapping.toml").parent))


def replace_sql(folder: Path) -> None:
    write_template(folder / "mapping")
    find_mapping(str(pipe(folder / "mapping" / "orders.sql").parent))


def replace_export(folder: Path) -> None:
    (folder / "export").mkdir()
    export = pipe(folder / "export" / "OnlineRetail.csv")
    import_delivery(find_mapping("online-retail"), export, folder / "out", ImportOptions())


@pytest.mark.parametrize("work", [replace_mapping, replace_sql, replace_export])
def test_an_import_from_a_pipe_is_refused(work: Work, tmp_path: Path) -> None:
    with pytest.raises((MappingError, DeliveryError), match="cannot be read: it is a named pipe, not a regular file"):
        work(tmp_path)

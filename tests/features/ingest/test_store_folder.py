"""The folder of the operating store: unusable folders, lost manifests and reports, and unrelated files in it."""

import shutil
from pathlib import Path

import pytest

from features.errors import DeliveryError, StoreError
from features.home import state_folder
from features.ingest import ingest, open_store
from tests.counts import repeat
from tests.features.ingest.build import order, store, write, write_orders, write_some


def test_a_folder_that_cannot_be_a_store_is_rejected(tmp_path: Path) -> None:
    delivery = write(tmp_path / "d")
    with pytest.raises(DeliveryError, match="is not a folder"):
        ingest(tmp_path / "absent", tmp_path / "s")
    (tmp_path / "file").write_text("")
    for under in (tmp_path / "file", tmp_path / "file" / "operating"):
        with pytest.raises(StoreError, match="is not a folder"):
            ingest(delivery, under)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "manifest.json").write_text('{"deliveries": [{}]}')
    with pytest.raises(StoreError, match="cannot be read as the list"):
        ingest(delivery, tmp_path / "broken")


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("pathlib.Path.mkdir", "cannot be written as a store: Permission denied"),
        ("hashlib.file_digest", r"orders\.parquet cannot be read: Permission denied"),
    ],
)
def test_missing_permissions_are_named(
    function: str, message: str, begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    delivery = write_orders(tmp_path / "d", order("O2"))
    # permissions do not bind the superuser, so the test raises the error of the system
    monkeypatch.setattr(function, refuse)
    with pytest.raises((StoreError, DeliveryError), match=message):
        ingest(delivery, begun)


@pytest.mark.parametrize("content", [None, "", "{}", "[]", "3"])
def test_a_lost_report_is_named_when_its_delivery_is_repeated(
    content: str | None, begun: Path, first_delivery_folder: Path
) -> None:
    (report,) = begun.rglob("report.json")
    report.unlink() if content is None else report.write_text(content)
    with pytest.raises(StoreError, match=r"report\.json cannot be read as an ingest report"):
        ingest(first_delivery_folder, begun)


def test_a_lost_manifest_stops_ingest_and_loses_nothing(begun: Path, tmp_path: Path) -> None:
    manifest = begun / "manifest.json"
    saved = manifest.read_bytes()
    manifest.unlink()
    for attempt in (open_store, lambda store: ingest(write_orders(tmp_path / "d", order("O2")), store)):
        with pytest.raises(StoreError, match="Restore it from a backup"):
            attempt(begun)
    manifest.write_bytes(saved)
    assert len(open_store(begun).files("orders")) == 1
    assert all(path.is_file() for path in open_store(begun).files("orders"))


@pytest.mark.repeated
def test_an_older_manifest_orphans_later_deliveries_and_they_can_be_repeated(begun: Path, tmp_path: Path) -> None:
    older = (begun / "manifest.json").read_bytes()
    second, third = (write_some(tmp_path / name, stores=[store(name)]) for name in ("T2", "T3"))
    lost = ingest(second, begun).delivery_id
    rounds = repeat(1, 3)
    for _ in range(rounds):
        (begun / "manifest.json").write_bytes(older)
        ingest(third, begun)
        assert not (begun / "deliveries" / lost).exists()
        ingest(second, begun)
    orphans = [path.name.split(".")[0] for path in (begun / "orphaned").iterdir()]
    assert orphans.count(lost) == rounds
    assert all((path / "accepted" / "stores.parquet").is_file() for path in (begun / "orphaned").iterdir())
    assert open_store(begun).rows("stores") == 3


def test_unrelated_files_in_the_store_are_kept(begun: Path, tmp_path: Path) -> None:
    (begun / "deliveries" / ".DS_Store").write_text("")
    (begun / "deliveries" / "notes").mkdir()
    shutil.copytree(begun / "deliveries" / "notes", begun / "deliveries" / ".incoming-left")
    ingest(write_some(tmp_path / "d", stores=[store("T2")]), begun)
    names = {path.name for path in (begun / "deliveries").iterdir()}
    assert {".DS_Store", "notes"} < names
    assert ".incoming-left" not in names


def test_an_empty_home_selects_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SELLERSCORE_HOME", "")
    assert state_folder() == Path.cwd() / "var"

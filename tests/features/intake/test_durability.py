"""A kill at any moment leaves the store as before or as after; two writers take turns."""

import pkgutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from features.errors import StoreError
from features.intake import ingest, open_store
from tests.features.intake.build import accepted, order, write


class Killed(BaseException):
    """Stands for the process ending there: nothing may catch it."""


def _ids(folder: Path) -> list[object]:
    return [row["order_id"] for row in accepted(open_store(folder), "orders")]


@pytest.mark.parametrize("target", ["os.replace", "os.fsync", "pathlib.Path.rename", "shutil.rmtree"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_stop_at_any_step_leaves_before_or_after(
    target: str, when: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest(write(tmp_path / "a"), tmp_path / "s")
    second = write(tmp_path / "b", sellers=[], stores=[], orders=[order("O2")])
    real: Callable[..., object] = pkgutil.resolve_name(target)

    def stop(*args: object, **kwargs: object) -> None:
        if when == "after":
            real(*args, **kwargs)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(target, stop)
        with pytest.raises(Killed):
            ingest(second, tmp_path / "s")
    assert _ids(tmp_path / "s") in (["O1"], ["O1", "O2"])
    ingest(second, tmp_path / "s")
    assert _ids(tmp_path / "s") == ["O1", "O2"]
    assert len(list((tmp_path / "s" / "deliveries").iterdir())) == 2, "leftovers are gone"


_INGEST = "import sys; from pathlib import Path; from features.intake import ingest; ingest(*map(Path, sys.argv[1:]))"


@pytest.mark.parametrize("seconds", [0.4, 0.8, 1.2])
def test_a_killed_process_leaves_before_or_after(seconds: float, tmp_path: Path) -> None:
    delivery, folder = write(tmp_path / "d"), tmp_path / "s"
    process = subprocess.Popen([sys.executable, "-c", _INGEST, str(delivery), str(folder)])
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    process.wait()
    try:
        assert _ids(folder) == ["O1"]
    except StoreError:
        assert not (folder / "manifest.json").exists()
    ingest(delivery, folder)
    assert _ids(folder) == ["O1"]


def test_two_at_once_take_turns(tmp_path: Path) -> None:
    deliveries = [write(tmp_path / name, orders=[order(f"O{name}"), order("O1")]) for name in "ab"]
    with ThreadPoolExecutor(2) as pool:
        reports = list(pool.map(lambda delivery: ingest(delivery, tmp_path / "s"), deliveries))
    assert sorted(report.table("orders").accepted for report in reports) == [1, 2]
    assert sorted(report.table("orders").duplicates for report in reports) == [0, 1]
    assert _ids(tmp_path / "s") == ["O1", "Oa", "Ob"]

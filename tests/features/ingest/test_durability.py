"""Ingest is atomic: a stop at any step leaves the store before or after the delivery, and writers take turns."""

import pkgutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from features.ingest import ingest, open_store
from tests.features.ingest.build import accepted, store, write_some


class Killed(BaseException):
    """Simulates the end of the process: no handler catches it."""


def _ids(folder: Path) -> list[object]:
    return [row["store_id"] for row in accepted(open_store(folder), "stores")]


STEPS = [
    ("before", "os.fsync"),
    ("after", "pathlib.Path.rename"),
    ("after", "os.replace"),
    pytest.param("after", "os.fsync", marks=pytest.mark.soak),
    pytest.param("before", "pathlib.Path.rename", marks=pytest.mark.soak),
    pytest.param("before", "os.replace", marks=pytest.mark.soak),
]


@pytest.mark.parametrize(("when", "target"), STEPS)
def test_a_stop_at_any_step_leaves_the_store_before_or_after(
    target: str, when: str, begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = write_some(tmp_path / "b", stores=[store("T2")])
    real: Callable[..., object] = pkgutil.resolve_name(target)

    def stop(*args: object, **kwargs: object) -> None:
        if when == "after":
            real(*args, **kwargs)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(target, stop)
        # a killed process does not clean up either
        patch.setattr("shutil.rmtree", lambda *_, **__: None)
        with pytest.raises(Killed):
            ingest(second, begun)
    committed = (target, when) == ("os.replace", "after")
    assert _ids(begun) == (["T1", "T2"] if committed else ["T1"])
    ingest(second, begun)
    assert _ids(begun) == ["T1", "T2"]
    assert len(list((begun / "deliveries").iterdir())) == 2, "drafts are deleted"


@pytest.mark.slow
def test_two_concurrent_writers_take_turns(begun: Path, tmp_path: Path) -> None:
    deliveries = [write_some(tmp_path / name, stores=[store(f"T{name}"), store("T2")]) for name in "ab"]
    with ThreadPoolExecutor(2) as pool:
        reports = list(pool.map(lambda delivery: ingest(delivery, begun), deliveries))
    assert sorted(report.table("stores").accepted for report in reports) == [1, 2]
    assert sorted(report.table("stores").duplicates for report in reports) == [0, 1]
    assert _ids(begun) == ["T1", "T2", "Ta", "Tb"]

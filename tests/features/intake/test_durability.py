"""A stop at any step leaves the store as before or as after; two writers take turns. `test_killed` stops for real."""

import pkgutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from features.intake import ingest, open_store
from tests.features.intake.build import accepted, order, write_orders


class Killed(BaseException):
    """Stands for the process ending there: nothing may catch it."""


def _ids(folder: Path) -> list[object]:
    return [row["order_id"] for row in accepted(open_store(folder), "orders")]


STEPS = ("os.fsync", "pathlib.Path.rename", "os.replace")


@pytest.mark.parametrize("target", STEPS)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_stop_at_any_step_leaves_before_or_after(
    target: str, when: str, begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = write_orders(tmp_path / "b", order("O2"))
    real: Callable[..., object] = pkgutil.resolve_name(target)

    def stop(*args: object, **kwargs: object) -> None:
        if when == "after":
            real(*args, **kwargs)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(target, stop)
        # A kill runs no clean-up either, so what it leaves behind must be left here too.
        patch.setattr("shutil.rmtree", lambda *_, **__: None)
        with pytest.raises(Killed):
            ingest(second, begun)
    committed = (target, when) == ("os.replace", "after")
    assert _ids(begun) == (["O0", "O2"] if committed else ["O0"])
    ingest(second, begun)
    assert _ids(begun) == ["O0", "O2"]
    assert len(list((begun / "deliveries").iterdir())) == 2, "leftovers are gone"


def test_two_at_once_take_turns(begun: Path, tmp_path: Path) -> None:
    deliveries = [write_orders(tmp_path / name, order(f"O{name}"), order("O1")) for name in "ab"]
    with ThreadPoolExecutor(2) as pool:
        reports = list(pool.map(lambda delivery: ingest(delivery, begun), deliveries))
    assert sorted(report.table("orders").accepted for report in reports) == [1, 2]
    assert sorted(report.table("orders").duplicates for report in reports) == [0, 1]
    assert _ids(begun) == ["O0", "O1", "Oa", "Ob"]

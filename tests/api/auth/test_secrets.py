"""The real cost of a secret's hash, which other tests lower, and that every attempt costs the same."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

import pytest
from argon2 import PasswordHasher, extract_parameters

from api.auth import credentials


@pytest.fixture
def real() -> ModuleType:
    """The module as it is imported when nothing lowers its cost."""
    spec = importlib.util.find_spec(credentials.__name__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # dataclasses look their module up by name
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, credentials.__name__, module)
        spec.loader.exec_module(module)
    return module


def test_the_real_cost_is_the_second_of_owasps_settings(real: ModuleType) -> None:
    made = real.make_secret()
    assert made.hash.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert real.verify_secret(made.text, made.hash)
    assert not real.verify_secret(made.text[:-1], made.hash)


def test_where_there_is_no_secret_the_comparison_costs_the_same(real: ModuleType) -> None:
    assert extract_parameters(real._DUMMY_HASH) == extract_parameters(real.make_secret().hash)
    assert not real.verify_secret("anything", None)


class Counted(PasswordHasher):
    """A hasher that counts comparisons."""

    compared = 0

    def verify(self, *args: str) -> bool:  # type: ignore[override]
        type(self).compared += 1
        return super().verify(*args)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("text", ["", "nonsense", "sellerscore_0123456789ab_" + "A" * 43, "x" * 10_000])
def test_every_attempt_takes_one_comparison(monkeypatch: pytest.MonkeyPatch, text: str, known: bool) -> None:
    kept = credentials.make_secret().hash if known else None
    monkeypatch.setattr(credentials, "_hasher", Counted(time_cost=1, memory_cost=8, parallelism=1))
    monkeypatch.setattr(Counted, "compared", 0)
    assert not credentials.verify_secret(text, kept)
    assert Counted.compared == 1

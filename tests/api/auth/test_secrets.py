"""The cost of hashing a secret, which other tests lower, and that each attempt costs one comparison."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

import pytest
from argon2 import PasswordHasher, extract_parameters

from api.auth import credentials


@pytest.fixture
def original() -> ModuleType:
    """The module as it is imported in production."""
    spec = importlib.util.find_spec(credentials.__name__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # dataclasses look up their module by name
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, credentials.__name__, module)
        spec.loader.exec_module(module)
    return module


def test_hashes_have_the_cost_that_owasp_recommends_also_without_a_secret(original: ModuleType) -> None:
    secret = original.make_secret()
    assert secret.hash.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert original.verify_secret(secret.text, secret.hash)
    assert not original.verify_secret(secret.text[:-1], secret.hash)
    assert extract_parameters(original._DUMMY_HASH) == extract_parameters(secret.hash)
    assert not original.verify_secret("anything", None)


class CountingHasher(PasswordHasher):
    comparisons = 0

    def verify(self, *args: str) -> bool:  # type: ignore[override]
        self.comparisons += 1
        return super().verify(*args)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("text", ["", "nonsense", "sellerscore_0123456789ab_" + "A" * 43, "x" * 10_000])
def test_each_attempt_costs_one_comparison(monkeypatch: pytest.MonkeyPatch, text: str, known: bool) -> None:
    stored = credentials.make_secret().hash if known else None
    hasher = CountingHasher(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr(credentials, "_hasher", hasher)
    assert not credentials.verify_secret(text, stored)
    assert hasher.comparisons == 1

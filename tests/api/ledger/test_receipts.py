"""Receipts: whoever has the public keys finds an answer genuine, and finds any byte of it that was altered."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from typer.testing import CliRunner

from api.auth.signing_keys import KeyRing
from api.cli.main import app
from api.errors import InputError, SignatureError
from api.ledger.receipts import RECEIPT, verify_receipt
from api.settings import Settings
from scoring.canonical import canonical_json
from tests.api.conftest import NEWCOMER, SELLERS, Opener, fill
from tests.api.ledger.conftest import NOW

if TYPE_CHECKING:
    from starlette.testclient import TestClient

SCRIPT = Path(__file__).parents[3] / "docs" / "verify_receipt.py"


@pytest.fixture(scope="module")
def service(registry: str, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    home = tmp_path_factory.mktemp("service")
    fill(home)
    return Settings(home=home, MLFLOW_TRACKING_URI=registry)


@pytest.fixture(scope="module")
def answered(service: Settings, open_client: Opener) -> Iterator[tuple[bytes, bytes]]:
    """An answer, and the keys that the service publishes."""
    with open_client(service) as client:
        yield ask(client, SELLERS[0]), client.get("/.well-known/jwks.json", headers={"Authorization": ""}).content


def ask(client: TestClient, seller_id: str) -> bytes:
    answer = client.post("/v1/scores", json={"seller_id": seller_id, "purpose": "credit_application"})
    assert answer.status_code == 201, answer.text
    return bytes(answer.content)


def test_an_answer_is_genuine(answered: tuple[bytes, bytes]) -> None:
    answer, keys = answered
    found, said = verify_receipt(answer, json.loads(keys)), json.loads(answer)
    assert (found.score_id, found.seller_id, found.score) == (said["id"], SELLERS[0], said["assessment"]["score"])
    assert {"chain": found.chain, "position": found.position, "head": found.head} == said["ledger"]


def test_an_answer_written_otherwise_is_genuine_too(answered: tuple[bytes, bytes]) -> None:
    answer, keys = answered
    assert verify_receipt(json.dumps(json.loads(answer), indent=2).encode(), json.loads(keys)) == verify_receipt(
        answer, json.loads(keys)
    )


@examples(max_examples=150, deadline=None)
@given(at=st.integers(0), bit=st.integers(0, 7))
def test_any_altered_bit_is_refused(answered: tuple[bytes, bytes], at: int, bit: int) -> None:
    answer, keys = answered
    at %= len(answer)
    altered = answer[:at] + bytes([answer[at] ^ (1 << bit)]) + answer[at + 1 :]
    try:
        verify_receipt(altered, json.loads(keys))
    except SignatureError:
        return
    # a digit so far back that the number is the same
    assert json.loads(altered) == json.loads(answer)


def test_each_of_the_last_letters_of_the_receipt_counts(answered: tuple[bytes, bytes]) -> None:
    answer, keys = answered
    receipt = json.loads(answer)["receipt"]
    for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_":
        altered = answer.replace(receipt.encode(), (receipt[:-1] + letter).encode())
        if altered != answer:
            with pytest.raises(SignatureError):
                verify_receipt(altered, json.loads(keys))


@pytest.mark.parametrize(
    "other",
    [b"", b"[]", b"{}", b"{", b'{"receipt":1}', b'{"receipt":"a.b.c"}', b"[" * 100_000, b"\xff", b'{"receipt":null}'],
)
def test_what_is_no_answer_is_refused(answered: tuple[bytes, bytes], other: bytes) -> None:
    with pytest.raises(SignatureError):
        verify_receipt(other, json.loads(answered[1]))


def test_a_name_given_twice_is_refused(answered: tuple[bytes, bytes]) -> None:
    answer, keys = answered
    twice = b'{"seller_id":"S-other",' + answer[1:]
    with pytest.raises(SignatureError, match="unique names"):
        verify_receipt(twice, json.loads(keys))


def test_another_services_answer_is_refused(answered: tuple[bytes, bytes], tmp_path: Path) -> None:
    with pytest.raises(SignatureError, match="of an unknown key"):
        verify_receipt(answered[0], KeyRing.open(tmp_path).jwks)


def test_points_that_do_not_sum_are_refused_though_signed(answered: tuple[bytes, bytes], tmp_path: Path) -> None:
    fields = json.loads(answered[0])
    fields["assessment"]["explanation"]["base_points"] += 1
    del fields["receipt"]
    ring = KeyRing.open(tmp_path / "ring")
    answer = {**fields, "receipt": ring.sign(canonical_json(fields), RECEIPT)}
    with pytest.raises(SignatureError, match="do not sum"):
        verify_receipt(canonical_json(answer), ring.jwks)
    outcome = _script(canonical_json(answer), json.dumps(ring.jwks).encode(), tmp_path)
    assert (outcome.returncode, "do not sum" in outcome.stderr) == (1, True)


def test_another_use_of_the_key_is_no_receipt(answered: tuple[bytes, bytes], tmp_path: Path) -> None:
    fields = json.loads(answered[0])
    del fields["receipt"]
    ring = KeyRing.open(tmp_path / "ring")
    answer = canonical_json({**fields, "receipt": ring.sign(canonical_json(fields), "checkpoint+jws")})
    with pytest.raises(SignatureError, match="another kind of document"):
        verify_receipt(answer, ring.jwks)
    assert "signed as something else" in _script(answer, json.dumps(ring.jwks).encode(), tmp_path).stderr


def test_after_a_rotation_old_receipts_hold_and_new_ones_are_by_the_new_key(
    settings: Settings, open_client: Opener
) -> None:
    with open_client(settings) as client:
        old = ask(client, SELLERS[0])
    KeyRing.rotate(settings.receipt_keys_path, NOW)
    with open_client(settings) as client:
        new, keys = ask(client, SELLERS[0]), client.get("/.well-known/jwks.json").json()
        assert client.get(f"/v1/scores/{json.loads(old)['id']}").content == old
    assert len(keys["keys"]) == 2
    assert verify_receipt(old, keys).score == verify_receipt(new, keys).score
    with pytest.raises(SignatureError):
        verify_receipt(new, {"keys": keys["keys"][1:]})


def test_the_key_set_says_no_secret_and_may_be_kept(client: TestClient) -> None:
    answer = client.get("/.well-known/jwks.json", headers={"Authorization": ""})
    assert answer.headers["cache-control"] == "public, max-age=300"
    keys, services = answer.json()["keys"], client.app.state.services
    assert keys == services.receipts.jwks["keys"]
    assert [set(key) for key in keys] == [{"kty", "crv", "x", "kid", "alg", "use"}]


def _script(answer: bytes, keys: bytes, folder: Path) -> subprocess.CompletedProcess[str]:
    (folder / "score.json").write_bytes(answer)
    (folder / "jwks.json").write_bytes(keys)
    command = [sys.executable, "-I", "-O", str(SCRIPT), str(folder / "score.json"), str(folder / "jwks.json")]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_the_script_needs_nothing_of_ours_and_is_short() -> None:
    lines = SCRIPT.read_text(encoding="utf-8").splitlines()
    assert len(lines) < 40
    taken = {line.split()[1].split(".")[0] for line in lines if line.startswith(("import ", "from "))}
    assert taken == {"base64", "json", "sys", "cryptography"}


@pytest.mark.parametrize("seller_id", [SELLERS[0], NEWCOMER])
def test_the_script_finds_an_answer_genuine(client: TestClient, tmp_path: Path, seller_id: str) -> None:
    outcome = _script(ask(client, seller_id), client.get("/.well-known/jwks.json").content, tmp_path)
    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert outcome.stdout.startswith("Genuine")


@pytest.mark.parametrize("field", ["seller_id", "score", "points", "receipt", "head", "kid", "last"])
def test_the_script_refuses_what_was_altered(answered: tuple[bytes, bytes], tmp_path: Path, field: str) -> None:
    answer, keys = answered
    fields = json.loads(answer)
    changes = {
        "seller_id": lambda: fields.update(seller_id="S-other"),
        "score": lambda: fields["assessment"].update(score=900),
        "points": lambda: fields["assessment"]["explanation"]["contributions"][0].update(points=99),
        "receipt": lambda: fields.update(receipt=fields["receipt"].replace(".", ".A", 1)),
        "head": lambda: fields["ledger"].update(head="0" * 64),
        "kid": lambda: fields.update(receipt="e30" + fields["receipt"][3:]),
        "last": lambda: fields.update(receipt=fields["receipt"] + "!"),
    }
    changes[field]()
    outcome = _script(json.dumps(fields).encode(), keys, tmp_path)
    assert outcome.returncode == 1
    assert outcome.stderr.startswith("NOT genuine")
    assert "Traceback" not in outcome.stderr


@pytest.mark.parametrize(
    ("written", "instead"),
    [
        (b'{"assessment"', b'{"seller_id":"S-EVIL","assessment"'),
        (b'"outcome":"scored"', b'"outcome":"scored","outcome":"scored"'),
        (b'"min":300', b'"min":300.0'),
    ],
)
def test_the_script_refuses_what_another_reader_reads_otherwise(
    answered: tuple[bytes, bytes], tmp_path: Path, written: bytes, instead: bytes
) -> None:
    answer, keys = answered
    assert answer.count(written) == 1
    outcome = _script(answer.replace(written, instead), keys, tmp_path)
    assert (outcome.returncode, outcome.stderr[:11]) == (1, "NOT genuine")


@pytest.mark.parametrize("answer", [b"", b"[]", b"{", b"[" * 100_000, b"null"])
def test_the_script_says_of_anything_else_that_it_is_none(
    answered: tuple[bytes, bytes], tmp_path: Path, answer: bytes
) -> None:
    outcome = _script(answer, answered[1], tmp_path)
    assert (outcome.returncode, outcome.stderr[:13]) == (1, "NOT genuine: ")
    assert "Traceback" not in outcome.stderr
    assert len(outcome.stderr) > len("NOT genuine: \n")


@pytest.fixture
def run(service: Settings, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SELLERSCORE_HOME", str(service.home))
    return lambda *given: CliRunner().invoke(app, ["verify-receipt", *map(str, given)], catch_exceptions=False)


def test_the_command_says_what_a_genuine_answer_says(run, answered: tuple[bytes, bytes], tmp_path: Path) -> None:
    answer, keys = answered
    (tmp_path / "score.json").write_bytes(answer)
    (tmp_path / "jwks.json").write_bytes(keys)
    by_own = run(tmp_path / "score.json", "--output", "json")
    by_file = run(tmp_path / "score.json", "--jwks", tmp_path / "jwks.json", "--output", "json")
    assert by_own.exit_code == by_file.exit_code == 0
    assert json.loads(by_own.stdout) == json.loads(by_file.stdout)
    assert json.loads(by_own.stdout)["genuine"] is True
    score = json.loads(answer)["assessment"]["score"]
    assert f"score {score}, and its points sum to it" in run(tmp_path / "score.json").stdout


def test_the_command_refuses_in_one_sentence(run, answered: tuple[bytes, bytes], tmp_path: Path) -> None:
    (tmp_path / "score.json").write_bytes(answered[0].replace(b"S-000", b"S-001"))
    with pytest.raises(SignatureError, match="was changed"):
        run(tmp_path / "score.json")
    with pytest.raises(InputError, match="cannot be read"):
        run(tmp_path / "nothing.json")
    with pytest.raises(InputError, match="is not a JWK set"):
        run(tmp_path / "score.json", "--jwks", tmp_path / "score.json")


def test_the_command_makes_no_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SELLERSCORE_HOME", str(tmp_path / "home"))
    (tmp_path / "score.json").write_text("{}")
    with pytest.raises(InputError, match="There are no keys"):
        CliRunner().invoke(app, ["verify-receipt", str(tmp_path / "score.json")], catch_exceptions=False)
    assert not (tmp_path / "home").exists()

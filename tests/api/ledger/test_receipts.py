"""Receipts: with the public keys, the service and the stand-alone script accept a response and reject any change."""

from __future__ import annotations

import json
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from string import ascii_letters, digits
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from joserfc.jwk import OKPKey
from typer.testing import CliRunner

from api.auth.signing_keys import KeyRing
from api.cli.main import app
from api.errors import InputError, SignatureError
from api.ledger.receipts import RECEIPT, verify_receipt
from api.settings import Settings
from scoring.canonical import canonical_json
from tests.api.conftest import NEWCOMER, SELLERS, Opener, fill
from tests.api.ledger.conftest import NOW
from tests.api.scores.conftest import Bank

if TYPE_CHECKING:
    from starlette.testclient import TestClient

CANNOT_CHECK = 2
SCRIPT = Path(__file__).parents[3] / "docs" / "verify_receipt.py"
Verify = Callable[[bytes, Any], object]
"""Verifies a response with a JWK set; raises SignatureError."""
Alter = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="module")
def service(registry: str, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    home = tmp_path_factory.mktemp("service")
    fill(home)
    return Settings(home=home, MLFLOW_TRACKING_URI=registry)


@pytest.fixture(scope="module")
def responses(service: Settings, open_client: Opener) -> Iterator[tuple[bytes, bytes, Any]]:
    """A response with a number, one without, and the keys that the service publishes."""
    with open_client(service) as client:
        keys = client.get("/.well-known/jwks.json", headers={"Authorization": ""}).json()
        yield Bank(client).post_score().content, Bank(client).post_score(NEWCOMER).content, keys


@pytest.fixture
def response(responses: tuple[bytes, bytes, Any]) -> bytes:
    return responses[0]


@pytest.fixture
def keys(responses: tuple[bytes, bytes, Any]) -> Any:
    return responses[2]


@pytest.fixture(params=["service", "script"])
def verify(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Verify:
    def verify_with_script(body: bytes, jwks: Any) -> None:
        files = tmp_path / "score.json", tmp_path / "jwks.json"
        for file, content in zip(files, (body, json.dumps(jwks).encode()), strict=True):
            file.write_bytes(content)
        monkeypatch.setattr(sys, "argv", [str(SCRIPT), *map(str, files)])
        try:
            runpy.run_path(str(SCRIPT))
        except SystemExit as error:
            # the key set lacks the key of the receipt
            message = "NOT genuine: cannot check it" if error.code == CANNOT_CHECK else str(error.code)
        else:
            return
        assert re.match("NOT genuine: .", message)
        raise SignatureError(message)

    return verify_receipt if request.param == "service" else verify_with_script


def test_a_receipt_has_the_values_of_the_response(response: bytes, keys: Any) -> None:
    receipt, score = verify_receipt(response, keys), json.loads(response)
    expected = (score["id"], SELLERS[0], score["assessment"]["score"])
    assert (receipt.score_id, receipt.seller_id, receipt.score) == expected
    assert {"chain": receipt.chain, "position": receipt.position, "head": receipt.head} == score["ledger"]


def test_a_response_is_genuine_in_any_layout(responses: tuple[bytes, bytes, Any], verify: Verify) -> None:
    *bodies, keys = responses
    for body in bodies:
        verify(body, keys)
        verify(json.dumps(json.loads(body), indent=2).encode(), keys)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0), bit=st.integers(0, 7))
def test_any_altered_bit_is_rejected(response: bytes, keys: Any, at: int, bit: int) -> None:
    at %= len(response)
    altered = response[:at] + bytes([response[at] ^ (1 << bit)]) + response[at + 1 :]
    try:
        verify_receipt(altered, keys)
    except SignatureError:
        return
    # a digit so far back that the number is the same
    assert json.loads(altered) == json.loads(response)


def test_every_bit_of_the_last_letter_of_the_receipt_counts(response: bytes, keys: Any, verify: Verify) -> None:
    receipt = json.loads(response)["receipt"]
    for letter in set(ascii_letters + digits + "-_") - {receipt[-1]}:
        with pytest.raises(SignatureError):
            verify(response.replace(receipt.encode(), (receipt[:-1] + letter).encode()), keys)


@pytest.mark.parametrize(
    "alter",
    [
        lambda score: score.update(seller_id="S-other"),
        lambda score: score["assessment"].update(score=900),
        lambda score: score["assessment"]["explanation"]["contributions"][0].update(points=99),
        lambda score: score.update(receipt=score["receipt"].replace(".", ".A", 1)),
        lambda score: score["ledger"].update(head="0" * 64),
        lambda score: score.update(receipt="e30" + score["receipt"][3:]),
        lambda score: score.update(receipt=score["receipt"] + "!"),
    ],
)
def test_an_altered_field_is_rejected(response: bytes, keys: Any, verify: Verify, alter: Alter) -> None:
    score = json.loads(response)
    alter(score)
    with pytest.raises(SignatureError):
        verify(json.dumps(score).encode(), keys)


@pytest.mark.parametrize(
    ("original", "altered"),
    [
        (b'{"assessment"', b'{"seller_id":"S-EVIL","assessment"'),
        (b'"outcome":"scored"', b'"outcome":"scored","outcome":"scored"'),
        (b'"min":300', b'"min":300.0'),
    ],
)
def test_a_response_that_parsers_read_differently_is_rejected(
    response: bytes, keys: Any, *, verify: Verify, original: bytes, altered: bytes
) -> None:
    assert response.count(original) == 1
    with pytest.raises(SignatureError):
        verify(response.replace(original, altered), keys)


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b"{", b"null", b'{"receipt":1}', b'{"receipt":"a.b.c"}', b"[" * 100_000, b"\xff"],
)
def test_anything_else_is_rejected(keys: Any, verify: Verify, body: bytes) -> None:
    with pytest.raises(SignatureError):
        verify(body, keys)


def test_a_response_of_another_service_is_rejected(response: bytes, verify: Verify, tmp_path: Path) -> None:
    with pytest.raises(SignatureError):
        verify(response, KeyRing.open(tmp_path / "ring").jwks)


def test_a_signed_response_whose_points_do_not_sum_and_another_use_of_the_key_are_rejected(
    response: bytes, verify: Verify, tmp_path: Path
) -> None:
    fields = json.loads(response)
    del fields["receipt"]
    ring = KeyRing.open(tmp_path / "ring")
    other_use = {**fields, "receipt": ring.sign(canonical_json(fields), "checkpoint+jws")}
    with pytest.raises(SignatureError, match=r"another kind of document|not that of a score"):
        verify(canonical_json(other_use), ring.jwks)
    fields["assessment"]["explanation"]["base_points"] += 1
    with pytest.raises(SignatureError, match="do not sum"):
        verify(canonical_json({**fields, "receipt": ring.sign(canonical_json(fields), RECEIPT)}), ring.jwks)


def test_after_a_rotation_old_receipts_verify_and_the_new_key_signs(settings: Settings, open_client: Opener) -> None:
    with open_client(settings) as client:
        old = Bank(client).post_score().content
    KeyRing.rotate(settings.receipt_keys_path, NOW)
    with open_client(settings) as client:
        new, keys = Bank(client).post_score().content, client.get("/.well-known/jwks.json").json()
        assert client.get(f"/v1/scores/{json.loads(old)['id']}").content == old
    assert len(keys["keys"]) == 2
    assert verify_receipt(old, keys).score == verify_receipt(new, keys).score
    with pytest.raises(SignatureError):
        verify_receipt(new, {"keys": keys["keys"][1:]})


def test_the_published_keys_are_public_and_may_be_cached(client: TestClient) -> None:
    published = client.get("/.well-known/jwks.json", headers={"Authorization": ""})
    assert published.headers["cache-control"] == "public, max-age=300"
    assert published.json()["keys"] == client.app.state.services.receipts.jwks["keys"]
    assert [set(key) for key in published.json()["keys"]] == [{"kty", "crv", "x", "kid", "alg", "use"}]


def test_the_script_is_short_and_needs_only_cryptography(response: bytes, keys: Any, tmp_path: Path) -> None:
    lines = SCRIPT.read_text(encoding="utf-8").splitlines()
    assert len(lines) < 72
    imported = {line.split()[1].split(".")[0] for line in lines if line.startswith(("import ", "from "))}
    assert imported == {"base64", "hashlib", "json", "pathlib", "sys", "cryptography"}
    files = tmp_path / "score.json", tmp_path / "jwks.json"
    files[0].write_bytes(response)
    files[1].write_text(json.dumps(keys))
    # -I: without the packages of this folder; -O: without assertions
    command = [sys.executable, "-I", "-O", str(SCRIPT), *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr, done.stdout[:7]) == (0, "", "Genuine")


def test_the_script_explains_what_it_cannot_check(response: bytes, keys: Any, tmp_path: Path) -> None:
    """No traceback: exit code 2 and what to do if nothing was checked, 1 if the score is not genuine."""
    files = {"score": response, "jwks": json.dumps(keys).encode(), "other": b'{"keys": []}', "text": b"no JSON"}
    files["summary"] = json.dumps({"assessment": {"explanation": None}}).encode()
    swapped = {**keys["keys"][0], "x": OKPKey.generate_key("Ed25519").as_dict()["x"]}
    files["swapped"] = json.dumps({"keys": [swapped]}).encode()
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    os.mkfifo(tmp_path / "pipe")
    for arguments, code, message in (
        ((), 2, "Usage: python verify_receipt.py score.json jwks.json"),
        (("score",), 2, "Usage:"),
        (("score", "jwks", "jwks"), 2, "Usage:"),
        (("missing", "jwks"), 2, "Cannot read missing: No such file or directory. Save the score"),
        (("score", "."), 2, "Cannot read .: Is a directory."),
        (("score", "pipe"), 2, "Cannot read pipe: it is not a regular file."),
        (("score", "text"), 2, "text is not a key set. Save the response of /.well-known/jwks.json."),
        (("score", "score"), 2, "score is not a key set."),
        (
            ("score", "other"),
            2,
            f"Cannot check it with these keys: '{keys['keys'][0]['kid']}' is missing. Save the current key set",
        ),
        (("summary", "jwks"), 2, "Cannot check it: there is no receipt, as in the short view (view=summary). Read and"),
        (("score", "swapped"), 1, "NOT genuine: the ID of a key does not match its key"),
        (("text", "jwks"), 1, "NOT genuine: the file is not the response of POST /v1/scores (JSONDecodeError"),
        (("jwks", "jwks"), 1, "NOT genuine: the file is not the response of POST /v1/scores (KeyError: 'receipt')"),
    ):
        command = [sys.executable, "-I", str(SCRIPT), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (code, ""), arguments
        assert done.stderr.startswith(message), done.stderr
        assert "Traceback" not in done.stderr


@pytest.fixture
def run(service: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.setenv("SELLERSCORE_HOME", str(service.home))
    return lambda *given: CliRunner().invoke(app, ["verify-receipt", *map(str, given)], catch_exceptions=False)


def test_the_command_prints_the_values_of_a_genuine_response(
    run: Callable[..., Result], response: bytes, keys: Any, tmp_path: Path
) -> None:
    (tmp_path / "score.json").write_bytes(response)
    (tmp_path / "jwks.json").write_text(json.dumps(keys))
    by_own_keys = run(tmp_path / "score.json", "--output", "json")
    by_file = run(tmp_path / "score.json", "--jwks", tmp_path / "jwks.json", "--output", "json")
    assert by_own_keys.exit_code == by_file.exit_code == 0
    assert json.loads(by_own_keys.stdout) == json.loads(by_file.stdout)
    assert json.loads(by_own_keys.stdout)["genuine"] is True
    score = json.loads(response)["assessment"]["score"]
    assert f"score {score}, and its points sum to it" in run(tmp_path / "score.json").stdout


def test_the_command_exits_with_1_if_the_score_is_not_genuine(
    run: Callable[..., Result], response: bytes, tmp_path: Path
) -> None:
    score, keys = tmp_path / "score.json", tmp_path / "jwks.json"
    keys.write_text(json.dumps(KeyRing.open(tmp_path / "others").jwks))
    for content, arguments, reason in (
        (response.replace(b"S-000", b"S-001"), (), "was changed"),
        (response, ("--jwks", keys), "not among the trusted keys"),
        (b"no JSON", (), "is not a JSON object"),
    ):
        score.write_bytes(content)
        done = run(score, *arguments)
        assert (done.exit_code, done.stdout.partition(": ")[0]) == (1, "NOT genuine")
        assert reason in done.stdout
        printed = json.loads(run(score, *arguments, "--output", "json").stdout)
        assert (printed["genuine"], reason in printed["reason"]) == (False, True)


def test_the_command_rejects_in_one_sentence_and_creates_no_keys(
    run: Callable[..., Result], response: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    score = tmp_path / "score.json"
    score.write_bytes(response.replace(b"S-000", b"S-001"))
    for arguments, error, message in (
        ((tmp_path / "nothing.json",), InputError, "cannot be read"),
        ((score, "--jwks", score), InputError, "is not a JWK set"),
    ):
        with pytest.raises(error, match=message):
            run(*arguments)
    monkeypatch.setenv("SELLERSCORE_HOME", str(tmp_path / "home"))
    with pytest.raises(InputError, match="There are no keys"):
        run(score)
    assert not (tmp_path / "home").exists()

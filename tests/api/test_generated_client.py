"""A client that openapi-python-client generates from the served document, and that scores a seller."""

from __future__ import annotations

import datetime
import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.api.conftest import AS_OF, SELLERS

if TYPE_CHECKING:
    from starlette.testclient import TestClient

CONFIGURATIONS = {
    "default": "",
    # a common setting, with which names come from titles alone
    "by_title": "use_path_prefixes_for_title_model_names: false\n",
    "literals": "literal_enums: true\n",
}


@pytest.fixture(params=CONFIGURATIONS)
def package(request: pytest.FixtureRequest, client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The package of a generated client, which a configuration generates without a warning."""
    document, configuration = tmp_path / "openapi.json", tmp_path / "configuration.yml"
    document.write_bytes(client.get("/openapi.json").content)
    configuration.write_text(f"post_hooks: []\n{CONFIGURATIONS[request.param]}")
    name = f"generated_{request.param}"
    command = [sys.executable, "-m", "openapi_python_client", "generate", "--meta", "none", "--fail-on-warning"]
    files = {"--path": document, "--config": configuration, "--output-path": tmp_path / name}
    command += [str(part) for pair in files.items() for part in pair]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, "arning" in done.stdout + done.stderr) == (0, False), done.stdout + done.stderr
    generated = {path.stem for path in (tmp_path / name / "api").rglob("[!_]*.py")}
    assert len(generated) == len([item for path in json.loads(document.read_text())["paths"].values() for item in path])
    monkeypatch.syspath_prepend(tmp_path)
    return lambda module: importlib.import_module(f"{name}.{module}")


def test_a_generated_client_scores_a_seller(package: Any, client: TestClient) -> None:
    models = package("models")
    caller = package("client").AuthenticatedClient(base_url="http://testserver", token="").set_httpx_client(client)
    body = models.ScoreRequest.from_dict({"seller_id": SELLERS[0], "purpose": "credit_application"})
    score = package("api.scores.create_score").sync(client=caller, body=body)
    assert isinstance(score, models.Score)
    assert 300 <= score.assessment.score <= 900
    assert (score.assessment.as_of, score.scored_at.tzinfo) == (AS_OF, datetime.UTC)
    points = [item.points for item in score.assessment.explanation.contributions]
    assert score.assessment.explanation.base_points + sum(points) == score.assessment.score
    (item,) = package("api.scores.list_scores").sync(client=caller, seller_id=SELLERS[0]).items
    assert (item.id, item.score) == (score.id, score.assessment.score)
    refused = package("api.scores.create_score").sync(
        client=caller, body=models.ScoreRequest.from_dict({"seller_id": "S-nobody", "purpose": "account_review"})
    )
    assert isinstance(refused, models.ProblemDetails)
    assert refused.type_ == "/problems/consent-required"

"""Issuance of concurrent requests: each gets the response that it would get alone, and all share one commit."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event

from api.auth.scopes import ClientKind
from api.errors import ConsentRequired, IdempotencyKeyReused, VectorsDoNotFitModel
from api.kit.database import transaction
from api.kit.fields import Purpose
from api.ledger.store import tips
from api.scores.issuance import IssuanceRequest, IssuedScore, canonical_request, issue_scores
from api.scores.schemas import ScoreRequest
from api.services import Services
from scoring import Bundle
from scoring.model import Calibration
from tests.api.conftest import SELLERS, other_catalogue
from tests.api.scores.conftest import Bank, with_policy
from tests.api.started import consent, register_of


def request(services: Services, bank_id: str, seller_id: str, key: str | None = None) -> IssuanceRequest:
    body = ScoreRequest(seller_id=seller_id, purpose=Purpose.CREDIT_APPLICATION)
    request_key = None if key is None else services.idempotency.key_for(bank_id, key, canonical_request(body))
    return IssuanceRequest(services, bank_id, body, request_key)


def issue(*requests: IssuanceRequest) -> list[IssuedScore]:
    results = issue_scores(requests)
    issued = [result for result in results if isinstance(result, IssuedScore)]
    assert len(issued) == len(requests), results
    return issued


@pytest.mark.databases
def test_each_request_gets_its_own_response_and_all_share_one_commit(bank: Bank) -> None:
    services, first = bank.services, bank.id
    second = register_of(services).create(ClientKind.BANK, "Second", now=datetime.now(UTC)).client.id
    consent(services, second, SELLERS[0])
    (before,) = issue(request(services, first, SELLERS[2], key="used before"))
    with transaction(services.engine) as connection:
        before_tips = tips(connection)
    commits: list[int] = []
    event.listen(services.engine, "commit", lambda _: commits.append(1))
    results = issue_scores(
        [
            request(services, first, SELLERS[0]),
            request(services, first, "S-nobody"),
            request(services, second, SELLERS[0], key="a key"),
            request(services, second, SELLERS[1]),
            request(services, first, SELLERS[2], key="used before"),
            request(services, first, SELLERS[3], key="used before"),
            request(services, first, SELLERS[0], key="a key"),
        ]
    )
    assert len(commits) == 1
    assert [type(result) for result in results] == [
        IssuedScore,
        ConsentRequired,
        IssuedScore,
        ConsentRequired,
        IssuedScore,
        IdempotencyKeyReused,
        IssuedScore,
    ]
    issued = [result for result in results if isinstance(result, IssuedScore)]
    assert [result.replayed for result in issued] == [False, False, True, False]
    assert issued.pop(2).score.body == before.score.body
    scores = [json.loads(result.score.body) for result in issued]
    positions = [
        (score["ledger"]["chain"], score["ledger"]["position"] - before_tips[score["bank_id"]].position)
        for score in scores
    ]
    assert positions == [(first, 1), (second, 1), (first, 2)]
    assert [bank.get(f"/v1/scores/{score['id']}").status_code for score in scores] == [200, 404, 200]
    assert scores[0]["assessment"] == scores[1]["assessment"] == scores[2]["assessment"]
    assert bank.verify().faults == ()


def test_each_request_is_scored_by_the_model_that_it_started_with(bank: Bank, bundle: Bundle) -> None:
    services = bank.services
    other = with_policy(bundle, calibration=Calibration(0.7, -0.4))
    swapped = replace(services, champion=replace(services.champion, bundle=other))
    containers = [services, swapped, services, swapped, swapped, services]
    sellers = SELLERS[: len(containers)]
    issued = issue(*(request(each, bank.id, seller) for each, seller in zip(containers, sellers, strict=True)))
    for container, seller, result in zip(containers, sellers, issued, strict=True):
        assert result.score.seller_id == json.loads(result.score.inputs)["seller_id"] == seller
        assert result.score.assessment.versions.bundle == container.champion.bundle.digest
    assert bank.verify().faults == ()


def test_an_assessment_is_the_same_to_the_byte_alone_and_with_others(bank: Bank) -> None:
    requests = [request(bank.services, bank.id, seller) for seller in SELLERS[:20]]
    for together, alone in zip(issue(*requests), (issue(each)[0] for each in requests), strict=True):
        assert together.score.fields["assessment"] == alone.score.fields["assessment"]
        assert together.score.inputs == alone.score.inputs


@pytest.mark.databases
def test_a_failed_batch_stores_nothing_and_leaves_its_key_unused(bank: Bank) -> None:
    services = bank.services
    with transaction(services.engine) as connection:
        before = tips(connection)
    services.vectors.replace(other_catalogue(), [(SELLERS[0], (400.0,))])
    with pytest.raises(VectorsDoNotFitModel):
        issue_scores([request(services, bank.id, SELLERS[0], key="unused")])
    with transaction(services.engine) as connection:
        assert tips(connection) == before
    bank.deliver(3, 5)
    (issued,) = issue(request(services, bank.id, SELLERS[0], key="unused"))
    assert not issued.replayed


def test_a_consent_that_replaced_another_counts_until_it_ends(bank: Bank) -> None:
    def consent_of(now: datetime) -> str | None:
        (result,) = issue_scores([replace(request(bank.services, bank.id, SELLERS[0]), now=now)])
        return result.score.fields["consent_id"] if isinstance(result, IssuedScore) else None

    former, (new, _) = consent_of(datetime.now(UTC)), consent(bank.services, bank.id, SELLERS[0])
    assert former not in {None, new}
    assert [consent_of(datetime.now(UTC) + timedelta(days=days)) for days in (0, 89, 91)] == [new, new, None]

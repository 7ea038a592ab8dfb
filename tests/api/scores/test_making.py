"""Scores that are made at once: each as if it were alone, one commit for all, whoever asks and whatever they get."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event

from api.auth import clients
from api.auth.scopes import ClientKind
from api.consents.ledger_entries import ConsentCheck
from api.errors import ConsentRequired, IdempotencyKeyReused, VectorsDoNotFitModel
from api.kit.database import transaction
from api.kit.fields import Purpose
from api.ledger.store import tips
from api.ledger.verification import verify
from api.scores.issuance import IssuanceRequest, IssuedScore, canonical_request, issue_scores
from api.scores.ledger_entries import ScoreIndexCheck
from api.scores.schemas import ScoreRequest
from api.services import Services
from scoring import Bundle
from scoring.model import Calibration
from tests.api.conftest import NOW, SELLERS, bank_of, other_catalogue
from tests.api.scores.conftest import Bank, files_of
from tests.api.started import consent


def asked(services: Services, bank_id: str, seller_id: str, key: str | None = None) -> IssuanceRequest:
    request = ScoreRequest(seller_id=seller_id, purpose=Purpose.CREDIT_APPLICATION)
    named = None if key is None else services.idempotency.key_for(bank_id, key, canonical_request(request))
    return IssuanceRequest(services, bank_id, request, named)


def second_bank(services: Services, *sellers: str) -> str:
    made = clients.create_client(services.engine, ClientKind.BANK, "Second", now=NOW).client.id
    consent(services, made, *sellers)
    return made


def whole(services: Services) -> bool:
    return (
        verify(services.engine, services.ledger, [ScoreIndexCheck(services.receipts.jwks), ConsentCheck()]).faults == ()
    )


@pytest.mark.databases
def test_each_gets_what_it_would_alone_and_all_share_one_commit(bank: Bank) -> None:
    services, first = bank.services, bank_of(bank.client)
    second = second_bank(services, SELLERS[0])
    (before,) = issue_scores([asked(services, first, SELLERS[2], key="sent before")])
    assert isinstance(before, IssuedScore)
    with transaction(services.engine) as connection:
        began = tips(connection)
    commits: list[int] = []
    event.listen(services.engine, "commit", lambda _: commits.append(1))
    found = issue_scores(
        [
            asked(services, first, SELLERS[0]),
            asked(services, first, "S-nobody"),
            asked(services, second, SELLERS[0], key="a key"),
            asked(services, second, SELLERS[1]),
            asked(services, first, SELLERS[2], key="sent before"),
            asked(services, first, SELLERS[3], key="sent before"),
            asked(services, first, SELLERS[0], key="a key"),
        ]
    )
    assert len(commits) == 1
    kinds = [type(each) for each in found]
    assert kinds == [
        IssuedScore,
        ConsentRequired,
        IssuedScore,
        ConsentRequired,
        IssuedScore,
        IdempotencyKeyReused,
        IssuedScore,
    ]
    scores = [each for each in found if isinstance(each, IssuedScore)]
    assert [each.replayed for each in scores] == [False, False, True, False]
    assert scores[2].score.body == before.score.body
    bodies = [json.loads(each.score.body) for each in scores]
    places = [
        (each["ledger"]["chain"], each["ledger"]["position"] - began[each["bank_id"]].position) for each in bodies
    ]
    assert places[:2] + places[3:] == [(first, 1), (second, 1), (first, 2)]
    for each in scores:
        assert each.score.bank_id == json.loads(each.score.body)["bank_id"]
        ours = bank.get(f"/v1/scores/{each.score.id}")
        assert (ours.status_code == 200) is (each.score.bank_id == first)
    assert bodies[0]["assessment"] == bodies[1]["assessment"] == bodies[3]["assessment"]
    assert whole(services)


def test_each_is_scored_by_the_model_that_its_request_began_with(bank: Bank, bundle: Bundle) -> None:
    services, chain = bank.services, bank_of(bank.client)
    policy = replace(bundle.policy, calibration=Calibration(0.7, -0.4))
    other = Bundle.from_files(files_of(replace(bundle, policy=policy)))
    swapped = replace(services, champion=replace(services.champion, bundle=other))
    sides = [services, swapped, services, swapped, swapped, services]
    found = issue_scores([asked(side, chain, seller) for side, seller in zip(sides, SELLERS, strict=False)])
    for side, seller, each in zip(sides, SELLERS, found, strict=False):
        assert isinstance(each, IssuedScore)
        assert each.score.seller_id == seller
        assert json.loads(each.score.inputs)["seller_id"] == seller
        assert json.loads(each.score.body)["assessment"]["versions"]["bundle"] == side.champion.bundle.digest
    assert whole(services)


def test_alone_or_beside_others_an_assessment_is_the_same_to_the_byte(bank: Bank) -> None:
    services, chain = bank.services, bank_of(bank.client)
    together = issue_scores([asked(services, chain, seller) for seller in SELLERS[:20]])
    alone = [issue_scores([asked(services, chain, seller)])[0] for seller in SELLERS[:20]]
    for one, other in zip(together, alone, strict=True):
        assert isinstance(one, IssuedScore)
        assert isinstance(other, IssuedScore)
        assessments = [json.loads(each.score.body)["assessment"] for each in (one, other)]
        assert assessments[0] == assessments[1]
        assert one.score.inputs == other.score.inputs


@pytest.mark.databases
def test_what_fails_stores_nothing_of_anyone(bank: Bank) -> None:
    services, chain = bank.services, bank_of(bank.client)
    with transaction(services.engine) as connection:
        before = tips(connection)
    services.vectors.replace(other_catalogue(), [(SELLERS[0], (400.0,))])
    with pytest.raises(VectorsDoNotFitModel):
        issue_scores([asked(services, chain, SELLERS[0], key="free")])
    with transaction(services.engine) as connection:
        assert tips(connection) == before
    bank.move_on(3, 5)
    (made,) = issue_scores([asked(services, chain, SELLERS[0], key="free")])
    assert isinstance(made, IssuedScore)
    assert not made.replayed


def test_a_consent_that_took_the_place_of_another_counts_until_it_ends(bank: Bank) -> None:
    services, chain = bank.services, bank_of(bank.client)

    def consent_of(now: datetime) -> str | None:
        (found,) = issue_scores([replace(asked(services, chain, SELLERS[0]), now=now)])
        return json.loads(found.score.body)["consent_id"] if isinstance(found, IssuedScore) else None

    former, (new, _) = consent_of(datetime.now(UTC)), consent(services, chain, SELLERS[0])
    assert former not in {None, new}
    assert [consent_of(datetime.now(UTC) + timedelta(days=days)) for days in (0, 89, 91)] == [new, new, None]

"""Verification of the ledger: rows per second, and whether the time grows with the number of rows alone.

The ledger has the scores of one bank, as `POST /v1/scores` stores them: encrypted contents of 14 to 20 kB with their
receipts, and the consents. Everything is verified: chain, contents, receipts, index and consents.
"""

from __future__ import annotations

import resource
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from api.app import open_services
from api.clients.service import ClientRegister
from api.consents.service import ConsentTerms, grant_consent
from api.kit.database import transaction
from api.kit.fields import Purpose
from api.kit.middleware import RequestMetrics
from api.ledger.verification import verify
from api.operations.demo import demo_bank
from api.operations.ledger_checks import all_checks
from api.scores.inputs import CorrectedVector, assess_inputs
from api.scores.issuance import ScoreDraft, record_draft, store_scores
from api.services import Services
from api.settings import load_settings
from tests.benchmarks.api_servers import Scale, prepare
from tests.benchmarks.figures import Target, print_figures, print_step, time_call

TARGETS: Final = {
    "ledger.verify_rows_per_second": Target(5_000, at_most=False),
    "ledger.verify_growth": Target(1.2),
}

_PORTION: Final = 500


@dataclass(frozen=True)
class Plan:
    """Numbers of rows of the two ledgers, and of sellers."""

    fewer: int = 10_000
    more: int = 100_000
    sellers: int = 500


def run(plan: Plan = Plan()) -> dict[str, float]:
    """Measure, print, and return the figures under the names of var/bench.json."""
    print_step(f"ledger: training a model and recording the consents of {plan.sellers:,} sellers")
    with tempfile.TemporaryDirectory(prefix="sellerscore-ledger-") as name, _bank(Path(name), plan) as bank:
        bank.issue(plan.fewer - bank.rows)
        fewer = bank.verify()
        bank.issue(plan.more - bank.rows)
        more = bank.verify()
    figures = {
        "ledger.verify_rows_per_second": plan.more / more,
        "ledger.verify_growth": more / plan.more / (fewer / plan.fewer),
        "ledger.verify_peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    print_figures(figures, TARGETS)
    return figures


@dataclass
class _Bank:
    """A bank with the consents of all sellers, and a draft of a score of each."""

    id: str
    services: Services
    drafts: list[ScoreDraft]
    rows: int

    def issue(self, scores: int) -> None:
        """Store scores as a burst of requests does, many in one transaction."""
        print_step(f"ledger: issuing {scores:,} scores")
        for first in range(0, scores, _PORTION):
            drafts = [self.drafts[number % len(self.drafts)] for number in range(first, min(first + _PORTION, scores))]
            now, records = datetime.now(UTC), []
            with transaction(self.services.engine, writes=True) as connection:
                ids = sorted({draft.inputs.stored.seller_id for draft in drafts})
                sellers = self.services.ledger.sellers(connection, ids)
                tip = self.services.ledger.lock_chain(connection, self.id)
                for draft in drafts:
                    records.append(record_draft(self.services, draft, sellers[draft.inputs.stored.seller_id], tip, now))
                    tip = records[-1].row.tip
                store_scores(connection, records)
        self.rows += scores

    def verify(self) -> float:
        """Verify the ledger with all checks, and return the seconds."""

        def work() -> None:
            checks = all_checks(self.services.receipts.jwks)
            report = verify(self.services.engine, self.services.ledger, self.services.receipts.jwks, checks)
            # one row more: the creation of the bank
            assert (report.rows, report.faults) == (self.rows + 1, ())

        seconds = time_call(work)
        print_step(f"ledger: verified {self.rows:,} rows in {seconds:.1f} s")
        return seconds


@contextmanager
def _bank(folder: Path, plan: Plan) -> Iterator[_Bank]:
    data = prepare(Scale(sellers=plan.sellers), folder)
    with open_services(load_settings(home=data.home, demo_bank=True), RequestMetrics()) as services:
        now, register = datetime.now(UTC), ClientRegister(services.engine, services.receipts)
        credentials = demo_bank(services.settings.demo_bank_path, register, services.auth.secrets, now)
        assert credentials is not None
        bank_id = credentials.read_text(encoding="utf-8").split()[2]
        stored = list(services.vectors.all_latest())
        consents = []
        with transaction(services.engine, writes=True) as connection:
            for vector in stored:
                terms = ConsentTerms(vector.seller_id, bank_id, str(Purpose.CREDIT_APPLICATION), timedelta(days=30))
                consents.append(grant_consent(connection, services.ledger, terms, by="benchmark"))
        inputs = [CorrectedVector(vector, now.date()) for vector in stored]
        bundle = services.champion.bundle
        drafts = [
            ScoreDraft(vector, bundle, assessed, bank_id, consent.purpose, {"consent_id": consent.id})
            for vector, assessed, consent in zip(inputs, assess_inputs(bundle, inputs), consents, strict=True)
        ]
        yield _Bank(bank_id, services, drafts, rows=len(consents))

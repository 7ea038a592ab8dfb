"""The shops as a store, and their rows and sales patterns; all to be read only."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pytest

from features.ingest import OperatingStore
from tests.oracles.accepted_rows import write_accepted
from tests.training.evidence.shops import PAIRS, T, marketplace
from training.evidence.store_copies import rows_of


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> OperatingStore:
    written = write_accepted(marketplace(), tmp_path_factory.mktemp("operating"))
    (delivery,) = written.deliveries
    return replace(written, deliveries=(replace(delivery, covers_through=dict.fromkeys(delivery.rows, T)),))


@pytest.fixture(scope="session")
def rows(store: OperatingStore) -> dict[str, pa.Table]:
    return rows_of(store, PAIRS["seller_id"], T)

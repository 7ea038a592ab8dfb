"""One simulated delivery that most tests read: frames with and without the added bad rows."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from features.schema import BY_NAME
from training.simulation import SimulationConfig, SimulationSummary, simulate

MONEY = {"orders": "amount", "refunds": "amount", "traffic": "ad_spend"}
WORDS = {"orders": "channel", "refunds": "reason", "traffic": "channel"}


@dataclass(frozen=True, eq=False)
class Delivery:
    folder: Path
    config: SimulationConfig
    summary: SimulationSummary

    @property
    def end(self) -> pd.Timestamp:
        return pd.Timestamp(self.config.end)

    @cache  # noqa: B019 - one delivery lives as long as the session
    def raw(self, table: str) -> pd.DataFrame:
        return pq.read_table(self.folder / f"{table}.parquet").to_pandas()

    def truth(self) -> pd.DataFrame:
        return pq.read_table(self.folder / "truth" / "truth.parquet").to_pandas()

    def bad(self, table: str) -> pd.Series:
        """Return which rows of a table violate the contract."""
        rows, column = self.raw(table), BY_NAME[table].column(WORDS[table])
        flawed = (
            ~(rows[MONEY[table]] >= 0)
            | (rows["currency"] == "XXQ")
            | ~rows["store_id"].isin(self.raw("stores")["store_id"])
        )
        flawed |= ~rows[WORDS[table]].isin(column.allowed or ())
        return flawed | (rows["buyer_country"] == "UK") if table == "orders" else flawed

    @cache  # noqa: B019
    def good(self, table: str) -> pd.DataFrame:
        """Return the valid rows: the first of each key among those that the contract allows."""
        rows = self.raw(table)
        if table in MONEY:
            rows = rows[~self.bad(table)].drop_duplicates(list(BY_NAME[table].key))
        return rows


@pytest.fixture(scope="session")
def delivery(tmp_path_factory: pytest.TempPathFactory) -> Delivery:
    """Large enough for some forty defaults."""
    config = SimulationConfig(sellers=240, seed=3, orders_per_seller=400)
    folder: Path = tmp_path_factory.mktemp("simulation") / "delivery"
    return Delivery(folder, config, simulate(config, folder))

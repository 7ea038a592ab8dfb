"""Two random deliveries for the quality page; tests count their rows in plain Python."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

from features.ingest import IngestReport, ingest, open_store
from features.quality.analysis import Quality, analyse_delivery
from tests.features.ingest.build import Row, order, seller, store, write

START = datetime(2024, 1, 1)  # noqa: DTZ001
GAP = (20, 21)
"""Days of the first delivery without an order."""

THIN = 33
DAYS = 40
HOSTILE = "<script>alert('x')</script>&\"home\""
BUYER = "secret-buyer-of-things"


@dataclass(frozen=True)
class Deliveries:
    """A store with two deliveries, their reports, and the valid rows of orders."""

    store: Path
    reports: tuple[IngestReport, IngestReport]
    orders: tuple[list[Row], list[Row]]

    def quality(self, number: int) -> Quality:
        return analyse_delivery(open_store(self.store), self.reports[number], f"delivery {number}")


def _orders(random: Random, first: int, days: int, prefix: str) -> list[Row]:
    rows: list[Row] = []
    for day in range(days):
        many = 0 if prefix == "A" and day in GAP else 6 if prefix == "A" and day == THIN else 40
        for _ in range(many):
            at = START + timedelta(days=first + day, seconds=random.randrange(86_400))
            late = random.choices([60, 7200, 2 * 86_400, 40 * 86_400], [70, 20, 8, 2])[0]
            rows.append(
                order(
                    f"{prefix}{len(rows):05}",
                    store_id=f"T{random.randrange(30)}",
                    buyer_id=f"{BUYER}-{random.randrange(300)}",
                    ordered_at=at,
                    known_at=at + timedelta(seconds=late),
                    amount=round(random.lognormvariate(3, 1) * (1 if prefix == "A" else 4), 2),
                    channel=random.choice(["ads", "search", "direct"] if prefix == "A" else ["ads", "livestream"]),
                    buyer_country=random.choice(["US", "DE", "CN", "JP", "FR", "GB", "IT"]),
                    items=random.choice([1, 1, 1, 2, 5]),
                )
            )
    return rows


def _broken(rows: list[Row]) -> list[Row]:
    wrong: list[Row] = [{"amount": -3.25}, {"channel": "pigeon"}, {"buyer_country": None}, {"store_id": "T99"}]
    wrong += [{"channel": HOSTILE}, {"buyer_id": f"{BUYER}\u200b"}]
    return [{**row, "order_id": f"X{n}", **wrong[n % len(wrong)]} for n, row in enumerate(rows[:45])]


def make(folder: Path) -> Deliveries:
    random = Random(11)  # noqa: S311 - test data
    sellers = [seller(), seller("S2", category=HOSTILE)]
    stores = [store(f"T{n}", marketplace=HOSTILE if n % 2 else "amazon") for n in range(30)]
    first = _orders(random, 0, DAYS, "A")
    second = _orders(random, DAYS, 10, "B")
    traffic = [{"store_id": "T1"}]
    one = write(folder / "one", sellers=sellers, stores=stores, orders=[*first, *first[:7], *_broken(first)])
    two = write(
        folder / HOSTILE.replace("/", "_"), stores=[], sellers=[], orders=[*second, *first[:5]], traffic=traffic
    )
    reports = ingest(one, folder / "store"), ingest(two, folder / "store")
    return Deliveries(folder / "store", reports, (first, second))

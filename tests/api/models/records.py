"""The tags of a registered version, as training and a promotion write them."""

from __future__ import annotations

import json
from typing import Any

SUMMARY: dict[str, Any] = {
    "trained_at": "2026-11-29T16:20:00Z",
    "origin": "simulated by sellerscore, seed 7",
    "outcomes": "loans, instalments and payments of the operating data",
    "data_through": "2026-11-29",
    "sample": {
        "train_loans": 1325,
        "train_defaults": 158,
        "test_loans": 177,
        "test_defaults": 16,
        "test_from": "2024-09-04",
        "default_rate": {"value": 0.0904, "low": 0.0564, "high": 0.1418},
        "auc": {"value": 0.8301, "low": 0.7082, "high": 0.9274},
    },
    "limits": ["Only loans that were paid out have outcomes."],
    "fairness": [
        {
            "by": "size",
            "measure": "four_fifths_ratio",
            "value": 0.615,
            "low": 0.419,
            "high": 0.861,
            "limit": 0.8,
            "notes": ["The four-fifths ratio of size small is 0.615 (0.419 to 0.861), below the limit of 0.8."],
        },
        {"by": "size", "measure": "score_gap", "value": 37.2, "low": 10.5, "high": 63.9, "limit": None, "notes": []},
    ],
    "alarms": [
        {"study": "segments", "text": "24 of 24 segments are not judged."},
        {"study": "leaks", "text": "A feature contains the outcome."},
    ],
}

RECORD = {
    "evidence_summary": json.dumps(SUMMARY),
    "approved_by": "Wei Zhang",
    "approved_at": "2026-11-30T10:00:00.000Z",
    "approved_because": "Ranks new sellers better than version 2.",
    "accepted_alarms": "drift, segments",
}

"""The MLflow model: input rows to assessments, through `scoring.assess`.

MLflow runs this file on its own (models from code) with a copy of the scoring package, so it may import no other
package of this project (docs/adr/0007).
"""

from __future__ import annotations

import json
from collections.abc import Hashable
from datetime import date
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd

from scoring import Bundle, Vector, assess, serialize_assessment


class SellerScoreModel(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """Input columns: seller_id, as_of, requested_on (YYYY-MM-DD), covers_through (JSON object), and every feature."""

    def load_context(self, context: Any) -> None:
        """Load and verify the bundle of the model."""
        folder = Path(context.artifacts["bundle"])
        self.bundle = Bundle.from_files({file.name: file.read_bytes() for file in folder.iterdir()})

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:  # noqa: ARG002
        """Return seller_id and the assessment as canonical JSON for each row."""
        vectors = [self._vector(row) for row in model_input.to_dict("records")]
        texts = [serialize_assessment(assessment).decode() for assessment in assess(self.bundle, vectors)]
        return pd.DataFrame({"seller_id": [vector.seller_id for vector in vectors], "assessment": texts})

    def _vector(self, row: dict[Hashable, Any]) -> Vector:
        covers = {name: date.fromisoformat(day) for name, day in json.loads(row["covers_through"]).items()}
        values = tuple(None if pd.isna(row[name]) else float(row[name]) for name in self.bundle.sheet.names)
        as_of, requested_on = (date.fromisoformat(row[name]) for name in ("as_of", "requested_on"))
        return Vector(row["seller_id"], as_of, requested_on, covers, self.bundle.sheet.catalogue, values)


mlflow.models.set_model(SellerScoreModel())

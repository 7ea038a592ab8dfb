"""The served model: bundles on disk, the MLflow registry, the model card and the reason catalogue."""

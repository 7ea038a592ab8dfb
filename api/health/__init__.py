"""Health: whether the process answers, and whether it could score."""

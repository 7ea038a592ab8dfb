"""The model in force and its reasons, as whoever relies on a score may know them: from the bundle and nothing else."""

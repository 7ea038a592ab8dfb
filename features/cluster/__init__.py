"""The flow on a cluster: accepted Parquet in, tiles and frames as Parquet out, by the same definitions.

The state folder must be one that the driver and all executors see under the same name.
"""

from features.cluster.folds import current_tiles
from features.cluster.frames import write_frame

__all__ = ["current_tiles", "write_frame"]
